// A plan of one or a few ops whose inputs a test chooses: the input matrix is the embedding table,
// so token i brings row i.
#ifndef TESTS_SUPPORT_TINY_PLAN_H_
#define TESTS_SUPPORT_TINY_PLAN_H_

#include <cstdint>
#include <list>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"

namespace puna::testing {

class TinyPlan {
 public:
  // `input` is [rows, width]; it is what buffer 0 holds before the first op.
  TinyPlan(int64_t width, std::vector<float> input) {
    rows_ = static_cast<int64_t>(input.size()) / width;
    plan_.vocabulary = rows_;
    const backend::WeightId table = Weight(width, rows_, 1, std::move(input));
    plan_.ops.push_back(backend::EmbedOp{.table = table, .out = Buffer(width)});
  }

  backend::View Input() const { return {0, 0, plan_.buffer_widths[0]}; }
  backend::View Buffer(int64_t width) {
    plan_.buffer_widths.push_back(width);
    return {static_cast<int>(plan_.buffer_widths.size()) - 1, 0, width};
  }
  backend::WeightId Weight(int64_t cols, int64_t rows, int64_t experts, std::vector<float> values) {
    CHECK(static_cast<int64_t>(values.size()) == cols * rows * experts);
    values_.push_back(std::move(values));
    plan_.weights.push_back({.name = "test",
                             .cols = cols,
                             .rows = rows,
                             .experts = experts,
                             .data = reinterpret_cast<const uint8_t*>(values_.back().data())});
    return static_cast<backend::WeightId>(plan_.weights.size()) - 1;
  }
  backend::WeightId Vector(std::vector<float> values) {
    const int64_t size = static_cast<int64_t>(values.size());
    return Weight(size, 1, 1, std::move(values));
  }
  template <typename OpType>
  TinyPlan& Add(OpType op) {
    plan_.ops.emplace_back(std::move(op));
    return *this;
  }
  backend::Plan& plan() { return plan_; }

  // Runs all rows as consecutive tokens from `start_position` on. Plans with cache layers get pages
  // 0, 1, ...
  std::vector<float> Run(backend::Backend* backend, backend::View output,
                         int64_t start_position = 0) {
    std::vector<int32_t> tokens(static_cast<size_t>(rows_));
    std::iota(tokens.begin(), tokens.end(), 0);
    std::vector<int32_t> pages(
        static_cast<size_t>((start_position + rows_) / backend::kPageTokens + 1));
    std::iota(pages.begin(), pages.end(), 0);
    const backend::Segment segment{
        .tokens = rows_, .start_position = start_position, .pages = pages};
    return Run(backend, output,
               {.tokens = tokens, .segments = {&segment, 1}, .output_rows = tokens});
  }

  std::vector<float> Run(backend::Backend* backend, backend::View output,
                         const backend::Batch& batch) {
    plan_.output = output;
    const Status valid = backend::ValidatePlan(plan_);
    CHECK(valid.has_value()) << valid.error().message;
    auto program = backend->Compile(std::make_shared<backend::Plan>(plan_),
                                    {.kv_type = backend::KvType::kF32, .kv_pages = 16});
    CHECK(program.has_value()) << program.error().message;
    const size_t rows = plan_.pooled ? batch.segments.size() : batch.output_rows.size();
    std::vector<float> out(rows * static_cast<size_t>(output.width));
    const Status ran = (*program)->Run(batch, out);
    CHECK(ran.has_value()) << ran.error().message;
    return out;
  }

 private:
  int64_t rows_ = 0;
  std::list<std::vector<float>> values_;
  backend::Plan plan_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_TINY_PLAN_H_
