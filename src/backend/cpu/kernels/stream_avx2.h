// The tiles of stream.h for AVX2: half of the rows of a group at a time, so that the sums of four
// tokens fit the sixteen registers; the second half finds its lines in the first-level cache.
//
// How levels are multiplied is simd_avx2.h's business: small ones unsigned, summed in 16 bits as
// long as they fit; those of 8 bits with their sign moved to the input; all unsigned where there is
// the dot product (kVnni).
#ifndef PUNA_BACKEND_CPU_KERNELS_STREAM_AVX2_H_
#define PUNA_BACKEND_CPU_KERNELS_STREAM_AVX2_H_

#include <immintrin.h>

#include "backend/cpu/kernels/simd_avx2.h"
#include "backend/cpu/kernels/stream.h"

namespace puna::backend::cpu {
namespace {

constexpr int kHalfRows = kGroupRows / 2;

inline __m256 EightHalves(const uint8_t* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline __m128i EightBytes(const uint8_t* from) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
}

template <bool kVnni, const R16Format& format, int kTokens>
class StreamTileAvx2 {
 public:
  static constexpr TileShape kShape = ShapeOf(format, SimdAvx2<kVnni>::kLevels);

  static void Run(const uint8_t* chunk, int64_t cols, const ChunkInput& input, float* sums) {
    alignas(64) uint8_t room[kChunk];
    const uint8_t* scales = ScaleBytes<format, 32>(chunk + PartsOf<format>(cols).scale, room);
    RunHalf<0>(chunk, scales, cols, input, sums);
    RunHalf<1>(chunk, scales, cols, input, sums + kHalfRows);
  }

 private:
  static constexpr int kBlocksOfUnit = 32 / format.block;
  static constexpr int kVectorsOfBlock = 8 / kBlocksOfUnit;
  static constexpr int kMost = StepsIn16Bits(kShape.largest);
  // Levels are multiplied as signed bytes.
  static constexpr bool kSigned = !kVnni && kMost == 0;
  // Vectors whose products are summed in 16 bits before they are widened.
  static constexpr int kRun = kVnni || kSigned          ? 1
                              : kMost < kVectorsOfBlock ? kMost
                                                        : kVectorsOfBlock;
  // Both halves ask for lines, so that memory never waits for the next first half. From twice as
  // far ahead two Zen 3 cores, which lack the dot product, read less (docs/benchmarks.md).
  static constexpr int kPrefetchLines = (format.chunk_bytes(kChunk) / 16 + 63) / 64;
  static constexpr int64_t kPrefetchBytes = kVnni ? 4608 : 2304;

  // The sums of the chunk stay integers, see simd_avx2.h.
  static constexpr bool kPairs = format.super && SimdAvx2<kVnni>::kScalePairs;

  struct Constants {
    __m256i bias = _mm256_set1_epi8(static_cast<char>(kBias));
    __m256i table;
  };

