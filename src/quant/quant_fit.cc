// Given the levels, the best scale is a linear least squares problem with a closed answer; given
// the scale, the best levels are the nearest ones. The error as a function of both has many local
// minima, so the searches try a row of scales around the one that maps the extreme value to the
// extreme level, solve for the best scale under the levels each of them gives, and keep the one
// with the smallest error. One more round from the winner settles it.
//
// The error never has to be summed: for a least squares solution it is the weighted square sum of
// the values less scale * sum(w x l) + offset * sum(w x), so the candidate with the largest such
// gain wins.
//
// An exhaustive search over the breakpoints of the rounding was considered: it is exact, but ten
// times slower for half a percent less error.
#include "quant/quant_fit.h"

namespace puna::quant {
namespace {

// A block of values below this is stored as zeros.
constexpr float kNearlyZero = 1e-15f;

struct ScaleSums {
  float xl = 0;  // sum of w x l
  float ll = 0;  // sum of w l l
  float Gain() const { return ll > 0 ? xl * xl / ll : 0; }
};

ScaleSums SumsFor(const float* x, const float* w, int n, float inverse, int low, int high) {
  ScaleSums sums;
  for (int i = 0; i < n; ++i) {
    const auto level = static_cast<float>(RoundLevel(inverse * x[i], low, high));
    sums.xl += w[i] * x[i] * level;
    sums.ll += w[i] * level * level;
  }
  return sums;
}

struct LineSums {
  float l = 0, ll = 0, xl = 0;
};

LineSums LineSumsFor(const float* x, const float* w, int n, float inverse, float offset,
                     int max_level) {
  LineSums sums;
  for (int i = 0; i < n; ++i) {
    const auto level = static_cast<float>(RoundLevel(inverse * (x[i] - offset), max_level));
    const float weighted = w[i] * level;
    sums.l += weighted;
    sums.ll += weighted * level;
    sums.xl += weighted * x[i];
  }
  return sums;
}

}  // namespace

void LoadValues(const float* values, int n, float* out) {
  constexpr float kLimit = 1e8f;
  for (int i = 0; i < n; ++i) {
    const float value = values[i] == values[i] ? values[i] : 0.0f;
    out[i] = std::min(std::max(value, -kLimit), kLimit);
  }
}

void ErrorWeights(const float* values, int n, const float* importance, float* weights) {
  if (importance == nullptr) {
    std::fill_n(weights, n, 1.0f);
    return;
  }
  constexpr float kLimit = 1e10f;
  float square_sum = 0;
  for (int i = 0; i < n; ++i) square_sum += values[i] * values[i];
  const float mean_square = square_sum / static_cast<float>(n);
  for (int i = 0; i < n; ++i) {
    const float own = importance[i] > 0 ? std::min(importance[i], kLimit) : 0.0f;
    weights[i] = own * std::sqrt(mean_square + values[i] * values[i]);
  }
}

float FitScale(const float* x, const float* w, int n, int low, int high) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  if (largest < kNearlyZero) return 0;
  float extreme = largest;  // with its sign
  for (int i = 0; i < n; ++i) {
    if (x[i] == -largest) extreme = x[i];
  }
  const int ends[] = {high, low};
  constexpr int kSteps = 9;
  constexpr float kStep = 0.1f;
  ScaleSums best;
  for (const int end : std::span(ends).first(low < 0 ? 2 : 1)) {
    for (int step = -kSteps; step <= kSteps; ++step) {
      const float inverse = (static_cast<float>(end) + kStep * static_cast<float>(step)) / extreme;
      const ScaleSums sums = SumsFor(x, w, n, inverse, low, high);
      if (sums.Gain() > best.Gain()) best = sums;
    }
  }
  if (best.ll <= 0) return extreme / static_cast<float>(low < 0 ? low : high);
  const ScaleSums settled = SumsFor(x, w, n, best.ll / best.xl, low, high);
  if (settled.Gain() > best.Gain()) best = settled;
  return best.xl / best.ll;
}

float QuantizeScales(const float* scales, const float* weights, int n, int low, int high,
                     Half& stored, int* levels) {
  const float d = StoreHalf(FitScale(scales, weights, n, low, high), stored);
  const float inverse = InverseOf(d);
  for (int i = 0; i < n; ++i) levels[i] = RoundLevel(scales[i] * inverse, low, high);
  return d;
}

ScaleAndOffset FitScaleAndOffset(const float* x, const float* w, int n, int max_level,
                                 OffsetSign sign) {
  float low = x[0], high = x[0], sum_w = 0, sum_x = 0;
  for (int i = 0; i < n; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  if (sign == OffsetSign::kNotPositive) low = std::min(low, 0.0f);
  const float range = high - low;
  if (range < kNearlyZero) return {0, low};

  ScaleAndOffset best{range / static_cast<float>(max_level), low};
  float best_gain = 0;
  const auto try_rounding = [&](float inverse, float offset) {
    const LineSums s = LineSumsFor(x, w, n, inverse, offset, max_level);
    const float determinant = sum_w * s.ll - s.l * s.l;
    if (!(determinant > 0)) return;
    ScaleAndOffset fit{(sum_w * s.xl - sum_x * s.l) / determinant,
                       (s.ll * sum_x - s.l * s.xl) / determinant};
    if (sign == OffsetSign::kNotPositive && fit.offset > 0) fit = {s.xl / s.ll, 0};
    const float gain = fit.scale * s.xl + fit.offset * sum_x;
    if (fit.scale > 0 && gain > best_gain) {
      best = fit;
      best_gain = gain;
    }
  };
  constexpr int kSteps = 9;
  constexpr float kStep = 0.1f;
  for (int step = -kSteps; step <= kSteps; ++step) {
    try_rounding((static_cast<float>(max_level) + kStep * static_cast<float>(step)) / range, low);
  }
  for (int round = 0; round < 2; ++round) try_rounding(1 / best.scale, best.offset);
  return best;
}

}  // namespace puna::quant
