// The ops that walk along the tokens with a state. Sums and products of one token are computed in
// double; the state is float32 after every token, so that it does not matter where a pass ends.
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/reference/reference_ops.h"

namespace puna::backend::reference {
namespace {

double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

// The matrix of one head within the state of all.
class HeadState {
 public:
  HeadState(std::span<float> all, int64_t head, int64_t rows, int64_t cols)
      : values_(all.subspan(static_cast<size_t>(head * rows * cols))), cols_(cols) {}
  float& at(int64_t row, int64_t col) { return values_[static_cast<size_t>(row * cols_ + col)]; }

 private:
  std::span<float> values_;
  int64_t cols_;
};

std::span<float> Head(std::span<float> row, int64_t head, int64_t size) {
  return row.subspan(static_cast<size_t>(head * size), static_cast<size_t>(size));
}

template <typename Step>
void ForEachSegment(Pass* pass, int layer, int64_t values, Step&& step) {
  for (const Segment& segment : pass->batch.segments)
    Recur(pass->states, layer, segment, values, step);
}

void ScanHead(const ScanOp& op, Pass* pass, int64_t row, int64_t head,
              const std::vector<float>& decay, float skip, HeadState state) {
  const int64_t group = head / (op.heads / op.groups);
  const std::span<const float> b = Head(pass->At(op.b, row), group, op.state_size);
  const std::span<const float> c = Head(pass->At(op.c, row), group, op.state_size);
  const std::span<const float> x = Head(pass->At(op.x, row), head, op.head_size);
  const std::span<float> out = Head(pass->At(op.out, row), head, op.head_size);
  const bool per_value = static_cast<int64_t>(decay.size()) != op.heads;
  const double d = Softplus(pass->At(op.dt, row)[static_cast<size_t>(head)]);
  for (int64_t p = 0; p < op.head_size; ++p) {
    const size_t column = static_cast<size_t>(p);
    double sum = 0;
    for (int64_t n = 0; n < op.state_size; ++n) {
      const size_t value = static_cast<size_t>(n);
      const double rate = decay[static_cast<size_t>(per_value ? head * op.state_size + n : head)];
      const double next = std::exp(d * rate) * state.at(p, n) + d * x[column] * b[value];
      state.at(p, n) = static_cast<float>(next);
      sum += c[value] * next;
    }
    out[column] = static_cast<float>(sum + static_cast<double>(skip) * x[column]);
  }
}

// S = diag(keep) S, then S += k (beta (v - S^T k))^T; returns S^T q * scale.
void DeltaHead(const DeltaOp& op, std::span<const float> q, std::span<const float> k,
               std::span<const float> v, const std::vector<double>& keep, double beta,
               HeadState state, std::span<float> out) {
  for (int64_t column = 0; column < op.v_size; ++column) {
    double known = 0;
    for (int64_t i = 0; i < op.k_size; ++i) {
      known += keep[static_cast<size_t>(i)] * state.at(i, column) * k[static_cast<size_t>(i)];
    }
    const double change = beta * (v[static_cast<size_t>(column)] - known);
    double sum = 0;
    for (int64_t i = 0; i < op.k_size; ++i) {
      const size_t row = static_cast<size_t>(i);
      const double next = keep[row] * state.at(i, column) + k[row] * change;
      state.at(i, column) = static_cast<float>(next);
      sum += q[row] * next;
    }
    out[static_cast<size_t>(column)] = static_cast<float>(op.scale * sum);
  }
}

void WkvHead(const WkvOp& op, Pass* pass, int64_t row, int64_t head,
             const std::vector<float>& bonus, HeadState state) {
  const std::span<const float> r = Head(pass->At(op.r, row), head, op.size),
                               w = Head(pass->At(op.w, row), head, op.size),
                               k = Head(pass->At(op.k, row), head, op.size),
                               v = Head(pass->At(op.v, row), head, op.size);
  const bool erases = op.erase.buffer >= 0;
  const std::span<float> out = Head(pass->At(op.out, row), head, op.size);
  for (int64_t column = 0; column < op.size; ++column) {
    const double value = v[static_cast<size_t>(column)];
    double known = 0;
    if (erases) {
      const std::span<const float> erase = Head(pass->At(op.erase, row), head, op.size);
      for (int64_t i = 0; i < op.size; ++i)
        known += static_cast<double>(erase[static_cast<size_t>(i)]) * state.at(i, column);
    }
    double sum = 0;
    for (int64_t i = 0; i < op.size; ++i) {
      const size_t at = static_cast<size_t>(i);
      const double before = state.at(i, column), added = k[at] * value;
      double next = w[at] * before + added;
      if (erases) next += Head(pass->At(op.write, row), head, op.size)[at] * known;
      state.at(i, column) = static_cast<float>(next);
      const double seen =
          bonus.empty() ? next : before + bonus[static_cast<size_t>(head * op.size + i)] * added;
      sum += r[at] * seen;
    }
    out[static_cast<size_t>(column)] = static_cast<float>(op.scale * sum);
  }
}

}  // namespace

void Execute(const ConvolutionOp& op, Pass* pass) {
  const size_t width = static_cast<size_t>(op.in.width), kernel = static_cast<size_t>(op.kernel);
  std::vector<float> weight;
  for (size_t c = 0; op.weight != kNoWeight && c < width; ++c) {
    const std::span<const float> row = pass->weights->Row(op.weight, 0, static_cast<int64_t>(c));
    weight.insert(weight.end(), row.begin(), row.end());
  }
  const std::vector<float> bias = pass->weights->Vector(op.bias);
  const auto step = [&](int64_t row, std::span<float> state) {
    const std::span<const float> in = pass->At(op.in, row);
    const std::span<float> out = pass->At(op.out, row);
    for (size_t c = 0; c < width; ++c) {
      double sum =
          weight.empty() ? state[c] : static_cast<double>(weight[c * kernel + kernel - 1]) * in[c];
      for (size_t j = 0; !weight.empty() && j + 1 < kernel; ++j)
        sum += static_cast<double>(weight[c * kernel + j]) * state[j * width + c];
      out[c] = static_cast<float>(bias.empty() ? sum : sum + bias[c]);
    }
    std::copy(state.begin() + static_cast<ptrdiff_t>(width), state.end(), state.begin());
    std::copy(in.begin(), in.end(), state.end() - static_cast<ptrdiff_t>(width));
  };
  ForEachSegment(pass, op.state, (op.kernel - 1) * op.in.width, step);
}

void Execute(const ScanOp& op, Pass* pass) {
  const std::vector<float> decay = pass->weights->Vector(op.decay);
  const std::vector<float> skip = pass->weights->Vector(op.skip);
  const auto step = [&](int64_t row, std::span<float> state) {
    for (int64_t head = 0; head < op.heads; ++head) {
      ScanHead(op, pass, row, head, decay, skip[static_cast<size_t>(head)],
               HeadState(state, head, op.head_size, op.state_size));
    }
  };
  ForEachSegment(pass, op.state, op.heads * op.head_size * op.state_size, step);
}

void Execute(const DeltaOp& op, Pass* pass) {
  const std::vector<float> rate = pass->weights->Vector(op.rate);
  std::vector<double> keep(static_cast<size_t>(op.k_size));
  const auto step = [&](int64_t row, std::span<float> state) {
    const std::span<const float> decay = pass->At(op.decay, row);
    for (int64_t head = 0; head < op.heads; ++head) {
      const int64_t key = op.tiled ? head % op.k_heads : head / (op.heads / op.k_heads);
      const size_t h = static_cast<size_t>(head);
      for (size_t i = 0; i < keep.size(); ++i) {
        const size_t at = op.decay.width == op.heads ? h : h * keep.size() + i;
        keep[i] = std::exp(rate[h] * Softplus(decay[at]));
      }
      DeltaHead(op, Head(pass->At(op.q, row), key, op.k_size),
                Head(pass->At(op.k, row), key, op.k_size),
                Head(pass->At(op.v, row), head, op.v_size), keep, pass->At(op.beta, row)[h],
                HeadState(state, head, op.k_size, op.v_size),
                Head(pass->At(op.out, row), head, op.v_size));
    }
  };
  ForEachSegment(pass, op.state, op.heads * op.k_size * op.v_size, step);
}

void Execute(const WkvOp& op, Pass* pass) {
  const std::vector<float> bonus = pass->weights->Vector(op.bonus);
  const auto step = [&](int64_t row, std::span<float> state) {
    for (int64_t head = 0; head < op.heads; ++head)
      WkvHead(op, pass, row, head, bonus, HeadState(state, head, op.size, op.size));
  };
  ForEachSegment(pass, op.state, op.heads * op.size * op.size, step);
}

}  // namespace puna::backend::reference
