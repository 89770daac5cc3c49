// int8 kernels on AMX tiles, for 13 tokens and more. A tile product is 16 tokens x 16 rows x 64
// columns, 16384 multiply-adds in 16 cycles: eight times the vectors' rate. The r16 layout is
// already what it wants: 16 steps of a panel are its right factor, 16 tokens of the prepared input
// its left one.
//
// Scales are what stands in the way: per 32 or 16 columns, they would leave a product half or three
// quarters empty and ask for vector work after each. So:
//   Types with whole-number scales (K-quants): level * scale is a whole number of at most 13 bits.
//   It is split into two digits, high * 256 + low, and both digits are multiplied by full tiles
//   over all 256 columns: exact, two products for each 64 columns, and vector work only once per
//   256. (Rounding the product to 8 or bfloat16 bits would save one of the two and lose exactness.)
//   Types with a binary16 scale per 32 columns: half-filled products, one per block, and their
//   vector work beside them.
// Results are those of the vector kernels bit for bit, as long as the whole-number sums stay below
// 2^24 (the vector kernels add them up in floats; beyond that both are right within rounding).
//
// Tile 0-3: sums; 4: input; 5-6: levels. The vector work for one set of sums is placed between the
// products of the next and the store of their sums, so that both units are busy.
#ifndef PUNA_BACKEND_CPU_KERNELS_SIMD_AMX_H_
#define PUNA_BACKEND_CPU_KERNELS_SIMD_AMX_H_

#include <immintrin.h>

#include "backend/cpu/kernels/simd_avx512.h"

namespace puna::backend::cpu {
namespace {

constexpr int kTileTokens = 16;

// Tiles are configured per thread; released so that task switches stay cheap.
struct TileScope {
  explicit TileScope(int input_bytes) {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 7; ++tile) {
      config.row_bytes[tile] = 64;
      config.rows[tile] = 16;
    }
    config.row_bytes[4] = static_cast<uint16_t>(input_bytes);
    config.rows[5] = config.rows[6] = static_cast<uint8_t>(input_bytes / 4);
    // GCC thinks that only the first bytes are read, and may leave out what writes the others.
    asm volatile("" : : "m"(config));
    _tile_loadconfig(&config);
  }
  ~TileScope() { _tile_release(); }
};

// The compiler does not see what tile loads read.
inline void MemoryBarrier() { asm volatile("" ::: "memory"); }

struct SimdAmx : SimdAvx512 {
  static constexpr Levels kLevels = Levels::kSigned;
};

// ---- Whole-number scales.

struct AmxDigitsPanel {
  alignas(64) uint8_t low[kChunk / 4][64];
  alignas(64) int8_t high[kChunk / 4][64];
  R16Panel vector;  // scales and minimums
};

template <const R16Format& format>
struct AmxDigitsKernel {
  static constexpr TileShape shape = ShapeOf(format, Levels::kSigned);
  using Panel = AmxDigitsPanel;
  struct Scope : TileScope {
    Scope() : TileScope(64) {}
  };

