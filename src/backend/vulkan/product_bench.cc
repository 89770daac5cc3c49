// Speed of products on a device: TFLOP/s, and the bytes of weights that are read per second.
//   product_bench [--device N] [--unit device|none|plain] [--types q4_k,f16] [--shapes
//   4096x4096,...]
//                 [--tokens 1,2,...] [--tiles 128x128x32/2x4/2,...] [--seconds S]
// A tile is rows x tokens x depth / row parts x token parts / buffers; "auto" is what the device
// would choose. One pass runs many products of the same input, each with weights of its own, so
// that they come from memory and not from a cache; passes of one product are subtracted.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/plan.h"
#include "backend/vulkan/vulkan_backend.h"
#include "quant/quant.h"

namespace puna::backend::vulkan {
namespace {

struct Arguments {
  std::string device = "vulkan";
  MatrixOptions::Unit unit = MatrixOptions::Unit::kDevice;
  std::vector<std::string> types = {"Q4_K", "F16"};
  std::vector<std::string> shapes = {"4096x4096", "14336x4096", "4096x14336", "1024x4096"};
  std::vector<std::string> tokens = {"1", "2", "4", "8", "16", "32", "64", "128", "512"};
  std::vector<std::string> tiles = {"auto"};
  double seconds = 0.1;
};

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

uint32_t Number(std::string_view text) {
  uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::optional<TileShape> TileOf(const std::string& text) {
  if (text == "auto") return std::nullopt;
  std::vector<uint32_t> numbers;
  for (const std::string& part : Split(text, '/')) {
    for (const std::string& number : Split(part, 'x')) numbers.push_back(Number(number));
  }
  numbers.resize(6);
  return TileShape{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
}

const quant::TypeTraits* TypeNamed(std::string_view name) {
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (std::ranges::equal(traits.name, name, [](char a, char b) {
          return std::toupper(static_cast<unsigned char>(a)) ==
                 std::toupper(static_cast<unsigned char>(b));
        })) {
      return &traits;
    }
  }
  return nullptr;
}

// `products` weights of one shape and type, that overlap in the memory of the host but not in that
// of the device: each begins one row later.
std::shared_ptr<const Plan> MakePlan(const quant::TypeTraits& type, int64_t rows, int64_t cols,
                                     int64_t products) {
  auto plan = std::make_shared<Plan>();
  auto bytes = std::make_shared<std::vector<uint8_t>>();
  std::mt19937 random(1);
  std::normal_distribution<float> values(0, 0.02f);
  std::vector<float> row(static_cast<size_t>(cols));
  for (float& value : row) value = values(random);
  std::vector<uint8_t> encoded(static_cast<size_t>(quant::BytesFor(type.type, cols)));
  type.encode(row.data(), cols, nullptr, encoded.data());
  for (int64_t i = 0; i < rows + products; ++i)
    bytes->insert(bytes->end(), encoded.begin(), encoded.end());
  plan->owner = bytes;
  plan->vocabulary = 16;
  plan->buffer_widths = {cols, rows};
  const View in{0, 0, cols}, out{1, 0, rows};
  for (int64_t i = 0; i <= products; ++i) {
    Weight weight{.name = "w" + std::to_string(i), .type = type.type, .cols = cols};
    weight.rows = i == 0 ? 16 : rows;
    weight.experts = 1;
    weight.data = bytes->data() + i * static_cast<int64_t>(encoded.size());
    plan->weights.push_back(weight);
  }
  plan->ops.push_back(EmbedOp{0, in});
  for (int64_t i = 1; i <= products; ++i)
    plan->ops.push_back(MatMulOp{in, out, static_cast<WeightId>(i)});
  plan->output = {1, 0, std::min<int64_t>(rows, 4)};
  return plan;
}

// Of one pass: the fastest of as many as fit in the time.
Result<double> SecondsOf(Backend* backend, const std::shared_ptr<const Plan>& plan, int64_t tokens,
                         double most) {
  CompileOptions options;
  options.max_batch_tokens = tokens;
  PUNA_ASSIGN_OR_RETURN(const auto program, backend->Compile(plan, options));
  std::vector<int32_t> ids(static_cast<size_t>(tokens), 1), outputs = {0};
  std::vector<Segment> segments(1);
  segments[0].tokens = tokens;
  Batch batch;
  batch.tokens = ids;
  batch.segments = segments;
  batch.output_rows = outputs;
  std::vector<float> out(static_cast<size_t>(plan->output.width));
  using Clock = std::chrono::steady_clock;
  double best = 1e9, total = 0;
  for (int i = 0; i < 3 || total < most; ++i) {
    const auto begin = Clock::now();
    PUNA_RETURN_IF_ERROR(program->Run(batch, out));
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (i > 0) best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

Status Measure(Backend* backend, const quant::TypeTraits& type, const std::string& shape,
               const std::string& tile, const Arguments& arguments) {
  const std::vector<std::string> sides = Split(shape, 'x');
  const int64_t rows = Number(sides[0]), cols = Number(sides.back());
  const int64_t bytes = rows * quant::BytesFor(type.type, cols);
  // More than the largest cache of a GPU.
  const int64_t products = std::clamp<int64_t>((int64_t{256} << 20) / bytes, 2, 64);
  const auto one = MakePlan(type, rows, cols, 1), many = MakePlan(type, rows, cols, products + 1);
  for (const std::string& count : arguments.tokens) {
    const int64_t tokens = Number(count);
    PUNA_ASSIGN_OR_RETURN(const double base,
                          SecondsOf(backend, one, tokens, arguments.seconds / 4));
    PUNA_ASSIGN_OR_RETURN(const double all, SecondsOf(backend, many, tokens, arguments.seconds));
    const double each = (all - base) / static_cast<double>(products);
    const double flops = 2.0 * static_cast<double>(rows * cols * tokens);
    fmt::print("{:6} {:>12} {:>4} tokens {:20} {:9.1f} us {:8.2f} TFLOP/s {:8.1f} GB/s\n",
               type.name, shape, tokens, tile, each * 1e6, flops / each / 1e12,
               static_cast<double>(bytes) / each / 1e9);
    std::cout.flush();
  }
  return {};
}

Status MeasureAll(const Arguments& arguments) {
  for (const std::string& tile : arguments.tiles) {
    const auto backend = CreateVulkanBackend({.name = arguments.device},
                                             {.unit = arguments.unit, .tile = TileOf(tile)});
    if (!backend) {
      fmt::print("{}: {}\n", tile, backend.error().message);
      continue;
    }
    for (const std::string& name : arguments.types) {
      const quant::TypeTraits* type = TypeNamed(name);
      if (type == nullptr || type->encode == nullptr)
        return MakeError(ErrorCode::kInvalidArgument, "no type {}", name);
      for (const std::string& shape : arguments.shapes)
        PUNA_RETURN_IF_ERROR(Measure(backend->get(), *type, shape, tile, arguments));
    }
  }
  return {};
}

int Main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--device") arguments.device = "vulkan:" + value;
    if (flag == "--unit") {
      arguments.unit = value == "none"    ? MatrixOptions::Unit::kNone
                       : value == "plain" ? MatrixOptions::Unit::kPlain
                                          : MatrixOptions::Unit::kDevice;
    }
    if (flag == "--types") arguments.types = Split(value, ',');
    if (flag == "--shapes") arguments.shapes = Split(value, ',');
    if (flag == "--tokens") arguments.tokens = Split(value, ',');
    if (flag == "--tiles") arguments.tiles = Split(value, ',');
    if (flag == "--seconds") arguments.seconds = std::stod(value);
  }
  if (const auto devices = ListDevices()) {
    for (const DeviceInfo& device : *devices)
      fmt::print("vulkan:{} {} ({}), matrices: {}\n", device.index, device.name, device.driver,
                 device.matrices.empty() ? "none" : device.matrices);
  }
  const Status status = MeasureAll(arguments);
  if (!status) fmt::print("{}\n", status.error().message);
  return status ? 0 : 1;
}

}  // namespace
}  // namespace puna::backend::vulkan

int main(int argc, char** argv) { return puna::backend::vulkan::Main(argc, argv); }
