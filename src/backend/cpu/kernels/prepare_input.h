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

// body(the 256 values, index of the piece, index of the next) for each piece (chunk, token) of the
// tokens [begin, end); indices count pieces of all tokens. The next one's values are asked for
// meanwhile: rows lie far apart, and another core has written half of them.
template <typename Body>
inline void ForPieces(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                      int64_t cols, const Body& body) {
  constexpr int64_t kLine = 64 / sizeof(float);
  PaddedChunk padded;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t next_t = t + 1 < end ? t + 1 : begin;
      const int64_t next_chunk = t + 1 < end ? chunk : chunk + 1;
      const int64_t first = next_chunk * kChunk, last = first + kChunk;
      for (int64_t i = first; i < cols && i < last; i += kLine)
        __builtin_prefetch(in + next_t * stride + i);
      body(padded.Load(in + t * stride, cols, chunk), chunk * tokens + t,
           next_chunk * tokens + next_t);
    }
  }
}

// Asks for what is about to be written: another core has read it last, and to wait for each line of
// it took half of the time of all preparation. Behind the end nothing happens.
template <typename T>
inline void AskToWrite(const T* plane, int64_t index, int64_t count) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(plane + index * count);
  for (int64_t i = 0; i < count * static_cast<int64_t>(sizeof(T)); i += 64)
    __builtin_prefetch(bytes + i, 1);
}

void PrepareF32(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                int64_t cols, uint8_t* prepared) {
  auto* out = reinterpret_cast<float*>(prepared);
  ForPieces(in, stride, begin, end, tokens, cols,
            [&](const float* values, int64_t index, int64_t next) {
              AskToWrite(out, next, kChunk);
              std::memcpy(out + index * kChunk, values, kChunk * sizeof(float));
            });
}

// Rounds the upper half of the bits by the lower, to nearest and to even; NaN stays NaN.
inline uint16_t Bf16OfBits(uint32_t bits) {
  const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<uint16_t>((nan ? bits | 0x400000 : rounded) >> 16);
}

void PrepareBf16(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                 int64_t cols, uint8_t* prepared) {
  auto* out = reinterpret_cast<uint16_t*>(prepared);
  ForPieces(in, stride, begin, end, tokens, cols,
            [&](const float* values, int64_t index, int64_t next) {
              AskToWrite(out, next, kChunk);
              for (int64_t i = 0; i < kChunk; ++i) {
                uint32_t bits;
                std::memcpy(&bits, values + i, sizeof(bits));
                out[index * kChunk + i] = Bf16OfBits(bits);
              }
            });
}

template <typename Rounding>
void PrepareInt8Block32(const float* in, int64_t stride, int64_t begin, int64_t end, int64_t tokens,
                        int64_t cols, uint8_t* prepared) {
  const Int8Block32Planes planes(ChunkCount(cols), tokens);
  auto* levels = reinterpret_cast<int8_t*>(prepared);
  auto* scales = reinterpret_cast<float*>(prepared + planes.scale);
  auto* starts = reinterpret_cast<int32_t*>(prepared + planes.start);
  auto* scaled_sums = reinterpret_cast<float*>(prepared + planes.scaled_sum);
  auto* starts16 = reinterpret_cast<int32_t*>(prepared + planes.start16);
  ForPieces(in, stride, begin, end, tokens, cols,
            [&](const float* values, int64_t index, int64_t next) {
              AskToWrite(levels, next, kChunk);
              AskToWrite(scales, next, 8);
              AskToWrite(starts, next, 8);
              AskToWrite(scaled_sums, next, 8);
              AskToWrite(starts16, next, 16);
              int8_t* out = levels + index * kChunk;
              float* scale = scales + index * 8;
              for (int b = 0; b < 8; ++b)
                scale[b] = Rounding::template Quantize<2, 32>(values + b * 32, out + b * 32);
              int32_t sums[16];
              Rounding::SumsOf16(out, sums);
              for (int b = 0; b < 16; ++b) starts16[index * 16 + b] = -128 * sums[b];
              for (int b = 0; b < 8; ++b) {
                const int32_t sum = sums[2 * b] + sums[2 * b + 1];
                starts[index * 8 + b] = -128 * sum;
                scaled_sums[index * 8 + b] = scale[b] * static_cast<float>(sum);
              }
            });
}

template <typename Rounding>
void PrepareInt8Block256(const float* in, int64_t stride, int64_t begin, int64_t end,
                         int64_t tokens, int64_t cols, uint8_t* prepared) {
  const Int8Block256Planes planes(ChunkCount(cols), tokens);
  auto* levels = reinterpret_cast<int8_t*>(prepared);
  auto* scales = reinterpret_cast<float*>(prepared + planes.scale);
  auto* starts16 = reinterpret_cast<int32_t*>(prepared + planes.start16);
  auto* starts32 = reinterpret_cast<int32_t*>(prepared + planes.start32);
  auto* sums16 = reinterpret_cast<int16_t*>(prepared + planes.sum16);
  auto* sums32 = reinterpret_cast<int16_t*>(prepared + planes.sum32);
  ForPieces(in, stride, begin, end, tokens, cols,
            [&](const float* values, int64_t index, int64_t next) {
              AskToWrite(levels, next, kChunk);
              AskToWrite(scales, next, 1);
              AskToWrite(starts16, next, 16);
              AskToWrite(starts32, next, 8);
              AskToWrite(sums16, next, 16);
              AskToWrite(sums32, next, 8);
              int8_t* out = levels + index * kChunk;
              scales[index] = Rounding::template Quantize<3, kChunk>(values, out);
              int32_t sums[16];
              Rounding::SumsOf16(out, sums);
              for (int b = 0; b < 16; ++b) {
                sums16[index * 16 + b] = static_cast<int16_t>(sums[b]);
                starts16[index * 16 + b] = -128 * sums[b];
              }
              for (int b = 0; b < 8; ++b) {
                const int32_t sum = sums[2 * b] + sums[2 * b + 1];
                sums32[index * 8 + b] = static_cast<int16_t>(sum);
                starts32[index * 8 + b] = -128 * sum;
              }
            });
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_PREPARE_INPUT_H_
