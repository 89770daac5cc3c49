// For tests: plans made of random weights, and the comparison of two programs over a sequence of
// batches.
#ifndef PUNA_BACKEND_CPU_TEST_PLANS_H_
#define PUNA_BACKEND_CPU_TEST_PLANS_H_

#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/gemm.h"
#include "backend/plan.h"
#include "base/check.h"
#include "quant/quant.h"

namespace puna::backend::cpu {

// Collects weights and ops; the bytes live as long as the plan.
class PlanBuilder {
 public:
  explicit PlanBuilder(uint32_t seed) : random_(seed), plan_(std::make_shared<Plan>()) {
    bytes_ = std::make_shared<std::deque<std::vector<uint8_t>>>();
    plan_->owner = bytes_;
  }

  View Buffer(int64_t width) {
    plan_->buffer_widths.push_back(width);
    return {static_cast<int>(plan_->buffer_widths.size()) - 1, 0, width};
  }

  // Normally distributed around `mean`, encoded in `type`.
  WeightId Add(int64_t experts, int64_t rows, int64_t cols, float deviation, float mean = 0,
               quant::TensorType type = quant::TensorType::kF32) {
    std::normal_distribution<float> values(mean, deviation);
    const int64_t row_bytes = quant::BytesFor(type, cols);
    std::vector<uint8_t> data(static_cast<size_t>(experts * rows * row_bytes));
    std::vector<float> row(static_cast<size_t>(cols));
    for (int64_t r = 0; r < experts * rows; ++r) {
      for (float& value : row) value = values(random_);
      if (type == quant::TensorType::kF32) {
        std::memcpy(data.data() + r * row_bytes, row.data(), static_cast<size_t>(row_bytes));
      } else {
        quant::TraitsOf(type).encode(row.data(), cols, nullptr, data.data() + r * row_bytes);
      }
    }
    bytes_->push_back(std::move(data));
    Weight weight{.name = "w" + std::to_string(plan_->weights.size()),
                  .type = type,
                  .cols = cols,
                  .rows = rows};
    weight.experts = experts;
    weight.data = bytes_->back().data();
    plan_->weights.push_back(weight);
    return static_cast<WeightId>(plan_->weights.size()) - 1;
  }
  WeightId Matrix(int64_t rows, int64_t cols, quant::TensorType type = quant::TensorType::kF32) {
    return Add(1, rows, cols, 1.0f / std::sqrt(static_cast<float>(cols)), 0, type);
  }
  // The rows of a matrix over and over, `rows` in all, in place of that matrix.
  WeightId Repeat(WeightId id, int64_t rows) {
    Weight& weight = plan_->weights[static_cast<size_t>(id)];
    std::vector<uint8_t>& data = bytes_->back();
    const int64_t once = static_cast<int64_t>(data.size()), all = rows * weight.RowBytes();
    data.resize(static_cast<size_t>(all));
    for (int64_t at = once; at < all; at += once) {
      std::memcpy(data.data() + at, data.data(), static_cast<size_t>(std::min(once, all - at)));
    }
    weight.data = data.data();
    weight.rows = rows;
    return id;
  }
  WeightId Vector(int64_t cols, float mean = 0) { return Add(1, 1, cols, 0.3f, mean); }
  std::vector<float> Frequencies(int64_t pairs) {
    std::vector<float> frequencies;
    for (int64_t i = 0; i < pairs; ++i) {
      frequencies.push_back(std::pow(10000.0f, -static_cast<float>(i) / static_cast<float>(pairs)));
    }
    return frequencies;
  }

  void Do(Op op) { plan_->ops.push_back(std::move(op)); }
  Plan& plan() { return *plan_; }
  std::mt19937& random() { return random_; }

  // Closes the plan with `output` as its output.
  std::shared_ptr<const Plan> Finish(View output) {
    plan_->output = output;
    const Status valid = ValidatePlan(*plan_);
    CHECK(valid.has_value()) << valid.error().message;
    return plan_;
  }

