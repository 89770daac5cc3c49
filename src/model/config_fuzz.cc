// Any bytes: an error, or a plan that keeps the rules and runs. The seeds are one-layer models of
// width 8 of several families, so that most mutations hit metadata and the tensor table rather than
// weights.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "backend/reference/reference.h"
#include "base/check.h"
#include "gguf/gguf.h"
#include "model/arch/spec.h"
#include "model/config.h"
#include "model/metadata_reader.h"
#include "model/model.h"

namespace puna::model {
namespace {

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
  const backend::Segment segment{.tokens = static_cast<int64_t>(tokens.size()), .pages = pages};
  const std::unique_ptr<backend::Backend> backend = backend::CreateReferenceBackend();
  const auto program = backend->Compile(plan, {.kv_pages = 1, .max_batch_tokens = 3});
  CHECK(program.has_value()) << program.error().message;
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
  } else if (Values(**plan) <= kMaxRunValues) {
    RunPlan(*plan);
  }
}

}  // namespace
}  // namespace puna::model

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
  static const std::vector<std::string> kNames = model::SupportedArchitectures();
  const size_t choice = std::accumulate(data, data + size, size_t{0},
                                        [](size_t hash, uint8_t byte) { return hash * 31 + byte; });
  const std::string& other = kNames[choice % kNames.size()];
  model::MetadataReader reader(**file, **name);
  const auto as_other = model::arch::ReadChecked(model::arch::FindSpec(other), reader);
  if (as_other) model::PlanAndRun(*as_other, *file, as_other->embeddings_only);
  return 0;
}
