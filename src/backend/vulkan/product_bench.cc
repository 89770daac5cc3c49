// Speed of products on a device: TFLOP/s, and the bytes of weights that are read per second.
//   product_bench [--device N] [--unit device|none|plain|int8] [--types q4_k,f16] [--shapes
//   4096x4096,...]
//                 [--tokens 1,2,...] [--tiles 128x128x32/2x4/2,...] [--seconds S]
// A tile is rows x tokens x depth / row parts x token parts / buffers [/ splits]; "auto" is what
// the device would choose, and "plain:64x32x32/4x2/2" one on another unit; "--tiles all" are those
// worth a try. What a tile computes is compared with float32 tiles first. One pass runs many
// products of the same input, each with weights of its own, so that they come from memory and not
// from a cache; passes of one product are subtracted.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <span>
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

const char* const kAllTiles[] = {
    "auto",
    "32x32x256/2x2/1",
    "32x32x256/2x2/1/4",
    "32x32x256/2x2/1/8",
    "32x32x128/2x2/1",
    "32x32x128/2x2/1/4",
    "64x64x64/4x4/1",
    "64x64x64/2x2/1",
    "64x64x64/2x2/1/2",
    "64x64x64/2x2/1/4",
    "64x64x64/2x2/1/8",
    "64x64x32/2x2/2",
    "128x64x64/4x2/1",
    "128x128x32/4x4/2",
    "128x128x64/4x4/1",
};

MatrixOptions::Unit UnitNamed(std::string_view name) {
  return name == "none"    ? MatrixOptions::Unit::kNone
         : name == "int8"  ? MatrixOptions::Unit::kInt8
         : name == "plain" ? MatrixOptions::Unit::kPlain
                           : MatrixOptions::Unit::kDevice;
}

std::optional<TileShape> TileOf(const std::string& text) {
  if (text == "auto") return std::nullopt;
  std::vector<uint32_t> numbers;
  for (const std::string& part : Split(text, '/')) {
    for (const std::string& number : Split(part, 'x')) numbers.push_back(Number(number));
  }
  numbers.resize(7);
  return TileShape{numbers[0],
                   numbers[1],
                   numbers[2],
                   numbers[3],
                   numbers[4],
                   numbers[5],
                   std::max(numbers[6], 1u)};
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

Batch BatchOf(std::span<const int32_t> ids, std::span<const Segment> segments,
              std::span<const int32_t> outputs) {
  Batch batch;
  batch.tokens = ids;
  batch.segments = segments;
  batch.output_rows = outputs;
  return batch;
}

// What a product of different rows and inputs is, of all tokens.
Result<std::vector<float>> ProductOf(Backend* backend, const quant::TypeTraits& type) {
  constexpr int64_t kRows = 300, kCols = 1024, kTokens = 150;
  auto plan = std::make_shared<Plan>();
  auto bytes = std::make_shared<std::vector<uint8_t>>();
  std::mt19937 random(2);
  std::normal_distribution<float> values(0, 0.05f);
  std::vector<float> row(kCols);
  const auto row_bytes = static_cast<size_t>(quant::BytesFor(type.type, kCols));
  bytes->resize(row_bytes * (kRows + kTokens));
  for (size_t i = 0; i < kRows + kTokens; ++i) {
    for (float& value : row) value = values(random);
    type.encode(row.data(), kCols, nullptr, bytes->data() + i * row_bytes);
  }
  plan->owner = bytes;
  plan->vocabulary = kTokens;
  plan->buffer_widths = {kCols, kRows};
  for (const int64_t rows : {kTokens, kRows}) {
    Weight weight{.name = "w", .type = type.type, .cols = kCols};
    weight.rows = rows;
    weight.experts = 1;
    weight.data = bytes->data() + (rows == kRows ? kTokens * row_bytes : 0);
    plan->weights.push_back(weight);
  }
  plan->ops.push_back(EmbedOp{0, {0, 0, kCols}});
  plan->ops.push_back(MatMulOp{{0, 0, kCols}, {1, 0, kRows}, 1});
  plan->output = {1, 0, kRows};
  CompileOptions options;
  options.max_batch_tokens = kTokens;
  PUNA_ASSIGN_OR_RETURN(const auto program, backend->Compile(plan, options));
  std::vector<int32_t> ids(kTokens);
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<Segment> segments(1);
  segments[0].tokens = kTokens;
  std::vector<float> out(kTokens * kRows);
  PUNA_RETURN_IF_ERROR(program->Run(BatchOf(ids, segments, ids), out));
  return out;
}

// The squared error of `values` by the squares of `right`.
double Deviation(std::span<const float> right, std::span<const float> values) {
  double error = 0, all = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    error += (values[i] - right[i]) * (values[i] - right[i]);
    all += right[i] * right[i];
  }
  return error / all;
}

