// Preparing inputs (see input_layout.h), written once for all instruction sets so that their
// results are the same bit for bit; a unit that includes this compiles it with its own flags.
// Internal linkage for that reason.
//
// Rounding is to the nearest level of a symmetric int8 scale: largest absolute value / 127, as
// GGUF's Q8_0 and Q8_K have it, or a slightly larger one if that leaves less error.
#ifndef PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_H_
#define PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/input_layout.h"

namespace puna::backend::cpu {
namespace {

inline float FloatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Largest |value|, compared as integers: the order is the same for all but NaN, which counts as
// largest.
inline float LargestMagnitude(const float* values, int count) {
  int32_t largest = 0;
  for (int i = 0; i < count; ++i) {
    int32_t bits;
    std::memcpy(&bits, values + i, sizeof(bits));
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return FloatOfBits(static_cast<uint32_t>(largest));
}

// Adding this leaves the nearest integer in the low bits of a float: 1.5 * 2^23.
constexpr float kRoundingShift = 12582912.0f;

// Rounds values * inverse to int8.
inline void RoundToInt8(const float* values, int count, float inverse, int8_t* out) {
  for (int i = 0; i < count; ++i) {
    const float shifted = values[i] * inverse + kRoundingShift;
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    out[i] = static_cast<int8_t>(bits);
  }
}

// Scales below this are taken as zero: 1 / scale must be finite.
constexpr float kSmallestMagnitude = 1e-35f;

// The sum of the squares of what RoundToInt8 leaves, in units of its levels. REQUIRES: count is a
// multiple of 16.
inline float RoundingError(const float* values, int count, float inverse) {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  for (int i = 0; i < count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float scaled = values[i + lane] * inverse;
      const float rest = scaled - ((scaled + kRoundingShift) - kRoundingShift);
      sums[lane] += rest * rest;
    }
  }
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

// How the int8 forms are computed: by code that the compiler turns into each unit's instructions.
// A unit may bring another with the same results (prepare_input_avx512.h).
struct PortableRounding {
  // Returns the scale. The largest magnitude becomes 127 or one of the levels below it, kCandidates
  // in all, whichever leaves the least error: errors are random, and for normally distributed
  // values the better of two is 8 % below the average of blocks of 32, the best of three 3 % below
  // that of 256 (in squares).
  template <int kCandidates, int kCount>
  static float Quantize(const float* values, int8_t* out) {
    const float largest = LargestMagnitude(values, kCount);
    if (largest < kSmallestMagnitude) {
      RoundToInt8(values, kCount, 0.0f, out);
      return 0.0f;
    }
    const float unit = 1.0f / largest;
    float level = 127, least = 0;
    for (int c = 0; c < kCandidates; ++c) {
      const auto candidate = static_cast<float>(127 - c);
      const float error =
          RoundingError(values, kCount, candidate * unit) * (1.0f / (candidate * candidate));
      if (c == 0 || error < least) {
        level = candidate;
        least = error;
      }
    }
    RoundToInt8(values, kCount, level * unit, out);
    return largest / level;
  }
  // sums[i] = the sum of the i-th 16 of 256 levels.
  static void SumsOf16(const int8_t* levels, int32_t (&sums)[16]) {
    for (int i = 0; i < 16; ++i) {
      sums[i] = 0;
      for (int k = 0; k < 16; ++k) sums[i] += levels[i * 16 + k];
    }
  }
};

// The columns of (token, chunk), padded with zeros to 256.
struct PaddedChunk {
  alignas(64) float padded[kChunk];
  const float* Load(const float* row, int64_t cols, int64_t chunk) {
    const int64_t count = cols - chunk * kChunk;
    if (count >= kChunk) return row + chunk * kChunk;
    for (int64_t i = 0; i < count; ++i) padded[i] = row[chunk * kChunk + i];
    for (int64_t i = count; i < kChunk; ++i) padded[i] = 0;
    return padded;
  }
};

void PrepareF32(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                int64_t cols, uint8_t* prepared) {
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const float* values = padded.Load(in + t * stride, cols, chunk);
      std::memcpy(prepared + (chunk * tokens + t) * kChunk * sizeof(float), values,
                  kChunk * sizeof(float));
    }
  }
}

// Rounds the upper half of the bits by the lower, to nearest and to even; NaN stays NaN.
inline uint16_t Bf16OfBits(uint32_t bits) {
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<uint16_t>((nan ? bits | 0x400000 : rounded) >> 16);
}

void PrepareBf16(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                 int64_t cols, uint8_t* prepared) {
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const float* values = padded.Load(in + t * stride, cols, chunk);
      auto* out = reinterpret_cast<uint16_t*>(prepared) + (chunk * tokens + t) * kChunk;
      for (int64_t i = 0; i < kChunk; ++i) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof(bits));
        out[i] = Bf16OfBits(bits);
      }
    }
  }
}

