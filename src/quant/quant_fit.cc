// Given the levels, the best scale is a linear least squares problem with a closed answer; given
// the scale, the best levels are the nearest ones. The error as a function of both has many local
// minima, so the searches try a row of scales around the one that maps the extreme value to the
// extreme level, solve for the best scale under the levels each of them gives, and keep the one
// with the smallest error.
//
// With an offset, a coarser or finer scale also has to be placed: once from the smallest value up,
// so that only large values are clipped, and once around the middle, so that both ends are.
//
// The error never has to be summed: it is the weighted square sum of the values less a gain that
// follows from sums over the levels, so the candidate with the largest gain wins.
//
// The tests compare with trying thousands of scales: the square error is at most 3 % above that.
#include "quant/quant_fit.h"

#include <algorithm>
#include <limits>
#include <span>

#include "quant/quant_fit_lanes.h"

namespace puna::quant {
namespace {

// A block of values below this is stored as zeros.
constexpr float kNearlyZero = 1e-15f;

// Candidate c of a row of scales that leave `end` for the extreme value, by up to a level more or
// less; `end` itself is one of them, and one level less.
float Spread(float end, int c) {
  constexpr float kStep = 0.125f;
  return end + kStep * static_cast<float>(c - kCandidates / 2);
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
    weights[i] = own * std::sqrt(2 * mean_square + values[i] * values[i]);
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
  float best_gain = 0, scale = extreme / static_cast<float>(low < 0 ? low : high);
  for (const int end : std::span(ends).first(low < 0 ? 2 : 1)) {
    ScaleCandidates candidates;
    const float inverse = 1 / extreme;
    for (int c = 0; c < kCandidates; ++c)
      candidates.inverse[c] = Spread(static_cast<float>(end), c) * inverse;
    BestFitLoops().scales(x, w, n, low, high, &candidates);
    const float* best = std::max_element(candidates.gain, candidates.gain + kCandidates);
    if (*best <= best_gain) continue;
    best_gain = *best;
    const auto i = best - candidates.gain;
    scale = candidates.xl[i] / candidates.ll[i];
  }
  return scale;
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
  ErrorCandidates candidates = {};
  int count = 0;
  for (int s = first_scale; s <= last_scale; ++s) {
    for (int m = first_min; m <= last_min; ++m, ++count) {
      candidates.scale[count] = d * static_cast<float>(s);
      candidates.inverse[count] = InverseOf(candidates.scale[count]);
      candidates.offset[count] = -dmin * static_cast<float>(m);
    }
  }
  BestFitLoops().errors(x, w, n, max_level, &candidates);
  const float* best = std::min_element(candidates.error, candidates.error + count);
  const int mins = last_min - first_min + 1;
  const auto index = static_cast<int>(best - candidates.error);
  *scale = first_scale + index / mins;
  *min = first_min + index % mins;
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
  for (int i = 0; i < n; ++i) shifted[i] = x[i] - low;
  const float max_offset =
      sign == OffsetSign::kNotPositive ? -low : std::numeric_limits<float>::infinity();
  ScaleAndOffset best{range / static_cast<float>(max_level), 0};
  float best_gain = 0;
  const auto try_all = [&](LineCandidates* c) {
    BestFitLoops().lines(shifted, w, n, max_level, max_offset, c);
    const float* winner = std::max_element(c->gain, c->gain + kCandidates);
    if (*winner <= best_gain) return;
    best_gain = *winner;
    const auto i = winner - c->gain;
    best = {c->scale[i], c->offset[i]};
  };
  LineCandidates candidates;
  for (const bool centered : {false, true}) {
    for (int c = 0; c < kCandidates; ++c) {
      const float inverse = Spread(static_cast<float>(max_level), c) / range;
      candidates.inverse[c] = inverse;
      candidates.offset[c] =
          centered ? (range - static_cast<float>(max_level) / inverse) / 2 : 0.0f;
    }
    try_all(&candidates);
  }
  // The best so far once more from where it begins, and scales a little to both sides.
  for (int c = 0; c < kCandidates; ++c) {
    candidates.inverse[c] = (1 + 0.004f * static_cast<float>(c - kCandidates / 2)) / best.scale;
    candidates.offset[c] = best.offset;
  }
  try_all(&candidates);
  return {best.scale, best.offset + low};
}

}  // namespace puna::quant
