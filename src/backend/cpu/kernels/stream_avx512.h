// The tiles of stream.h for AVX-512 VNNI: a vector of levels is a register, and unpacking it is a
// few operations on any of the four vector pipes, beside dot products that leave these pipes idle.
#ifndef PUNA_BACKEND_CPU_KERNELS_STREAM_AVX512_H_
#define PUNA_BACKEND_CPU_KERNELS_STREAM_AVX512_H_

#include <immintrin.h>

#include "backend/cpu/kernels/stream.h"

namespace puna::backend::cpu {
namespace {

inline __m512i BroadcastDword(const void* from) {
  int32_t value;
  std::memcpy(&value, from, sizeof(value));
  return _mm512_set1_epi32(value);
}

// Vector v < 8 of a unit of 32 columns, unsigned. With a lookup it is value + 128, else the level
// as stored.
template <const R16Format& format, int v>
inline __attribute__((always_inline)) __m512i StreamLevels(const uint8_t* planes, __m512i table) {
  const __m512i levels = reinterpret_cast<__m512i>(PlaneVector<format.level_bits, 64, v>(planes));
  if constexpr (format.lookup == R16Lookup::kNone) return levels;
  return _mm512_shuffle_epi8(table, levels);
}

// The tile of stream.h.
template <const R16Format& format, int kTokens>
class StreamTile {
 public:
  static constexpr TileShape kShape = ShapeOf(format, Levels::kBiased);

  static void Run(const uint8_t* chunk, int64_t cols, const ChunkInput& input, float* sums) {
    static constexpr LevelTable<format.lookup, kBias> kTable;
    const __m512i table =
        _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(kTable.level)));
    const R16Parts at = PartsOf<format>(cols);
    alignas(64) uint8_t room[kChunk];
    const uint8_t* scales = ScaleBytes<format, 64>(chunk + at.scale, room);
    // Super types: what the chunk adds before its d; else the running sums.
    __m512 part[kTokens];
    for (int t = 0; t < kTokens; ++t)
      part[t] = format.super ? _mm512_setzero_ps() : _mm512_load_ps(sums + t * kGroupRows);
    const int units = static_cast<int>((format.super ? kChunk : cols) / 32);
    for (int unit = 0; unit < units; ++unit) {
      AskForLines(chunk + kAheadBytes, unit);
      AddUnit(chunk, at, scales, unit, table, input, part);
    }
    if constexpr (format.super) {
      Finish(chunk, at, scales, input, part, sums);
    } else {
      for (int t = 0; t < kTokens; ++t) _mm512_store_ps(sums + t * kGroupRows, part[t]);
    }
  }

 private:
  static constexpr int kBlocksOfUnit = 32 / format.block;
  static constexpr int kVectorsOfBlock = 8 / kBlocksOfUnit;
  // With many tokens it is cheaper to add to each vector of levels what they lack to value + 128
  // than to shift each start.
  static constexpr bool kRaised =
      kShape.biased && format.lookup == R16Lookup::kNone && format.offset < 128 && kTokens > 4;
  static constexpr int kChunkLines = static_cast<int>((format.chunk_bytes(kChunk) + 63) / 64);
  // How far ahead lines are asked for; nothing is read by it.
  static constexpr int64_t kAheadBytes = kTokens <= 2 ? 4608 : 8192;

  // The arithmetic between two misses fills the window of out-of-order execution, and then lines
  // that nobody asked for early cost their whole latency (8 tokens of Q8_0: 14 GB/s on two Zen 4
  // cores instead of 31). The input of many tokens fills the first-level cache; then lines are
  // asked into the second.
  static inline __attribute__((always_inline)) void AskForLine(const uint8_t* at) {
    if constexpr (kTokens <= 2) {
      _mm_prefetch(at, _MM_HINT_T0);
    } else {
      _mm_prefetch(at, _MM_HINT_T1);
    }
  }
  // The share of unit `unit` < 8 in the lines of a chunk. One or two tokens keep up with memory,
  // and a unit that asks for one line more now and then cost them a seventh of their speed on Zen
  // 5; the others are 5 % faster when no line is asked for twice.
  static inline __attribute__((always_inline)) void AskForLines(const uint8_t* next, int unit) {
    constexpr bool kEqual = kTokens <= 2;
    constexpr int kShare = (kChunkLines + (kEqual ? 7 : 0)) / 8;
    for (int line = 0; line < kShare; ++line) AskForLine(next + (unit * kShare + line) * 64);
    if (!kEqual && unit < kChunkLines % 8) AskForLine(next + (8 * kShare + unit) * 64);
  }

