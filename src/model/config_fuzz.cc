// Any bytes: an error, or a plan that keeps the rules and runs. The seeds are one-layer models of
// width 8 of several families, so that most mutations hit metadata and the tensor table rather than
// weights; where the shared folder is, its models of every architecture too. The mutator of this
// file changes one thing or a few that the file says: a key's value, type or name, a tensor's
// shape, type or name.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/reference/reference.h"
#include "base/check.h"
#include "gguf/gguf.h"
#include "model/arch/spec.h"
#include "model/config.h"
#include "model/metadata_reader.h"
#include "model/model.h"

namespace puna::model {
namespace {

// Overwrites `value` at `bytes`, if that is inside.
template <typename T>
void Put(std::span<uint8_t> file, const uint8_t* bytes, T value) {
  const auto at = static_cast<size_t>(bytes - file.data());
  if (at <= file.size() && sizeof value <= file.size() - at)
    std::memcpy(file.data() + at, &value, sizeof value);
}

template <typename T>
T Get(std::span<const uint8_t> file, const uint8_t* bytes) {
  T value{};
  const auto at = static_cast<size_t>(bytes - file.data());
  if (at <= file.size() && sizeof value <= file.size() - at)
    std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

// Small numbers that are sizes of something near, and those that break arithmetic.
uint64_t Interesting(std::mt19937& random, uint64_t old) {
  constexpr uint64_t kNumbers[] = {0,
                                   1,
                                   2,
                                   3,
                                   4,
                                   7,
                                   8,
                                   16,
                                   31,
                                   32,
                                   33,
                                   64,
                                   127,
                                   128,
                                   256,
                                   4096,
                                   uint64_t{1} << 20,
                                   uint64_t{1} << 24,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   ~uint64_t{0} >> 1,
                                   ~uint64_t{0}};
  switch (random() % 4) {
    case 0:
      return old + 1;
    case 1:
      return old - 1;
    case 2:
      return random() % 2 == 0 ? old * 2 : old / 2;
    default:
      return kNumbers[random() % std::size(kNumbers)];
  }
}

void MutateKey(std::mt19937& random, std::span<uint8_t> file, const gguf::KeyValue& entry) {
  if (entry.key.empty()) return;
  const auto* name = reinterpret_cast<const uint8_t*>(entry.key.data());
  const uint8_t* type = name + entry.key.size();
  switch (random() % 8) {
    case 0:  // as if it were not there
      Put<uint8_t>(file, name + random() % entry.key.size(), 'X');
      return;
    case 1: {  // types of four bytes: uint32, int32, float32
      constexpr uint32_t kTypes[] = {4, 5, 6};
      Put(file, type, kTypes[random() % 3]);
      return;
    }
    default:
      break;
  }
  if (const auto* array = std::get_if<std::shared_ptr<const gguf::Array>>(&entry.value)) {
    const std::span<const uint8_t> bytes = (*array)->bytes();
    if (bytes.size() < 4) return;
    const uint8_t* element = bytes.data() + random() % (bytes.size() / 4) * 4;
    Put(file, element, static_cast<uint32_t>(Interesting(random, Get<uint32_t>(file, element))));
    return;
  }
  const uint8_t* value = type + 4;
  if (std::holds_alternative<bool>(entry.value)) {
    Put(file, value, static_cast<uint8_t>(random() % 2));
  } else if (std::holds_alternative<float>(entry.value)) {
    constexpr float kNumbers[] = {0, -1, 1, 1e-30f, 1e30f, NAN, INFINITY, -INFINITY};
    Put(file, value, kNumbers[random() % std::size(kNumbers)]);
  } else if (std::holds_alternative<std::string_view>(entry.value)) {
    const std::string_view text = std::get<std::string_view>(entry.value);
    if (!text.empty()) Put<uint8_t>(file, value + 8 + random() % text.size(), 'a' + random() % 26);
  } else {
    Put(file, value, static_cast<uint32_t>(Interesting(random, Get<uint32_t>(file, value))));
  }
}

void MutateTensor(std::mt19937& random, std::span<uint8_t> file, const gguf::Tensor& tensor) {
  if (tensor.name.empty()) return;
  const auto* name = reinterpret_cast<const uint8_t*>(tensor.name.data());
  const uint8_t* dims = name + tensor.name.size() + 4;
  const uint8_t* type = dims + 8 * tensor.n_dims;
  switch (random() % 5) {
    case 0:
      Put<uint8_t>(file, name + random() % tensor.name.size(), 'X');
      return;
    case 1:
      Put(file, type, static_cast<uint32_t>(random() % 43));
      break;
    case 2:  // the same number of values in other dimensions
      if (tensor.n_dims < 2) break;
      Put(file, dims, static_cast<uint64_t>(tensor.dims[1]));
      Put(file, dims + 8, static_cast<uint64_t>(tensor.dims[0]));
      return;
    default:
      if (tensor.n_dims == 0) return;
      const uint8_t* dim = dims + 8 * (random() % static_cast<unsigned>(tensor.n_dims));
      Put(file, dim, Interesting(random, Get<uint64_t>(file, dim)));
  }
  if (random() % 2 == 0) Put<uint64_t>(file, type + 4, 0);  // so that larger ones still fit
}

// Larger networks than this are planned but not run, to keep each input short.
constexpr int64_t kMaxRunValues = 1 << 20;

int64_t Values(const backend::Plan& plan) {
  int64_t values = 0;
  for (const backend::Weight& weight : plan.weights)
    values += weight.cols * weight.rows * weight.experts;
  for (const int64_t width : plan.buffer_widths) values += width;
  for (const backend::CacheLayer& layer : plan.cache_layers) {
    values += backend::kPageTokens * layer.kv_heads * (layer.k_size + layer.v_size);
  }
  return values;
}

void RunPlan(std::shared_ptr<const backend::Plan> plan) {
  const int64_t limit = plan->positions > 0 ? plan->positions : 3;
  std::vector<int32_t> tokens(static_cast<size_t>(std::min<int64_t>(3, limit)), 0);
  tokens.back() = static_cast<int32_t>(plan->vocabulary - 1);
  std::vector<int32_t> rows(tokens.size());
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<int32_t> pages = {0};
  backend::Segment segment{.tokens = static_cast<int64_t>(tokens.size()), .pages = pages};
  const std::unique_ptr<backend::Backend> backend = backend::CreateReferenceBackend();
  const auto program = backend->Compile(plan, {.kv_pages = 1, .max_batch_tokens = 3});
  CHECK(program.has_value()) << program.error().message;
  if (plan->encoder_ops > 0) {
    (*program)->Run({.tokens = tokens, .segments = {&segment, 1}, .encodes = true}, {});
    segment.start_position = segment.encoded = segment.tokens;
  }
  std::vector<float> out((plan->pooled ? 1 : rows.size()) *
                         static_cast<size_t>(plan->output.width));
  (*program)->Run({.tokens = tokens, .segments = {&segment, 1}, .output_rows = rows}, out);
}

void PlanAndRun(const ModelConfig& config, std::shared_ptr<const gguf::File> file,
                bool embeddings) {
  const auto plan = BuildPlan(config, std::move(file), {.embeddings = embeddings});
  if (!plan) {
    CHECK(plan.error().code != ErrorCode::kInternal) << plan.error().message;
    CHECK(!plan.error().message.empty());
    return;
  }
  static const auto cpu = *backend::CreateBackend({.name = "cpu", .threads = 1});
  const backend::MemoryUse use = cpu->Predict(**plan, {.kv_pages = 1, .max_batch_tokens = 512});
  CHECK(use.weights >= 0 && use.kv_page >= 0 && use.activations >= 0) << "memory overflows";
  if (Values(**plan) <= kMaxRunValues) RunPlan(*plan);
}

}  // namespace
}  // namespace puna::model

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t, unsigned int seed) {
  using namespace puna;  // NOLINT: the entry point has to be outside
  std::mt19937 random(seed);
  const std::span<uint8_t> bytes(data, size);
  for (unsigned round = 0, rounds = 1 + random() % 3; round < rounds; ++round) {
    const auto file = gguf::File::Parse(bytes);
    if (!file || (*file)->metadata().empty() || (*file)->tensors().empty()) return size;
    if (random() % 2 == 0) {
      const auto metadata = (*file)->metadata();
      model::MutateKey(random, bytes, metadata[random() % metadata.size()]);
    } else {
      const auto tensors = (*file)->tensors();
      model::MutateTensor(random, bytes, tensors[random() % tensors.size()]);
    }
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace puna;  // NOLINT: the entry point has to be outside
  const auto file = gguf::File::Parse({data, size});
  if (!file) return 0;
  const auto config = model::ReadConfig(**file);
  if (!config) {
    CHECK(!config.error().message.empty());
  } else {
    model::PlanAndRun(*config, *file, false);
    model::PlanAndRun(*config, *file, true);
  }
  // The same metadata and tensors as if they were of another architecture.
  const auto name = (*file)->GetString("general.architecture");
  if (!name || !*name) return 0;
  static const std::vector<model::Architecture> kAll = model::SupportedArchitectures();
  const size_t choice = std::accumulate(data, data + size, size_t{0},
                                        [](size_t hash, uint8_t byte) { return hash * 31 + byte; });
  const std::string_view other = kAll[choice % kAll.size()].name;
  model::MetadataReader reader(**file, **name);
  const auto as_other = model::arch::ReadChecked(model::arch::FindSpec(other), reader);
  if (as_other) model::PlanAndRun(*as_other, *file, as_other->embeddings_only);
  return 0;
}
