// Sums run over four independent parts, which is all the speed that ops of a few rows per pass
// need.
#include "backend/cpu/stream_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace puna::backend::cpu {
namespace {

// Sum of f(x) over n values.
template <typename F>
double SumOver(const float* x, int64_t n, F f) {
  double sum[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int lane = 0; lane < 4; ++lane) sum[lane] += f(x[i + lane]);
  }
  for (; i < n; ++i) sum[0] += f(x[i]);
  return sum[0] + sum[1] + sum[2] + sum[3];
}

double LengthOf(const float* x, int64_t n) {
  return std::sqrt(SumOver(x, n, [](double value) { return value * value; }));
}

class XieluRows final : public RowOp {
 public:
  explicit XieluRows(const XieluOp& op) : op_(op) {
    width = op.inout.width;
    column_unit = 1;
  }
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      pass.ops->xielu(pass.Row(op_.inout, row) + block.column_begin,
                      block.column_end - block.column_begin, op_.alpha_n, op_.alpha_p, op_.beta,
                      op_.epsilon);
    }
  }

 private:
  XieluOp op_;
};

class MixRows final : public RowOp {
 public:
  explicit MixRows(const MixOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    const int64_t n = op_.in.width / op_.inputs;
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const float* in = pass.Row(op_.in, row);
      const float* weights = pass.Row(op_.weights, row);
      float* out = pass.Row(op_.out, row);
      std::memset(out, 0, static_cast<size_t>(op_.out.width) * sizeof(float));
      for (int64_t j = 0; j < op_.outputs; ++j) {
        for (int64_t i = 0; i < op_.inputs; ++i) {
          pass.ops->add(out + j * n, in + i * n, weights[j * op_.inputs + i], n, out + j * n);
        }
      }
    }
  }

 private:
  MixOp op_;
};

class MatchLengthRows final : public RowOp {
 public:
  explicit MatchLengthRows(const MatchLengthOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    const int64_t n = op_.like.width;
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      const double target = LengthOf(pass.Row(op_.like, row), n);
      float* inout = pass.Row(op_.inout, row);
      for (int64_t at = 0; at < op_.inout.width; at += n) {
        const double length = LengthOf(inout + at, n);
        if (length > 0) pass.ops->scale(inout + at, n, static_cast<float>(target / length));
      }
    }
  }

 private:
  MatchLengthOp op_;
};

class CutBelowRows final : public RowOp {
 public:
  explicit CutBelowRows(const CutBelowOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    const int64_t n = op_.inout.width;
    for (int64_t row = block.row_begin; row < block.row_end; ++row) {
      float* x = pass.Row(op_.inout, row);
      const double mean =
          SumOver(x, n, [](double value) { return value; }) / static_cast<double>(n);
      const double squares =
          SumOver(x, n, [mean](double value) { return (value - mean) * (value - mean); });
      const auto cut = static_cast<float>(
          mean + op_.deviations * std::sqrt(squares / static_cast<double>(n - 1)));
      for (int64_t i = 0; i < n; ++i) x[i] = std::max(0.0f, x[i] - cut);
    }
  }

 private:
  CutBelowOp op_;
};

class SoftmaxRows final : public RowOp {
 public:
  explicit SoftmaxRows(const SoftmaxOp& op) : op_(op) {}
  void Run(const Pass& pass, const Block& block, float*) const override {
    for (int64_t row = block.row_begin; row < block.row_end; ++row)
      pass.ops->softmax(pass.Row(op_.inout, row), op_.inout.width);
  }

 private:
  SoftmaxOp op_;
};

}  // namespace

std::unique_ptr<RowOp> MakeStreamOp(const XieluOp& op) { return std::make_unique<XieluRows>(op); }
std::unique_ptr<RowOp> MakeStreamOp(const MixOp& op) { return std::make_unique<MixRows>(op); }
std::unique_ptr<RowOp> MakeStreamOp(const MatchLengthOp& op) {
  return std::make_unique<MatchLengthRows>(op);
}
std::unique_ptr<RowOp> MakeStreamOp(const CutBelowOp& op) {
  return std::make_unique<CutBelowRows>(op);
}
std::unique_ptr<RowOp> MakeStreamOp(const SoftmaxOp& op) {
  return std::make_unique<SoftmaxRows>(op);
}

}  // namespace puna::backend::cpu