  // A block of columns, and where the chunk's scales and minimums are.
  struct Block {
    int index;
    const uint8_t* scales;
    const uint8_t* mins;
  };

  static inline __attribute__((always_inline)) void AddUnit(const uint8_t* chunk,
                                                            const R16Parts& at,
                                                            const uint8_t* scales, int unit,
                                                            __m512i table, const ChunkInput& input,
                                                            __m512 (&part)[kTokens]) {
    Block block = {unit * kBlocksOfUnit, format.super ? scales : chunk, chunk + at.m};
    const uint8_t* planes = chunk + at.levels + unit * format.unit_bytes();
    const uint8_t* values = input.values + unit * 32;
    __m512i dot[kTokens];
    Start(input, block.index, dot);
    AddVector<0>(planes, table, values, dot);
    AddVector<1>(planes, table, values, dot);
    AddVector<2>(planes, table, values, dot);
    AddVector<3>(planes, table, values, dot);
    if constexpr (kVectorsOfBlock == 4) {
      AddBlock(block, dot, input, part);
      Start(input, ++block.index, dot);
    }
    AddVector<4>(planes, table, values, dot);
    AddVector<5>(planes, table, values, dot);
    AddVector<6>(planes, table, values, dot);
    AddVector<7>(planes, table, values, dot);
    AddBlock(block, dot, input, part);
  }

  static inline __attribute__((always_inline)) void Start(const ChunkInput& input, int block,
                                                          __m512i (&dot)[kTokens]) {
    for (int t = 0; t < kTokens; ++t) {
      dot[t] = _mm512_setzero_si512();
      if constexpr (kShape.biased) {
        dot[t] = BroadcastDword(input.start + t * kBlocks<kShape> + block);
        if constexpr (StartShift<format>() > 0 && !kRaised)
          dot[t] = _mm512_srai_epi32(dot[t], StartShift<format>());
      }
    }
  }

  template <int v>
  static inline __attribute__((always_inline)) void AddVector(const uint8_t* planes, __m512i table,
                                                              const uint8_t* values,
                                                              __m512i (&dot)[kTokens]) {
    __m512i levels = StreamLevels<format, v>(planes, table);
    if constexpr (kRaised) levels = _mm512_add_epi8(levels, _mm512_set1_epi8(128 - format.offset));
    for (int t = 0; t < kTokens; ++t) {
      dot[t] = _mm512_dpbusd_epi32(dot[t], levels, BroadcastDword(values + t * kChunk + v * 4));
    }
  }

