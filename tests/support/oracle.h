// Recorded outputs of another engine (NAME.gguf, NAME.tokens, NAME.expected.f32) and how to compare
// with them.
#ifndef TESTS_SUPPORT_ORACLE_H_
#define TESTS_SUPPORT_ORACLE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace puna::testing {

struct Oracle {
  std::string name;  // "arch/llama-dense"
  std::filesystem::path gguf;
  std::vector<int32_t> tokens;
  std::vector<float> expected;  // [tokens, vocabulary], or one pooled vector
};

// All oracles of a folder, by name.
inline std::vector<Oracle> LoadOracles(const std::filesystem::path& folder) {
  std::vector<Oracle> oracles;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    Oracle oracle;
    oracle.gguf = entry.path();
    oracle.name = folder.filename().string() + "/" + entry.path().stem().string();
    const std::string stem = (folder / entry.path().stem()).string();
    std::ifstream ids(stem + ".tokens");
    oracle.tokens.assign(std::istream_iterator<int32_t>(ids), {});
    std::ifstream values(stem + ".expected.f32", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(values), {}};
    oracle.expected.resize(bytes.size() / sizeof(float));
    std::memcpy(oracle.expected.data(), bytes.data(), oracle.expected.size() * sizeof(float));
    oracles.push_back(std::move(oracle));
  }
  std::sort(oracles.begin(), oracles.end(),
            [](const Oracle& a, const Oracle& b) { return a.name < b.name; });
  return oracles;
}

// Mean squared error over mean square of what is expected. Infinite if sizes differ or a value is
// not finite.
inline double Nmse(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size() || actual.empty()) return INFINITY;
  double error = 0, square = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!std::isfinite(actual[i])) return INFINITY;
    const double difference = static_cast<double>(actual[i]) - expected[i];
    error += difference * difference;
    square += static_cast<double>(expected[i]) * expected[i];
  }
  return error / square;
}

inline constexpr int64_t kTestSlots = 16;

struct LoadedModel {
  model::ModelConfig config;
  std::shared_ptr<const backend::Plan> plan;
  std::unique_ptr<backend::Program> program;

  bool cached() const { return !plan->cache_layers.empty() || has_states(); }
  bool has_states() const { return !plan->state_layers.empty(); }
  // Pages and slots as LoadModel compiles them by default.
  model::PagePool NewPool() const { return model::PagePool(64, has_states() ? kTestSlots : 0); }
};

inline Result<LoadedModel> LoadModel(const std::filesystem::path& gguf, backend::Backend* backend,
                                     bool embeddings, backend::KvType kv_type,
                                     int64_t kv_pages = 64, int64_t state_slots = kTestSlots) {
  LoadedModel loaded;
  PUNA_ASSIGN_OR_RETURN(const std::shared_ptr<const gguf::File> file, gguf::File::Open(gguf));
  PUNA_ASSIGN_OR_RETURN(loaded.config, model::ReadConfig(*file));
  // The outputs were recorded with a context of 256 tokens, which is what chooses between long and
  // short rope factors.
  PUNA_ASSIGN_OR_RETURN(
      loaded.plan,
      model::BuildPlan(loaded.config, file, {.context_length = 256, .embeddings = embeddings}));
  backend::CompileOptions options;
  options.kv_type = kv_type;
  options.kv_pages = kv_pages;
  options.state_slots = state_slots;
  PUNA_ASSIGN_OR_RETURN(loaded.program, backend->Compile(loaded.plan, options));
  return loaded;
}

// A part of a sequence to be computed in one pass.
struct Part {
  model::PageTable* pages = nullptr;  // null for plans without a cache
  std::span<const int32_t> tokens;
  std::span<const backend::AppliedAdapter> adapters = {};
};

// The sequence begins with what an encoder makes of `text`, if the model has one. Returns the
// position at which it goes on.
inline int64_t Begin(const LoadedModel& model, model::PageTable* pages,
                     std::span<const int32_t> text,
                     std::span<const backend::AppliedAdapter> adapters = {}) {
  if (model.plan->encoder_ops == 0) return pages->length();
  const auto tokens = static_cast<int64_t>(text.size());
  if (!pages->Grow(tokens, model.program.get())) return 0;
  const backend::Segment segment{.tokens = tokens, .pages = pages->pages(), .adapters = adapters};
  const Status encoded = model.program->Run(
      {.tokens = text, .segments = {&segment, 1}, .output_rows = {}, .encodes = true}, {});
  CHECK(encoded.has_value()) << encoded.error().message;
  pages->MarkEncoded();
  return pages->length();
}

// One pass over several sequences, outputs of all rows (pooled plans: of all segments).
inline std::vector<float> RunPass(const LoadedModel& model, std::span<const Part> parts) {
  std::vector<int32_t> tokens;
  std::vector<backend::Segment> segments;
  for (const Part& part : parts) {
    backend::Segment segment;
    segment.first_row = static_cast<int64_t>(tokens.size());
    segment.tokens = static_cast<int64_t>(part.tokens.size());
    segment.adapters = part.adapters;
    if (part.pages != nullptr) {
      segment.start_position = part.pages->length();
      if (!part.pages->Grow(segment.tokens, model.program.get())) return {};
      segment.pages = part.pages->pages();
      segment.state = part.pages->read_state();
      segment.state_writes = part.pages->state_writes();
      segment.encoded = part.pages->encoded();
    }
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    segments.push_back(segment);
  }
  std::vector<int32_t> output_rows(tokens.size());
  std::iota(output_rows.begin(), output_rows.end(), 0);
  const size_t rows = model.plan->pooled ? segments.size() : tokens.size();
  std::vector<float> out(rows * static_cast<size_t>(model.plan->output.width));
  const Status ran =
      model.program->Run({.tokens = tokens, .segments = segments, .output_rows = output_rows}, out);
  CHECK(ran.has_value()) << ran.error().message;
  return out;
}

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_ORACLE_H_