  static void Unpack(const uint8_t* chunk, int64_t cols, const uint8_t* next, Panel* panel) {
    UnpackChunk<format, SimdAmx>(chunk, cols, next, &panel->vector);
    const __m512i low_bytes = _mm512_set1_epi16(0xff);
    for (int b = 0; b < kBlocks<shape>; ++b) {
      // Each row's scale in both 16-bit halves of its lane.
      __m512i scale = _mm512_cvtps_epi32(_mm512_load_ps(panel->vector.scale[b]));
      scale = _mm512_or_si512(_mm512_slli_epi32(scale, 16),
                              _mm512_and_si512(scale, _mm512_set1_epi32(0xffff)));
      for (int k = b * shape.block / 4; k < (b + 1) * shape.block / 4; ++k) {
        const __m512i level = _mm512_load_si512(panel->vector.storage[k]);
        const __m512i even =
            _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(level, 8), 8), scale);
        const __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(level, 8), scale);
        // Bit select: low_bytes ? first : second.
        const __m512i low =
            _mm512_ternarylogic_epi32(low_bytes, even, _mm512_slli_epi16(odd, 8), 0xca);
        const __m512i high =
            _mm512_ternarylogic_epi32(low_bytes, _mm512_srli_epi16(even, 8), odd, 0xca);
        _mm512_store_si512(panel->low[k], low);
        _mm512_store_si512(panel->high[k], high);
      }
    }
    MemoryBarrier();
  }

  // [group][digit][token][row]
  struct Products {
    alignas(64) int32_t value[kTileGroups][2][kTileTokens][kGroupRows];
  };

  // One of four steps, 64 columns each, of the products of 16 tokens with one chunk; their sums are
  // in tiles 0 (low) and 1 (high), 2 and 3 for the second group.
  template <int kGroups>
  static inline __attribute__((always_inline)) void Step(const Panel* panels, const uint8_t* values,
                                                         int step) {
    _tile_loadd(4, values + step * 64, kChunk);
    _tile_loadd(5, panels[0].low[step * 16], 64);
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, panels[0].high[step * 16], 64);
    _tile_dpbssd(1, 4, 6);
    if constexpr (kGroups > 1) {
      _tile_loadd(5, panels[1].low[step * 16], 64);
      _tile_dpbsud(2, 4, 5);
      _tile_loadd(6, panels[1].high[step * 16], 64);
      _tile_dpbssd(3, 4, 6);
    }
  }

  template <int kGroups>
  static inline __attribute__((always_inline)) void Zero() {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kGroups > 1) {
      _tile_zero(2);
      _tile_zero(3);
    }
  }

  template <int kGroups>
  static inline __attribute__((always_inline)) void Store(Products* products) {
    _tile_stored(0, products->value[0][0], 64);
    _tile_stored(1, products->value[0][1], 64);
    if constexpr (kGroups > 1) {
      _tile_stored(2, products->value[1][0], 64);
      _tile_stored(3, products->value[1][1], 64);
    }
    MemoryBarrier();
  }

  // Adds what tokens [begin, end) have in `products` to their sums.
  template <int kGroups>
  static inline __attribute__((always_inline)) void Add(const Products& products,
                                                        const Panel* panels,
                                                        const ChunkInput& input, int64_t begin,
                                                        int64_t end, float* sums) {
    for (int64_t t = begin; t < end; ++t) {
      for (int g = 0; g < kGroups; ++g) {
        const R16Panel& panel = panels[g].vector;
        const __m512i high = _mm512_slli_epi32(_mm512_load_si512(products.value[g][1][t]), 8);
        const __m512i dot = _mm512_add_epi32(high, _mm512_load_si512(products.value[g][0][t]));
        __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), _mm512_load_ps(panel.d));
        if constexpr (shape.min) {
          __m512i min = _mm512_setzero_si512();
          for (int p = 0; p < kBlocks<shape> / 2; ++p) {
            const __m512i pair = BroadcastDword(input.sum + t * kBlocks<shape> + 2 * p);
            min = _mm512_dpwssd_epi32(min, _mm512_load_si512(panel.min[p]), pair);
          }
          sum = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(min), _mm512_load_ps(panel.dmin), sum);
        }
        float* at = sums + (t * kTileGroups + g) * kGroupRows;
        _mm512_store_ps(at,
                        _mm512_fmadd_ps(sum, _mm512_set1_ps(input.scale[t]), _mm512_load_ps(at)));
      }
    }
  }

  // The vector work of 16 tokens is cut in four and dealt between the steps of the next 16: far
  // apart, the tile products would fill the processor's window and the vector units would wait for
  // them.
  template <int kGroups>
  static void Multiply(Panel* panels, int /*blocks*/, ChunkInput input, int64_t tokens,
                       float* sums) {
    Products products[2];
    int parity = 0;
    Zero<kGroups>();
    for (int step = 0; step < 4; ++step) Step<kGroups>(panels, input.values, step);
    Store<kGroups>(&products[0]);
    for (; tokens > kTileTokens; tokens -= kTileTokens, parity ^= 1) {
      Zero<kGroups>();
#pragma GCC unroll 4
      for (int step = 0; step < 4; ++step) {
        Step<kGroups>(panels, input.values + kTileTokens * kChunk, step);
        Add<kGroups>(products[parity], panels, input, step * 4, step * 4 + 4, sums);
      }
      Store<kGroups>(&products[parity ^ 1]);
      Advance<shape>(kTileTokens, &input);
      sums += kTileTokens * kTileGroups * kGroupRows;
    }
    Add<kGroups>(products[parity], panels, input, 0, tokens, sums);
  }
};

// ---- A scale per 32 columns.

