// Ops over whole rows that only a few networks have: streams side by side, lengths, cut-offs.
#include <algorithm>
#include <cmath>

#include "backend/reference/reference_ops.h"

namespace puna::backend::reference {
namespace {

double LengthOf(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares);
}

}  // namespace

void Execute(const XieluOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    for (float& value : pass->At(op.inout, row)) {
      const double x = value;
      const double bent = x > 0 ? op.alpha_p * x * x
                                : op.alpha_n * (std::expm1(std::min<double>(x, op.epsilon)) - x);
      value = static_cast<float>(bent + op.beta * x);
    }
  }
}

void Execute(const MixOp& op, Pass* pass) {
  const int64_t width = op.in.width / op.inputs;
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> in = pass->At(op.in, row), weights = pass->At(op.weights, row);
    const std::span<float> out = pass->At(op.out, row);
    for (int64_t j = 0; j < op.outputs; ++j) {
      for (int64_t d = 0; d < width; ++d) {
        double sum = 0;
        for (int64_t i = 0; i < op.inputs; ++i) {
          sum += static_cast<double>(weights[static_cast<size_t>(j * op.inputs + i)]) *
                 in[static_cast<size_t>(i * width + d)];
        }
        out[static_cast<size_t>(j * width + d)] = static_cast<float>(sum);
      }
    }
  }
}

void Execute(const MatchLengthOp& op, Pass* pass) {
  const size_t width = static_cast<size_t>(op.like.width);
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<float> inout = pass->At(op.inout, row);
    const double target = LengthOf(pass->At(op.like, row));
    for (size_t begin = 0; begin < inout.size(); begin += width) {
      const std::span<float> run = inout.subspan(begin, width);
      const double length = LengthOf(run);
      if (length == 0) continue;
      for (float& value : run) value = static_cast<float>(value * target / length);
    }
  }
}

void Execute(const CutBelowOp& op, Pass* pass) {
  const double n = static_cast<double>(op.inout.width);
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<float> inout = pass->At(op.inout, row);
    double mean = 0, squares = 0;
    for (const float value : inout) mean += value / n;
    for (const float value : inout) squares += (value - mean) * (value - mean);
    const double cut = mean + op.deviations * std::sqrt(squares / (n - 1));
    for (float& value : inout) value = static_cast<float>(std::max(0.0, value - cut));
  }
}

void Execute(const SoftmaxOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<float> inout = pass->At(op.inout, row);
    const double largest = *std::max_element(inout.begin(), inout.end());
    double sum = 0;
    for (const float value : inout) sum += std::exp(value - largest);
    for (float& value : inout) value = static_cast<float>(std::exp(value - largest) / sum);
  }
}

}  // namespace puna::backend::reference
