// A Program that is no network: the pages of its cache hold token ids, and its logits are a hash of
// all the tokens that a row sees through its pages. Whoever mixes up pages, positions or rows gets
// other tokens, and it is fast enough for thousands of steps.
#ifndef TESTS_SUPPORT_HISTORY_PROGRAM_H_
#define TESTS_SUPPORT_HISTORY_PROGRAM_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"

namespace puna::testing {

class HistoryProgram : public backend::Program {
 public:
  HistoryProgram(int64_t vocabulary, int64_t pages, int64_t max_rows)
      : vocabulary_(vocabulary), max_rows_(max_rows), pages_(static_cast<size_t>(pages)) {
    for (Page& page : pages_) page.fill(-1);
  }

  // The logits after a sequence: what Run must return for its last token.
  static std::vector<float> LogitsAfter(const std::vector<int32_t>& tokens, int64_t vocabulary) {
    uint64_t history = 0x9E3779B97F4A7C15u;
    for (const int32_t token : tokens) history = Mix(history ^ (static_cast<uint64_t>(token) + 1));
    std::vector<float> logits(static_cast<size_t>(vocabulary));
    for (size_t v = 0; v < logits.size(); ++v) {
      logits[v] = static_cast<float>(Mix(history + v) >> 40) * (8.0f / (1 << 24)) - 4.0f;
    }
    return logits;
  }

  void Run(const backend::Batch& batch, std::span<float> out) override {
    ++runs;
    rows += static_cast<int64_t>(batch.tokens.size());
    CHECK(static_cast<int64_t>(batch.tokens.size()) <= max_rows_) << batch.tokens.size() << " rows";
    CHECK(out.size() == batch.output_rows.size() * static_cast<size_t>(vocabulary_));
    if (before_run) before_run();
    for (const backend::Segment& segment : batch.segments) {
      for (int64_t i = 0; i < segment.tokens; ++i) {
        At(segment, segment.start_position + i) =
            batch.tokens[static_cast<size_t>(segment.first_row + i)];
      }
    }
    for (size_t i = 0; i < batch.output_rows.size(); ++i) {
      const std::vector<float> logits =
          LogitsAfter(VisibleFrom(batch, batch.output_rows[i]), vocabulary_);
      std::copy(logits.begin(), logits.end(),
                out.begin() + static_cast<std::ptrdiff_t>(i * logits.size()));
    }
    if (after_run) after_run();
  }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    std::copy_n(pages_[static_cast<size_t>(from)].begin(), tokens,
                pages_[static_cast<size_t>(to)].begin());
  }
  void ReleasePage(int32_t) override {}
  backend::MemoryUse memory_use() const override {
    return {.weights = 1000, .kv_page = 10, .activations = 100};
  }
  std::string Describe() const override { return "history"; }

  std::function<void()> before_run, after_run;
  int64_t runs = 0, rows = 0;

 private:
  using Page = std::array<int32_t, backend::kPageTokens>;
  static uint64_t Mix(uint64_t x) {  // splitmix64
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  }
  int32_t& At(const backend::Segment& segment, int64_t position) {
    const auto page =
        static_cast<size_t>(segment.pages[static_cast<size_t>(position / backend::kPageTokens)]);
    return pages_[page][static_cast<size_t>(position % backend::kPageTokens)];
  }
  std::vector<int32_t> VisibleFrom(const backend::Batch& batch, int32_t row) {
    for (const backend::Segment& segment : batch.segments) {
      if (row < segment.first_row || row >= segment.first_row + segment.tokens) continue;
      std::vector<int32_t> tokens;
      for (int64_t p = 0; p <= segment.start_position + row - segment.first_row; ++p)
        tokens.push_back(At(segment, p));
      return tokens;
    }
    CHECK(false) << "row " << row << " is in no segment";
    return {};
  }

  int64_t vocabulary_, max_rows_;
  std::vector<Page> pages_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_HISTORY_PROGRAM_H_