  static __m512 HalfToFloat(const uint8_t* halves) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves)));
  }

  static inline __attribute__((always_inline)) __m512 Scale(const uint8_t* scales, int block) {
    if constexpr (format.unit_scales) {
      return _mm512_set1_ps(1);
    } else if constexpr (format.super) {
      __m128i bytes = _mm_loadu_si128(
          reinterpret_cast<const __m128i*>(scales + static_cast<int64_t>(block) * kGroupRows));
      if constexpr (format.nibble_scales) bytes = _mm_and_si128(bytes, _mm_set1_epi8(15));
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    } else if constexpr (format.scale_kind == R16Scale::kE8M0) {
      // Half of the power of two, as HalfOfE8M0: below an exponent of two a subnormal.
      const __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128(
          reinterpret_cast<const __m128i*>(scales + static_cast<int64_t>(block) * kGroupRows)));
      const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
      const __m512i tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
      const __mmask16 is_tiny = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
      return _mm512_castsi512_ps(_mm512_mask_blend_epi32(is_tiny, normal, tiny));
    } else if constexpr (format.scale_kind == R16Scale::kE4M3) {
      // As HalvesOfE4M3.
      const __m128i byte = _mm_loadu_si128(
          reinterpret_cast<const __m128i*>(scales + static_cast<int64_t>(block) * kGroupRows));
      const __m128i bits = _mm_and_si128(byte, _mm_set1_epi8(127));
      const __m128i zero = _mm_cmpeq_epi8(bits, _mm_set1_epi8(127));
      const __m256i half = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_andnot_si128(zero, bits)), 7);
      return _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(128));
    } else {
      return HalfToFloat(scales +
                         static_cast<int64_t>(block / format.blocks_of_d) * kGroupRows * 2);
    }
  }

  static inline __attribute__((always_inline)) void AddBlock(const Block& block,
                                                             const __m512i (&dot)[kTokens],
                                                             const ChunkInput& input,
                                                             __m512 (&part)[kTokens]) {
    const __m512 scale = Scale(block.scales, block.index);
    for (int t = 0; t < kTokens; ++t) {
      __m512 value = _mm512_cvtepi32_ps(dot[t]);
      if constexpr (!format.super) {
        const float of_input = input.scale[ScaleIndex<kShape>(t, block.index)];
        value = _mm512_mul_ps(value, _mm512_set1_ps(of_input));
      }
      part[t] = _mm512_fmadd_ps(value, scale, part[t]);
    }
    if constexpr (!format.super && format.min) {
      const __m512 min =
          HalfToFloat(block.mins + static_cast<int64_t>(block.index) * kGroupRows * 2);
      for (int t = 0; t < kTokens; ++t) {
        part[t] =
            _mm512_fmadd_ps(_mm512_set1_ps(input.scaled_sum[t * 8 + block.index]), min, part[t]);
      }
    }
  }

  // Two blocks' minimums side by side, as one 32-bit lane per row.
  static __m512i Minimums(const uint8_t* scales, int pair) {
    if constexpr (format.nibble_scales) {
      const auto* bytes = reinterpret_cast<const __m128i*>(scales + pair * 2 * kGroupRows);
      const __m512i first = _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes)), 4);
      const __m512i second = _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes + 1)), 4);
      return _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
    } else {
      return _mm512_cvtepu8_epi16(_mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(scales + format.scale_bytes() + pair * 2 * kGroupRows)));
    }
  }

  // sums += input scale * (d * part - dmin * minimums . sums of the input)
  static inline __attribute__((always_inline)) void Finish(const uint8_t* chunk, const R16Parts& at,
                                                           const uint8_t* scales,
                                                           const ChunkInput& input,
                                                           __m512 (&part)[kTokens], float* sums) {
    const __m512 d = HalfToFloat(chunk);
    for (int t = 0; t < kTokens; ++t) part[t] = _mm512_mul_ps(part[t], d);
    if constexpr (format.min) {
      __m512i dot[kTokens];
      for (int t = 0; t < kTokens; ++t) dot[t] = _mm512_setzero_si512();
      for (int p = 0; p < kBlocks<kShape> / 2; ++p) {
        const __m512i minimums = Minimums(scales, p);
        for (int t = 0; t < kTokens; ++t) {
          const __m512i pair = BroadcastDword(input.sum + t * kBlocks<kShape> + 2 * p);
          dot[t] = _mm512_dpwssd_epi32(dot[t], minimums, pair);
        }
      }
      const __m512 dmin = HalfToFloat(chunk + at.m);
      for (int t = 0; t < kTokens; ++t)
        part[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(dot[t]), dmin, part[t]);
    }
    for (int t = 0; t < kTokens; ++t) {
      float* to = sums + t * kGroupRows;
      _mm512_store_ps(to,
                      _mm512_fmadd_ps(part[t], _mm512_set1_ps(input.scale[t]), _mm512_load_ps(to)));
    }
  }
};

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_STREAM_AVX512_H_
