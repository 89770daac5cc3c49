// How encoders choose scales: least squares over a few ways of rounding. Internal to quant; thread
// safe, no state.
//
// All functions take values made harmless by LoadValues and weights from ErrorWeights, so nothing
// in them overflows or divides by zero, and they never return NaN.
#ifndef PUNA_QUANT_QUANT_FIT_H_
#define PUNA_QUANT_QUANT_FIT_H_

#include <array>
#include <cstdint>

#include "quant/quant_block.h"

namespace puna::quant {

// Copies `n` values; NaN becomes 0 and magnitudes are clamped to 1e8, about the largest that a
// block with half-precision scales can represent, which also keeps sums of fourth powers finite.
void LoadValues(const float* values, int n, float* out);

// All 1 without `importance`: the plain square error, which is what the oracle of the encoders
// measures. With it, weights[i] = importance[i] * sqrt(2 * mean square of the values +
// values[i]^2), as in llama.cpp's encoders of Q3_K to Q5_K: importance is the mean square of the
// input that meets a weight, and a large weight is more likely to matter than its input alone
// tells. (Its other encoders count the mean square once, or leave the values out; this is between.)
void ErrorWeights(const float* values, int n, const float* importance, float* weights);

inline float SumOf(const float* values, int n) {
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += values[i];
  return sum;
}

// The nearest whole number in [0, max_level] or [low, high].
inline int RoundLevel(float value, int max_level) {
  return static_cast<int>(std::min(std::max(value, 0.0f), static_cast<float>(max_level)) + 0.5f);
}
inline int RoundLevel(float value, int low, int high) {
  return RoundLevel(value - static_cast<float>(low), high - low) + low;
}

// The inverse of a scale, or 0 for scale 0 (then every value gets level 0).
inline float InverseOf(float scale) { return scale == 0 ? 0 : 1 / scale; }

// The scale that minimizes sum of weights[i] * (values[i] - scale * level[i])^2 over levels in
// [low, high]. low < 0 <= high, or low = 0 for values that are not negative. 0 if all values are
// (nearly) zero.
float FitScale(const float* values, const float* weights, int n, int low, int high);

// The most values that FitScaleAndOffset takes.
inline constexpr int kMaxFitted = 32;

// The same for value = scale * level + offset with levels in [0, max_level].
struct ScaleAndOffset {
  float scale = 0;
  float offset = 0;
};
enum class OffsetSign { kAny, kNotPositive };
ScaleAndOffset FitScaleAndOffset(const float* values, const float* weights, int n, int max_level,
                                 OffsetSign sign);

// Stores the scale of `n` sub-scales and rounds them to whole multiples of it in [low, high].
// Returns the stored scale.
float QuantizeScales(const float* scales, const float* weights, int n, int low, int high,
                     Half& stored, int* levels);

// A sub-scale and its minimum were rounded each on its own account; what counts is the error of the
// values under both, where value = d * scale * level - dmin * min with levels in [0, max_level].
// Replaces the pair by the best of its 3 x 3 neighbours in [0, max_multiple]. (For formats without
// a minimum the same gains nothing.)
void ChooseBestPair(const float* values, const float* weights, int n, float d, float dmin,
                    int max_multiple, int max_level, int* scale, int* min);

// Scale and nearest index for the levels of IQ4_NL.
float FitIq4Scale(const float* values, const float* weights, int n);
int NearestIq4(float level);

// The common part of Q4_K and Q5_K: eight sub-blocks of 32 with levels in [0, max_level].
void EncodeKBlock(const float* x, const float* importance, int max_level, Half& d, Half& dmin,
                  uint8_t (&packed_scales)[12], uint8_t (&levels)[256]);

// Calls `encode(values, importance, block)` for each block of a row.
template <typename Block, void (*encode)(const float*, const float*, Block*)>
void EncodeRow(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  auto* block = reinterpret_cast<Block*>(blocks);
  for (int64_t i = 0; i < n; i += Block::kElements) {
    std::array<float, Block::kElements> clean;
    LoadValues(values + i, Block::kElements, clean.data());
    encode(clean.data(), importance == nullptr ? nullptr : importance + i, block++);
  }
}

}  // namespace puna::quant

#endif  // PUNA_QUANT_QUANT_FIT_H_