template <const R16Format& format>
struct AmxBlockKernel {
  static constexpr TileShape shape = ShapeOf(format, Levels::kSigned);
  using Panel = R16Panel;
  struct Scope : TileScope {
    Scope() : TileScope(32) {}
  };

  static void Unpack(const uint8_t* chunk, int64_t cols, const uint8_t* next, Panel* panel) {
    UnpackChunk<format, SimdAmx>(chunk, cols, next, panel);
    MemoryBarrier();
  }

  // The products of block b of 16 tokens, in tile b % 2.
  static inline __attribute__((always_inline)) void Start(const Panel& panel, const uint8_t* values,
                                                          int b) {
    _tile_loadd(4, values + b * 32, kChunk);
    _tile_loadd(5, panel.levels + b * 8 * 64, 64);
    if (b % 2 == 0) {
      _tile_zero(0);
      _tile_dpbssd(0, 4, 5);
    } else {
      _tile_zero(1);
      _tile_dpbssd(1, 4, 5);
    }
  }

  static inline __attribute__((always_inline)) void Store(
      int b, int32_t (&products)[kTileTokens][kGroupRows]) {
    if (b % 2 == 0) {
      _tile_stored(0, products, 64);
    } else {
      _tile_stored(1, products, 64);
    }
    MemoryBarrier();
  }

  // sum[t] += products of block b, scaled.
  static inline __attribute__((always_inline)) void Add(
      const int32_t (&products)[kTileTokens][kGroupRows], const Panel& panel,
      const ChunkInput& input, int b, __m512 (&sum)[kTileTokens]) {
    const __m512 scale = _mm512_load_ps(panel.scale[b]);
#pragma GCC unroll 16
    for (int t = 0; t < kTileTokens; ++t) {
      const __m512 dot = _mm512_cvtepi32_ps(_mm512_load_si512(products[t]));
      sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(dot, _mm512_set1_ps(input.scale[t * 8 + b])), scale,
                               sum[t]);
      if constexpr (shape.min) {
        const __m512 scaled_sum = _mm512_set1_ps(input.scaled_sum[t * 8 + b]);
        sum[t] = _mm512_fmadd_ps(scaled_sum, _mm512_load_ps(panel.block_min[b]), sum[t]);
      }
    }
  }

  // One group x 16 tokens; what is computed for tokens from `tokens` on is not stored. While block
  // b + 1 is multiplied, block b - 1 is added: its products were stored long enough ago to be
  // loaded without waiting.
  static void Tile(const Panel& panel, int blocks, const ChunkInput& input, int64_t tokens,
                   float* sums) {
    alignas(64) int32_t products[2][kTileTokens][kGroupRows];
    __m512 sum[kTileTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTileTokens; ++t) {
      sum[t] =
          t < tokens ? _mm512_load_ps(sums + t * kTileGroups * kGroupRows) : _mm512_setzero_ps();
    }
    Start(panel, input.values, 0);
    for (int b = 0; b < blocks; ++b) {
      if (b + 1 < blocks) Start(panel, input.values, b + 1);
      if (b > 0) Add(products[(b - 1) % 2], panel, input, b - 1, sum);
      Store(b, products[b % 2]);
    }
    Add(products[(blocks - 1) % 2], panel, input, blocks - 1, sum);
#pragma GCC unroll 16
    for (int t = 0; t < kTileTokens; ++t) {
      if (t < tokens) _mm512_store_ps(sums + t * kTileGroups * kGroupRows, sum[t]);
    }
  }

  template <int kGroups>
  static void Multiply(Panel* panels, int blocks, ChunkInput input, int64_t tokens, float* sums) {
    for (; tokens > 0; tokens -= kTileTokens) {
      for (int g = 0; g < kGroups; ++g)
        Tile(panels[g], blocks, input, tokens, sums + g * kGroupRows);
      Advance<shape>(kTileTokens, &input);
      sums += kTileTokens * kTileGroups * kGroupRows;
    }
  }
};

// Below this many tokens the vector kernels are faster.
constexpr int64_t kAmxTokens = 13;

template <const R16Format& format, template <const R16Format&> typename Kernel>
void MultiplyAmx(const MultiplyTask& task) {
  if (task.tokens < kAmxTokens)
    return MultiplyR16<format, VectorKernel<format, SimdAvx512, TilesAvx512>>(task);
  MultiplyR16<format, Kernel<format>>(task);
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_SIMD_AMX_H_