 private:
  std::mt19937 random_;
  std::shared_ptr<Plan> plan_;
  std::shared_ptr<std::deque<std::vector<uint8_t>>> bytes_;
};

// Names of the instruction sets that this machine can run.
inline std::vector<std::string> AvailableIsaNames() {
  std::vector<std::string> names;
  for (const Isa isa : AvailableIsas()) names.emplace_back(IsaName(isa));
  return names;
}

// Mean squared difference over mean square of `expected`.
inline double Nmse(const std::vector<float>& actual, const std::vector<float>& expected) {
  CHECK(actual.size() == expected.size());
  double error = 0, square = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(actual[i]) - expected[i];
    error += difference * difference;
    square += static_cast<double>(expected[i]) * expected[i];
  }
  return std::isnan(error) ? INFINITY : square == 0 ? error : error / square;
}

// One segment of a batch: the next `tokens` positions of a sequence.
struct Piece {
  int sequence;
  int64_t tokens;
};

// Runs batches of sequences whose pages are taken in a scrambled order.
class Runner {
 public:
  Runner(Backend* backend, std::shared_ptr<const Plan> plan, CompileOptions options) : plan_(plan) {
    auto program = backend->Compile(plan, options);
    CHECK(program.has_value()) << program.error().message;
    program_ = *std::move(program);
    for (int64_t page = 0; page < options.kv_pages; ++page) {
      free_pages_.push_back(static_cast<int32_t>(page * 7 % options.kv_pages));
    }
  }

  // Token ids depend on sequence and position only, so any cutting of a sequence sees the same
  // ones.
  int32_t TokenAt(int sequence, int64_t position) const {
    return static_cast<int32_t>((sequence * 131 + position * 31 + position * position) %
                                plan_->vocabulary);
  }

  // `stride`: every how many rows an output is asked for; 0: none.
  std::vector<float> Run(const std::vector<Piece>& pieces, int64_t stride = 1) {
    std::vector<int32_t> tokens, outputs;
    std::vector<Segment> segments;
    for (const Piece& piece : pieces) {
      Sequence& sequence = SequenceOf(piece.sequence);
      Segment segment{static_cast<int64_t>(tokens.size()), piece.tokens, sequence.length, {}};
      for (int64_t i = 0; i < piece.tokens; ++i)
        tokens.push_back(TokenAt(piece.sequence, sequence.length++));
      while (!plan_->cache_layers.empty() &&
             static_cast<int64_t>(sequence.pages.size()) * kPageTokens < sequence.length) {
        sequence.pages.push_back(TakePage());
      }
      segments.push_back(segment);
    }
    for (size_t i = 0; i < pieces.size(); ++i)
      segments[i].pages = SequenceOf(pieces[i].sequence).pages;
    for (int64_t row = 0; stride > 0 && row < static_cast<int64_t>(tokens.size()); row += stride) {
      outputs.push_back(static_cast<int32_t>(row));
    }
    const size_t rows = plan_->pooled ? segments.size() : outputs.size();
    std::vector<float> out(rows * static_cast<size_t>(plan_->output.width), -1e30f);
    const Status ran = program_->Run({tokens, segments, outputs}, out);
    CHECK(ran.has_value()) << ran.error().message;
    return out;
  }

  // A new sequence with the first `length` positions of another: shares the whole pages, copies the
  // last.
  void Fork(int from, int to, int64_t length) {
    Sequence copy;
    copy.length = length;
    const std::vector<int32_t> pages = SequenceOf(from).pages;
    copy.pages.assign(pages.begin(), pages.begin() + (length + kPageTokens - 1) / kPageTokens);
    if (length % kPageTokens != 0) {
      copy.pages.back() = TakePage();
      program_->CopyPage(pages[copy.pages.size() - 1], copy.pages.back(), length % kPageTokens);
    }
    SequenceOf(to) = copy;
  }

  int32_t TakePage() {
    CHECK(!free_pages_.empty());
    const int32_t page = free_pages_.back();
    free_pages_.pop_back();
    return page;
  }
  Program& program() { return *program_; }

 private:
  struct Sequence {
    int64_t length = 0;
    std::vector<int32_t> pages;
  };
  Sequence& SequenceOf(int id) {
    if (static_cast<size_t>(id) >= sequences_.size())
      sequences_.resize(static_cast<size_t>(id) + 1);
    return sequences_[static_cast<size_t>(id)];
  }

  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Program> program_;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> free_pages_;
};

inline std::unique_ptr<Backend> MakeBackend(const std::string& name, const std::string& isa = "",
                                            int threads = 1) {
  auto backend = CreateBackend({.name = name, .threads = threads, .isa = isa});
  CHECK(backend.has_value()) << backend.error().message;
  return *std::move(backend);
}

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_TEST_PLANS_H_
