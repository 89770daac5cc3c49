// A Program that is no network: the pages of its cache hold token ids, and its logits are a hash of
// all the tokens that a row sees through its pages. Whoever mixes up pages, positions or rows gets
// other tokens, and it is fast enough for thousands of steps. With state slots the history is in
// them, as with recurrent layers.
#ifndef TESTS_SUPPORT_HISTORY_PROGRAM_H_
#define TESTS_SUPPORT_HISTORY_PROGRAM_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"

namespace puna::testing {

class HistoryProgram : public backend::Program {
 public:
  HistoryProgram(int64_t vocabulary, int64_t pages, int64_t max_rows, int64_t state_slots = 0)
      : vocabulary_(vocabulary),
        max_rows_(max_rows),
        pages_(static_cast<size_t>(pages)),
        slots_(static_cast<size_t>(state_slots)) {
    for (Page& page : pages_) page.fill(-1);
  }

  // The logits after a sequence: what Run must return for its last token.
  static std::vector<float> LogitsAfter(const std::vector<int32_t>& tokens, int64_t vocabulary) {
    uint64_t history = kNothing;
    for (const int32_t token : tokens) history = After(history, token);
    return LogitsOf(history, vocabulary);
  }
  static std::vector<float> LogitsOf(uint64_t history, int64_t vocabulary) {
    std::vector<float> logits(static_cast<size_t>(vocabulary));
    for (size_t v = 0; v < logits.size(); ++v) {
      logits[v] = static_cast<float>(Mix(history + v) >> 40) * (8.0f / (1 << 24)) - 4.0f;
    }
    return logits;
  }

  Status Run(const backend::Batch& batch, std::span<float> out) override {
    ++runs;
    rows += static_cast<int64_t>(batch.tokens.size());
    outputs += static_cast<int64_t>(batch.output_rows.size());
    CHECK(static_cast<int64_t>(batch.tokens.size()) <= max_rows_) << batch.tokens.size() << " rows";
    CHECK(out.size() == batch.output_rows.size() * static_cast<size_t>(vocabulary_));
    if (before_run) before_run();
    for (const backend::Segment& segment : batch.segments) {
      for (int64_t i = 0; i < segment.tokens; ++i) {
        At(segment, segment.start_position + i) =
            batch.tokens[static_cast<size_t>(segment.first_row + i)];
      }
    }
    const std::vector<uint64_t> histories = RunStates(batch);
    for (size_t i = 0; i < batch.output_rows.size(); ++i) {
      const int32_t row = batch.output_rows[i];
      const std::vector<float> logits =
          slots_.empty() ? LogitsAfter(VisibleFrom(batch, row), vocabulary_)
                         : LogitsOf(histories[static_cast<size_t>(row)], vocabulary_);
      std::copy(logits.begin(), logits.end(),
                out.begin() + static_cast<std::ptrdiff_t>(i * logits.size()));
    }
    if (after_run) after_run();
    return {};
  }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    std::copy_n(pages_[static_cast<size_t>(from)].begin(), tokens,
                pages_[static_cast<size_t>(to)].begin());
  }
  // As if its memory were gone.
  void ReleasePage(int32_t page) override {
    pages_[static_cast<size_t>(page)].fill(-1);
    if (on_release) on_release(page);
  }
  bool Settle(double seconds) override { return on_settle && on_settle(seconds); }
  std::span<uint8_t> PageBytes(int32_t page) override {
    Page& bytes = pages_[static_cast<size_t>(page)];
    return {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size() * sizeof(bytes[0])};
  }
  std::string PageFormat() const override { return "history"; }
  backend::MemoryUse memory_use() const override {
    return {.weights = 1000, .kv_page = 10, .state_slot = 20, .activations = 100};
  }
  std::string Describe() const override { return "history"; }

  std::function<void()> before_run, after_run;
  std::function<void(int32_t)> on_release;
  std::function<bool(double)> on_settle;
  int64_t runs = 0, rows = 0, outputs = 0;

 private:
  using Page = std::array<int32_t, backend::kPageTokens>;
  static constexpr uint64_t kNothing = 0x9E3779B97F4A7C15u;
  static uint64_t After(uint64_t history, int32_t token) {
    return Mix(history ^ (static_cast<uint64_t>(token) + 1));
  }
  // Nobody reads a slot that another segment writes.
  static void CheckSlots(const backend::Batch& batch) {
    for (const backend::Segment& reader : batch.segments) {
      for (const backend::Segment& writer : batch.segments) {
        for (const backend::StateWrite& write : writer.state_writes) {
          CHECK(&reader == &writer || reader.start_position == 0 || reader.state != write.slot)
              << "slot " << write.slot << " is read and written";
        }
      }
    }
  }
  // The history of each row, from the states; all slots are read before one is written.
  std::vector<uint64_t> RunStates(const backend::Batch& batch) {
    std::vector<uint64_t> histories(slots_.empty() ? 0 : batch.tokens.size());
    if (slots_.empty()) return histories;
    CheckSlots(batch);
    std::vector<std::pair<int32_t, uint64_t>> writes;
    for (const backend::Segment& segment : batch.segments) {
      uint64_t history =
          segment.start_position == 0 ? kNothing : slots_.at(static_cast<size_t>(segment.state));
      size_t next = 0;
      for (int64_t i = 0; i < segment.tokens; ++i) {
        const auto row = static_cast<size_t>(segment.first_row + i);
        histories[row] = history = After(history, batch.tokens[row]);
        if (next == segment.state_writes.size() || segment.state_writes[next].tokens != i + 1)
          continue;
        writes.emplace_back(segment.state_writes[next++].slot, history);
      }
      CHECK(next == segment.state_writes.size()) << "states that no token reaches";
    }
    for (const auto& [slot, history] : writes) {
      for (const auto& [other, unused] : writes)
        CHECK(&other == &slot || other != slot) << "slot " << slot << " is written twice";
      slots_.at(static_cast<size_t>(slot)) = history;
    }
    return histories;
  }
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
  std::vector<uint64_t> slots_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_HISTORY_PROGRAM_H_