// Of one pass: the fastest of as many as fit in the time.
Result<double> SecondsOf(Backend* backend, const std::shared_ptr<const Plan>& plan, int64_t tokens,
                         double most) {
  CompileOptions options;
  options.max_batch_tokens = tokens;
  options.exact_below_bytes = 0;  // a single matrix is not a small model
  PUNA_ASSIGN_OR_RETURN(const auto program, backend->Compile(plan, options));
  std::vector<int32_t> ids(static_cast<size_t>(tokens), 1), outputs = {0};
  std::vector<Segment> segments(1);
  segments[0].tokens = tokens;
  const Batch batch = BatchOf(ids, segments, outputs);
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
               const std::string& tile, double deviation, const Arguments& arguments) {
  const std::vector<std::string> sides = Split(shape, 'x');
  const int64_t rows = Number(sides[0]), cols = Number(sides.back());
  const int64_t bytes = rows * quant::BytesFor(type.type, cols);
  for (const std::string& count : arguments.tokens) {
    const int64_t tokens = Number(count);
    // More than the largest cache of a GPU, where reading is what takes the time.
    const int64_t read = int64_t{tokens > 64 ? 32 : 256} << 20;
    const int64_t products = std::clamp<int64_t>(read / bytes, 2, 64);
    const auto one = MakePlan(type, rows, cols, 1), many = MakePlan(type, rows, cols, products + 1);
    PUNA_ASSIGN_OR_RETURN(const double base,
                          SecondsOf(backend, one, tokens, arguments.seconds / 4));
    PUNA_ASSIGN_OR_RETURN(const double all, SecondsOf(backend, many, tokens, arguments.seconds));
    const double each = (all - base) / static_cast<double>(products);
    const double flops = 2.0 * static_cast<double>(rows * cols * tokens);
    fmt::print(
        "{:6} {:>12} {:>4} tokens {:22} {:9.1f} us {:8.2f} TFLOP/s {:8.1f} GB/s, off by {:.1e}\n",
        type.name, shape, tokens, tile, each * 1e6, flops / each / 1e12,
        static_cast<double>(bytes) / each / 1e9, deviation);
    std::cout.flush();
  }
  return {};
}

// One tile with all types and shapes. `right`: by type, what the product of the check is.
Status MeasureTile(const std::string& tile, const Arguments& arguments,
                   const std::map<std::string, std::vector<float>>& right) {
  const std::vector<std::string> parts = Split(tile, ':');
  const auto backend =
      CreateVulkanBackend({.name = arguments.device},
                          {.unit = parts.size() > 1 ? UnitNamed(parts.front()) : arguments.unit,
                           .tile = TileOf(parts.back())});
  if (!backend) return tl::unexpected<Error>(backend.error());
  for (const std::string& name : arguments.types) {
    const quant::TypeTraits& type = *TypeNamed(name);
    PUNA_ASSIGN_OR_RETURN(const std::vector<float> values, ProductOf(backend->get(), type));
    const double deviation = Deviation(right.at(name), values);
    // Two factors, each rounded to float16.
    if (!(deviation < 1e-6)) {
      fmt::print("{:6} {} is WRONG, off by {:.1e}\n", name, tile, deviation);
      continue;
    }
    for (const std::string& shape : arguments.shapes)
      PUNA_RETURN_IF_ERROR(Measure(backend->get(), type, shape, tile, deviation, arguments));
  }
  return {};
}

Status MeasureAll(const Arguments& arguments) {
  std::map<std::string, std::vector<float>> right;
  PUNA_ASSIGN_OR_RETURN(
      const auto exact,
      CreateVulkanBackend({.name = arguments.device}, {.unit = MatrixOptions::Unit::kNone}));
  for (const std::string& name : arguments.types) {
    const quant::TypeTraits* type = TypeNamed(name);
    if (type == nullptr || type->encode == nullptr)
      return MakeError(ErrorCode::kInvalidArgument, "no type {}", name);
    PUNA_ASSIGN_OR_RETURN(right[name], ProductOf(exact.get(), *type));
  }
  for (const std::string& tile : arguments.tiles) {
    const Status status = MeasureTile(tile, arguments, right);
    if (!status) fmt::print("{}: {}\n", tile, status.error().message);
    std::cout.flush();
  }
  return {};
}

int Main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--device") arguments.device = "vulkan:" + value;
    if (flag == "--unit") arguments.unit = UnitNamed(value);
    if (flag == "--types") arguments.types = Split(value, ',');
    if (flag == "--shapes") arguments.shapes = Split(value, ',');
    if (flag == "--tokens") arguments.tokens = Split(value, ',');
    if (flag == "--tiles" && value != "all") arguments.tiles = Split(value, ',');
    if (flag == "--tiles" && value == "all")
      arguments.tiles.assign(std::begin(kAllTiles), std::end(kAllTiles));
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
