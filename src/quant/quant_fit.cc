// Given the levels, the best scale is a linear least squares problem with a closed answer; given
// the scale, the best levels are the nearest ones. The error as a function of both has many local
// minima, so the searches try a row of scales around the one that maps the extreme value to the
// extreme level, solve for the best scale under the levels each of them gives, and keep the one
// with the smallest error. One more round from the winner settles it.
//
// With an offset, a coarser or finer scale also has to be placed: once from the smallest value up,
// so that only large values are clipped, and once around the middle, so that both ends are.
//
// The error never has to be summed: it is the weighted square sum of the values less a gain that
// follows from sums over the levels, so the candidate with the largest gain wins.
//
// The tests compare with trying thousands of scales: the square error is at most 3 % above that.
#include "quant/quant_fit.h"

#include <limits>
#include <span>

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

// Error of values under a fixed scale and offset.
float ErrorUnder(const float* x, const float* w, int n, float scale, float offset, int max_level) {
  const float inverse = InverseOf(scale);
  float error = 0;
  for (int i = 0; i < n; ++i) {
    const auto level = static_cast<float>(RoundLevel((x[i] - offset) * inverse, max_level));
    const float difference = x[i] - offset - scale * level;
    error += w[i] * difference * difference;
  }
  return error;
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

void ChooseBestPair(const float* x, const float* w, int n, float d, float dmin, int max_multiple,
                    int max_level, int* scale, int* min) {
  const int first_scale = std::max(*scale - 1, 0), last_scale = std::min(*scale + 1, max_multiple);
  const int first_min = std::max(*min - 1, 0), last_min = std::min(*min + 1, max_multiple);
  float least = std::numeric_limits<float>::infinity();
  for (int s = first_scale; s <= last_scale; ++s) {
    for (int m = first_min; m <= last_min; ++m) {
      const float error =
          ErrorUnder(x, w, n, d * static_cast<float>(s), -dmin * static_cast<float>(m), max_level);
      if (error < least) {
        least = error;
        *scale = s;
        *min = m;
      }
    }
  }
}

ScaleAndOffset FitScaleAndOffset(const float* x, const float* w, int n, int max_level,
                                 OffsetSign sign) {
  float low = x[0], high = x[0];
  for (int i = 0; i < n; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  if (sign == OffsetSign::kNotPositive) low = std::min(low, 0.0f);
  const float range = high - low;
  if (range < kNearlyZero) return {0, low};

  // From here on all values and offsets are above `low`: a large common offset would drown the sums
  // in rounding errors.
  float shifted[kMaxFitted];
  float sum_w = 0, sum_x = 0;
  for (int i = 0; i < n; ++i) {
    shifted[i] = x[i] - low;
    sum_w += w[i];
    sum_x += w[i] * shifted[i];
  }
  ScaleAndOffset best{range / static_cast<float>(max_level), 0};
  float best_gain = 0;
  const auto try_rounding = [&](float inverse, float offset) {
    const LineSums s = LineSumsFor(shifted, w, n, inverse, offset, max_level);
    const float determinant = sum_w * s.ll - s.l * s.l;
    if (!(determinant > 0)) return;
    ScaleAndOffset fit{(sum_w * s.xl - sum_x * s.l) / determinant,
                       (s.ll * sum_x - s.l * s.xl) / determinant};
    if (sign == OffsetSign::kNotPositive && fit.offset > -low)
      fit = {(s.xl + low * s.l) / s.ll, -low};
    const float gain = 2 * (fit.scale * s.xl + fit.offset * sum_x) - fit.scale * fit.scale * s.ll -
                       fit.offset * (2 * fit.scale * s.l + fit.offset * sum_w);
    if (fit.scale > 0 && gain > best_gain) {
      best = fit;
      best_gain = gain;
    }
  };
  constexpr int kSteps = 9;
  constexpr float kStep = 0.1f;
  for (int step = -kSteps; step <= kSteps; ++step) {
    const float inverse =
        (static_cast<float>(max_level) + kStep * static_cast<float>(step)) / range;
    try_rounding(inverse, 0);
    try_rounding(inverse, (range - static_cast<float>(max_level) / inverse) / 2);
  }
  for (int round = 0; round < 2; ++round) try_rounding(1 / best.scale, best.offset);
  return {best.scale, best.offset + low};
}

}  // namespace puna::quant