template <typename Rounding>
void PrepareInt8Block32(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                        int64_t cols, uint8_t* prepared) {
  const Int8Block32Planes planes(ChunkCount(cols), tokens);
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const float* values = padded.Load(in + t * stride, cols, chunk);
      const int64_t index = chunk * tokens + t;
      auto* out = reinterpret_cast<int8_t*>(prepared + index * kChunk);
      auto* scale = reinterpret_cast<float*>(prepared + planes.scale) + index * 8;
      auto* start = reinterpret_cast<int32_t*>(prepared + planes.start) + index * 8;
      auto* scaled_sum = reinterpret_cast<float*>(prepared + planes.scaled_sum) + index * 8;
      auto* start16 = reinterpret_cast<int32_t*>(prepared + planes.start16) + index * 16;
      for (int b = 0; b < 8; ++b)
        scale[b] = Rounding::template Quantize<2, 32>(values + b * 32, out + b * 32);
      int32_t sums[16];
      Rounding::SumsOf16(out, sums);
      for (int b = 0; b < 16; ++b) start16[b] = -128 * sums[b];
      for (int b = 0; b < 8; ++b) {
        const int32_t sum = sums[2 * b] + sums[2 * b + 1];
        start[b] = -128 * sum;
        scaled_sum[b] = scale[b] * static_cast<float>(sum);
      }
    }
  }
}

template <typename Rounding>
void PrepareInt8Block256(const float* in, int64_t stride, int64_t begin, int64_t end,
                         int64_t tokens, int64_t cols, uint8_t* prepared) {
  const Int8Block256Planes planes(ChunkCount(cols), tokens);
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const float* values = padded.Load(in + t * stride, cols, chunk);
      const int64_t index = chunk * tokens + t;
      auto* out = reinterpret_cast<int8_t*>(prepared + index * kChunk);
      reinterpret_cast<float*>(prepared + planes.scale)[index] =
          Rounding::template Quantize<3, kChunk>(values, out);
      auto* start16 = reinterpret_cast<int32_t*>(prepared + planes.start16) + index * 16;
      auto* start32 = reinterpret_cast<int32_t*>(prepared + planes.start32) + index * 8;
      auto* sum16 = reinterpret_cast<int16_t*>(prepared + planes.sum16) + index * 16;
      auto* sum32 = reinterpret_cast<int16_t*>(prepared + planes.sum32) + index * 8;
      int32_t sums[16];
      Rounding::SumsOf16(out, sums);
      for (int b = 0; b < 16; ++b) {
        sum16[b] = static_cast<int16_t>(sums[b]);
        start16[b] = -128 * sums[b];
      }
      for (int b = 0; b < 8; ++b) {
        const int32_t sum = sums[2 * b] + sums[2 * b + 1];
        sum32[b] = static_cast<int16_t>(sum);
        start32[b] = -128 * sum;
      }
    }
  }
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_H_