  // sums[token][16], of which 8, += half of the rows of the chunk
  template <int kHalf>
  static inline __attribute__((always_inline)) void RunHalf(const uint8_t* chunk,
                                                            const uint8_t* scales, int64_t cols,
                                                            const ChunkInput& input, float* sums) {
    static constexpr LevelTable<format.lookup, kSigned ? 0 : kShape.bias> kTable;
    Constants constants;
    constants.table =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kTable.level)));
    const R16Parts at = PartsOf<format>(cols);
    const uint8_t* planes = chunk + at.levels + kHalf * 32;
    // Super types: what the chunk adds before its d; else the running sums.
    __m256 part[kTokens];
    for (int t = 0; t < kTokens; ++t)
      part[t] = format.super ? _mm256_setzero_ps() : _mm256_load_ps(sums + t * kGroupRows);
    __m256i dot[kTokens];  // of a block; kPairs: of the chunk
    for (int t = 0; t < kTokens; ++t) dot[t] = _mm256_setzero_si256();
    for (int unit = 0; unit < static_cast<int>(cols / 32); ++unit) {
      for (int line = 0; line < kPrefetchLines; ++line) {
        _mm_prefetch(chunk + kPrefetchBytes + ((kHalf * 8 + unit) * kPrefetchLines + line) * 64,
                     _MM_HINT_T0);
      }
      const uint8_t* values = input.values + unit * 32;
      const int block = unit * kBlocksOfUnit;
      __m256i run[kTokens];
      Start(input, block, dot);
      __m256i widen[kBlocksOfUnit];
      Widen<kHalf>(scales, block, input, widen, dot);
      AddVectors<0>(planes, constants, values, widen[0], run, dot);
      if constexpr (kVectorsOfBlock == 4) {
        AddBlock<kHalf>(chunk, at, scales, block, dot, input, part);
        Start(input, block + 1, dot);
      }
      AddVectors<4>(planes, constants, values, widen[kBlocksOfUnit - 1], run, dot);
      AddBlock<kHalf>(chunk, at, scales, block + kBlocksOfUnit - 1, dot, input, part);
      planes += format.unit_bytes();
    }
    if constexpr (kPairs) {
      for (int t = 0; t < kTokens; ++t) part[t] = _mm256_cvtepi32_ps(dot[t]);
    }
    if constexpr (format.super) {
      Finish<kHalf>(chunk, at, scales, input, part, sums);
    } else {
      for (int t = 0; t < kTokens; ++t) _mm256_store_ps(sums + t * kGroupRows, part[t]);
    }
  }

  static inline __attribute__((always_inline)) void Start(const ChunkInput& input, int block,
                                                          __m256i (&dot)[kTokens]) {
    if constexpr (kPairs) return;
    for (int t = 0; t < kTokens; ++t) {
      const int32_t* start = input.start + t * kBlocks<kShape> + block;
      if constexpr (!kVnni) {
        dot[t] = TilesAvx2<false>::Start<kShape>(start);
      } else if constexpr (kShape.biased) {
        dot[t] = _mm256_srai_epi32(BroadcastDword(start), StartShift<format>());
      } else {
        dot[t] = _mm256_setzero_si256();
      }
    }
  }

  // dot += vectors [v, v + 4) of a unit. Products that may be eight vectors together are in `run`.
  template <int v>
  static inline __attribute__((always_inline)) void AddVectors(const uint8_t* planes,
                                                               const Constants& constants,
                                                               const uint8_t* values, __m256i widen,
                                                               __m256i (&run)[kTokens],
                                                               __m256i (&dot)[kTokens]) {
    AddVector<v>(planes, constants, values, widen, run, dot);
    AddVector<v + 1>(planes, constants, values, widen, run, dot);
    AddVector<v + 2>(planes, constants, values, widen, run, dot);
    AddVector<v + 3>(planes, constants, values, widen, run, dot);
  }

  template <int v>
  static inline __attribute__((always_inline)) void AddVector(const uint8_t* planes,
                                                              const Constants& constants,
                                                              const uint8_t* values, __m256i widen,
                                                              __m256i (&run)[kTokens],
                                                              __m256i (&dot)[kTokens]) {
    auto w = reinterpret_cast<__m256i>(PlaneVector<format.level_bits, 32, v>(planes));
    if constexpr (format.lookup != R16Lookup::kNone) {
      w = _mm256_shuffle_epi8(constants.table, w);
    } else if constexpr (kSigned) {
      w = _mm256_xor_si256(w, constants.bias);
    }
    for (int t = 0; t < kTokens; ++t) {
      const __m256i x = BroadcastDword(values + t * kChunk + v * 4);
      if constexpr (kVnni) {
#ifdef __AVXVNNI__
        dot[t] = _mm256_dpbusd_avx_epi32(dot[t], w, x);
#endif
      } else if constexpr (kSigned) {
        const __m256i product = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
        dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(product, widen));
      } else {
        const __m256i product = _mm256_maddubs_epi16(w, x);
        run[t] = v % kRun == 0 ? product : _mm256_add_epi16(run[t], product);
        if constexpr (v % kRun == kRun - 1)
          dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(run[t], widen));
      }
    }
  }

  // What the products of a unit's blocks are widened with: each row's scale twice, or ones. Takes
  // off `dot` what the bias of the levels will add with scales.
  template <int kHalf>
  static inline __attribute__((always_inline)) void Widen(const uint8_t* scales, int block,
                                                          const ChunkInput& input,
                                                          __m256i (&widen)[kBlocksOfUnit],
                                                          __m256i (&dot)[kTokens]) {
    constexpr int kShift = BiasShift<kShape>();
    if constexpr (!kPairs || format.unit_scales) {
      for (__m256i& ones : widen) ones = _mm256_set1_epi16(1);
      if constexpr (!kPairs) return;
      for (int t = 0; t < kTokens; ++t) {
        const int32_t* start = input.start + t * kBlocks<kShape> + block;
        dot[t] = _mm256_add_epi32(dot[t], TilesAvx2<false>::Start<kShape>(start));
      }
    } else if constexpr (kShift < 0) {
      for (int b = 0; b < kBlocksOfUnit; ++b) {
        const __m128i bytes = ScalesOf<kHalf>(scales, block + b);
        widen[b] = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(bytes, bytes));
      }
    } else {
      static_assert(kBlocksOfUnit == 2);
      const __m256i both = _mm256_cvtepi8_epi16(
          _mm_unpacklo_epi8(ScalesOf<kHalf>(scales, block), ScalesOf<kHalf>(scales, block + 1)));
      const __m256i first = _mm256_set1_epi64x(0x0504050401000100);
      const __m256i last = _mm256_set1_epi64x(0x0d0c0d0c09080908);
      const __m256i twice = _mm256_blend_epi32(first, last, 0xcc);
      widen[0] = _mm256_shuffle_epi8(both, twice);
      widen[1] = _mm256_shuffle_epi8(both, _mm256_add_epi8(twice, _mm256_set1_epi8(2)));
      const __m256i bias = _mm256_slli_epi16(both, kShift);
      for (int t = 0; t < kTokens; ++t) {
        const __m256i pair = BroadcastDword(input.sum + t * kBlocks<kShape> + block);
        dot[t] = _mm256_sub_epi32(dot[t], _mm256_madd_epi16(bias, pair));
      }
    }
  }

  // Super types, a byte for each of half of the rows.
  template <int kHalf>
  static inline __attribute__((always_inline)) __m128i ScalesOf(const uint8_t* scales, int block) {
    const int64_t row = static_cast<int64_t>(block) * kGroupRows + kHalf * kHalfRows;
    const __m128i bytes = EightBytes(scales + row);
    return format.nibble_scales ? _mm_and_si128(bytes, _mm_set1_epi8(15)) : bytes;
  }

  // Of a block, for half of the rows.
  template <int kHalf>
  static inline __attribute__((always_inline)) __m256 Scale(const uint8_t* chunk,
                                                            const uint8_t* scales, int block) {
    const int64_t row = static_cast<int64_t>(block) * kGroupRows + kHalf * kHalfRows;
    if constexpr (format.unit_scales) {
      return _mm256_set1_ps(1);
    } else if constexpr (format.super) {
      return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(ScalesOf<kHalf>(scales, block)));
    } else if constexpr (format.scale_kind == R16Scale::kE8M0) {
      // Half of the power of two, as HalfOfE8M0: below an exponent of two a subnormal.
      const __m256i e = _mm256_cvtepu8_epi32(EightBytes(chunk + row));
      const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
      const __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
      const __m256i is_tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
      return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, tiny, is_tiny));
    } else if constexpr (format.scale_kind == R16Scale::kE4M3) {
      // As HalvesOfE4M3.
      const __m128i bits = _mm_and_si128(EightBytes(chunk + row), _mm_set1_epi8(127));
      const __m128i zero = _mm_cmpeq_epi8(bits, _mm_set1_epi8(127));
      const __m128i half = _mm_slli_epi16(_mm_cvtepu8_epi16(_mm_andnot_si128(zero, bits)), 7);
      return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(128));
    } else {
      const int64_t of_d = static_cast<int64_t>(block / format.blocks_of_d) * kGroupRows;
      return EightHalves(chunk + (of_d + kHalf * kHalfRows) * 2);
    }
  }

  template <int kHalf>
  static inline __attribute__((always_inline)) void AddBlock(
      const uint8_t* chunk, const R16Parts& at, const uint8_t* scales, int block,
      const __m256i (&dot)[kTokens], const ChunkInput& input, __m256 (&part)[kTokens]) {
    if constexpr (kPairs) return;
    const __m256 scale = Scale<kHalf>(chunk, scales, block);
    for (int t = 0; t < kTokens; ++t) {
      __m256 value = _mm256_cvtepi32_ps(dot[t]);
      if constexpr (!format.super)
        value = _mm256_mul_ps(value, _mm256_set1_ps(input.scale[ScaleIndex<kShape>(t, block)]));
      part[t] = _mm256_fmadd_ps(value, scale, part[t]);
    }
    if constexpr (!format.super && format.min) {
      const int64_t row = static_cast<int64_t>(block) * kGroupRows + kHalf * kHalfRows;
      const __m256 min = EightHalves(chunk + at.m + row * 2);
      for (int t = 0; t < kTokens; ++t)
        part[t] = _mm256_fmadd_ps(_mm256_set1_ps(input.scaled_sum[t * 8 + block]), min, part[t]);
    }
  }

  // Two blocks' minimums side by side, as one 32-bit lane per row.
  template <int kHalf>
  static __m256i Minimums(const uint8_t* scales, int pair) {
    if constexpr (format.nibble_scales) {
      const uint8_t* bytes = scales + pair * 2 * kGroupRows + kHalf * kHalfRows;
      const __m256i first = _mm256_srli_epi32(_mm256_cvtepu8_epi32(EightBytes(bytes)), 4);
      const __m256i second =
          _mm256_srli_epi32(_mm256_cvtepu8_epi32(EightBytes(bytes + kGroupRows)), 4);
      return _mm256_or_si256(first, _mm256_slli_epi32(second, 16));
    } else {
      return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(
          scales + format.scale_bytes() + pair * 2 * kGroupRows + kHalf * kGroupRows)));
    }
  }

  // sums += input scale * (d * part - dmin * minimums . sums of the input)
  template <int kHalf>
  static inline __attribute__((always_inline)) void Finish(const uint8_t* chunk, const R16Parts& at,
                                                           const uint8_t* scales,
                                                           const ChunkInput& input,
                                                           __m256 (&part)[kTokens], float* sums) {
    const __m256 d = EightHalves(chunk + kHalf * kGroupRows);
    for (int t = 0; t < kTokens; ++t) part[t] = _mm256_mul_ps(part[t], d);
    if constexpr (format.min) {
      __m256i dot[kTokens];
      for (int t = 0; t < kTokens; ++t) dot[t] = _mm256_setzero_si256();
      for (int p = 0; p < kBlocks<kShape> / 2; ++p) {
        const __m256i minimums = Minimums<kHalf>(scales, p);
        for (int t = 0; t < kTokens; ++t) {
          const __m256i pair = BroadcastDword(input.sum + t * kBlocks<kShape> + 2 * p);
          dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(minimums, pair));
        }
      }
      const __m256 dmin = EightHalves(chunk + at.m + kHalf * kGroupRows);
      for (int t = 0; t < kTokens; ++t)
        part[t] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(dot[t]), dmin, part[t]);
    }
    for (int t = 0; t < kTokens; ++t) {
      float* to = sums + t * kGroupRows;
      _mm256_store_ps(to,
                      _mm256_fmadd_ps(part[t], _mm256_set1_ps(input.scale[t]), _mm256_load_ps(to)));
    }
  }
};

template <const R16Format& format, int kTokens>
using StreamTilePlain = StreamTileAvx2<false, format, kTokens>;
template <const R16Format& format, int kTokens>
using StreamTileVnni = StreamTileAvx2<true, format, kTokens>;
// As many as have their sums in registers. Eight tokens, in two tiles or in one with more sums than
// registers, are no faster than the panel.
constexpr int kMaxStreamTokens = 4;

template <const R16Format& format, bool kVnni>
void MultiplyAvx2(const MultiplyTask& task) {
  if (task.tokens > kMaxStreamTokens) {
    MultiplyR16<format, VectorKernel<format, SimdAvx2<kVnni>, TilesAvx2<kVnni>>>(task);
  } else if constexpr (kVnni) {
    MultiplyStream<format, StreamTileVnni, kMaxStreamTokens>(task);
  } else {
    MultiplyStream<format, StreamTilePlain, kMaxStreamTokens>(task);
  }
}

template <const R16Format& format, bool kVnni>
constexpr TypeKernels Avx2Row(const char* name) {
  return R16Row<format>(name, &MultiplyAvx2<format, kVnni>);
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_STREAM_AVX2_H_
