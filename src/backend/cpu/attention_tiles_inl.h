// Products with a page's tiles in floating point and int8, over simd_inl.h's vectors; see there for
// the rules of such units.

// c[r][v-th vector] (+)= sum over k of a[r][k] * b[v][k * ldb ...], v < kVectors.
PUNA_INLINE F32 LoadTile(const float* p) { return Load(p); }
PUNA_INLINE F32 LoadTile(const uint16_t* p) { return LoadHalf(p); }
PUNA_INLINE F32 LoadTile(const int8_t* p) { return LoadInt8(p); }

// What lies where `ahead` says, if it is not null, is fetched meanwhile: the tile that comes next
// is somewhere else in memory, where no prefetcher expects it. scaling(v, k) is what vector v of
// row k of b is to be multiplied by.
struct NoScaling {
  static constexpr bool kScales = false;
};
template <int kRows, int kVectors, bool kAccumulate, typename T, typename Scaling>
static void Product(const float* a, int64_t lda, const T* const* b, int64_t ldb, int64_t depth,
                    float* c, int64_t ldc, const T* const* ahead, const Scaling& scaling) {
  F32 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      sum[r][v] = kAccumulate ? Load(c + r * ldc + v * kLanes) : F32{};
  }
  const T* tile[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) tile[v] = b[v];
  for (int64_t k = 0; k < depth; ++k) {
    F32 column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      column[v] = LoadTile(tile[v] + k * ldb);
      if constexpr (Scaling::kScales) column[v] = column[v] * scaling(v, k);
    }
    if (ahead != nullptr) {
      for (int v = 0; v < kVectors; ++v) __builtin_prefetch(ahead[v] + k * ldb);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F32 value = Set(a[r * lda + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = Fma(value, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) Store(c + r * ldc + v * kLanes, sum[r][v]);
  }
}

// body.operator()<kRows>(row) for all rows, kRows at a time.
template <typename Body>
PUNA_INLINE void ByRows(int64_t rows, const Body& body) {
  int64_t row = 0;
  for (; row + 6 <= rows; row += 6) body.template operator()<6>(row);
  switch (rows - row) {
    case 1:
      return body.template operator()<1>(row);
    case 2:
      return body.template operator()<2>(row);
    case 3:
      return body.template operator()<3>(row);
    case 4:
      return body.template operator()<4>(row);
    case 5:
      return body.template operator()<5>(row);
    default:
      return;
  }
}

template <int kVectors, bool kAccumulate, typename T, typename Scaling = NoScaling>
static void ProductRows(int64_t rows, const float* a, int64_t lda, const T* const* b, int64_t ldb,
                        int64_t depth, float* c, int64_t ldc, const T* const* ahead = nullptr,
                        const Scaling& scaling = {}) {
  ByRows(rows, [&]<int kRows>(int64_t row) {
    Product<kRows, kVectors, kAccumulate>(a + row * lda, lda, b, ldb, depth, c + row * ldc, ldc,
                                          ahead, scaling);
  });
}

// The widest register tile is 6 rows of kWide vectors: 24 sums of 32 registers, or 12 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kWide = 4;
#else
constexpr int kWide = 2;
#endif
constexpr int kVectorsPerPage = kPageTokens / kLanes;
constexpr int64_t kBlock = kAttendKeyBlock;
constexpr int64_t kPagesPerBlock = kBlock / kPageTokens;
// From here on expanding the tiles of a block to float32 first pays.
constexpr int64_t kExpandRows = 12;

// c[rows][n] += a[rows][depth] * b[depth][n], n a multiple of 16.
template <typename T>
static void AccumulateProduct(int64_t rows, const float* a, int64_t lda, const T* b, int64_t ldb,
                              int64_t depth, float* c, int64_t ldc, int64_t n,
                              const T* next = nullptr) {
  int64_t column = 0;
  const T* vectors[kWide];
  const T* ahead[kWide];
  for (; column + kWide * kLanes <= n; column += kWide * kLanes) {
    for (int v = 0; v < kWide; ++v) vectors[v] = b + column + v * kLanes;
    for (int v = 0; v < kWide; ++v) ahead[v] = next + column + v * kLanes;
    ProductRows<kWide, true>(rows, a, lda, vectors, ldb, depth, c + column, ldc,
                             next == nullptr ? nullptr : ahead);
  }
  for (; column < n; column += kLanes) {
    vectors[0] = b + column;
    ProductRows<1, true>(rows, a, lda, vectors, ldb, depth, c + column, ldc);
  }
}

// The tiles of up to 4 pages, and as many that are read next (null if there are none).
struct TileBlock {
  const uint8_t* k[kPagesPerBlock];
  const uint8_t* v[kPagesPerBlock];
  const uint8_t* next_k[kPagesPerBlock];
  const uint8_t* next_v[kPagesPerBlock];
  int64_t pages;
};

// scores[rows][64] = q[rows][k_size] * K, for tiles where they lie. Columns of absent pages are not
// written.
template <typename T>
static void ScoresInPlace(const TileBlock& block, int64_t rows, const float* q, int64_t k_size,
                          float* scores) {
  int64_t vector = 0;
  const int64_t vectors = block.pages * kVectorsPerPage;
  const T* tiles[kWide];
  const T* ahead[kWide];
  auto address = [](const uint8_t* const* pages, int64_t v) {
    return reinterpret_cast<const T*>(pages[v / kVectorsPerPage]) + v % kVectorsPerPage * kLanes;
  };
  for (; vector + kWide <= vectors; vector += kWide) {
    for (int v = 0; v < kWide; ++v) {
      tiles[v] = address(block.k, vector + v);
      ahead[v] = address(block.next_k, vector + v);
    }
    ProductRows<kWide, false>(rows, q, k_size, tiles, kPageTokens, k_size, scores + vector * kLanes,
                              kBlock, block.next_k[0] == nullptr ? nullptr : ahead);
  }
  for (; vector < vectors; ++vector) {
    tiles[0] = address(block.k, vector);
    ProductRows<1, false>(rows, q, k_size, tiles, kPageTokens, k_size, scores + vector * kLanes,
                          kBlock);
  }
}

constexpr int64_t kScaleBlock = 32;
PUNA_INLINE const uint16_t* ScalesBehind(const uint8_t* tile, int64_t values) {
  return reinterpret_cast<const uint16_t*>(tile + values);
}

// The lanes from `at` on as they are stored; those of int8 are still to be scaled.
PUNA_INLINE F32 LoadStored(KvNumbers numbers, const uint8_t* tile, int64_t at) {
  if (numbers == KvNumbers::kF32) return Load(reinterpret_cast<const float*>(tile) + at);
  if (numbers == KvNumbers::kF16) return LoadHalf(reinterpret_cast<const uint16_t*>(tile) + at);
  return LoadInt8(reinterpret_cast<const int8_t*>(tile) + at);
}

// keys[k_size][64] as float32.
static void ExpandKeys(KvNumbers numbers, const TileBlock& block, int64_t k_size, float* keys) {
  for (int64_t page = 0; page < block.pages; ++page) {
    const uint8_t* tile = block.k[page];
    for (int64_t d = 0; d < k_size; ++d) {
      for (int64_t t = 0; t < kPageTokens; t += kLanes) {
        F32 value = LoadStored(numbers, tile, d * kPageTokens + t);
        if (numbers == KvNumbers::kQ8_0) {
          const uint16_t* scales =
              ScalesBehind(tile, k_size * kPageTokens) + d / kScaleBlock * kPageTokens;
          value = value * LoadHalf(scales + t);
        }
        Store(keys + d * kBlock + page * kPageTokens + t, value);
      }
    }
  }
}

// values[tokens][v_padded] as float32, from slot `first` of one page's tile on.
static void ExpandValues(KvNumbers numbers, const uint8_t* tile, int64_t first, int64_t tokens,
                         int64_t v_padded, float* values) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t d = 0; d < v_padded; d += kLanes) {
      F32 value = LoadStored(numbers, tile, (first + t) * v_padded + d);
      if (numbers == KvNumbers::kQ8_0) {
        uint16_t scale[kLanes];
        const uint16_t bits =
            ScalesBehind(tile, kPageTokens * v_padded)[d / kScaleBlock * kPageTokens + first + t];
        for (int i = 0; i < kLanes; ++i) scale[i] = bits;
        value = value * LoadHalf(scale);
      }
      Store(values + t * v_padded + d, value);
    }
  }
}

// int8 tiles where they lie: values are scaled one by one, as ExpandKeys and ExpandValues do, so
// that few rows and many give the same bits.
constexpr const int8_t* const* kNothingAhead = nullptr;

template <int kVectors>
struct KeyScaling {
  static constexpr bool kScales = true;
  F32 scale[kVectors];  // the same for a block of dimensions
  F32 operator()(int v, int64_t) const { return scale[v]; }
};

template <int kVectors>
static void ScoresOfInt8(const TileBlock& block, int64_t vector, int64_t rows, const float* q,
                         int64_t k_size, float* scores) {
  const int8_t* tiles[kVectors];
  KeyScaling<kVectors> scaling;
  for (int64_t d = 0; d < k_size; d += kScaleBlock) {
    const int64_t n = k_size - d < kScaleBlock ? k_size - d : kScaleBlock;
    for (int v = 0; v < kVectors; ++v) {
      const uint8_t* tile = block.k[(vector + v) / kVectorsPerPage];
      const int64_t lane = (vector + v) % kVectorsPerPage * kLanes;
      tiles[v] = reinterpret_cast<const int8_t*>(tile) + d * kPageTokens + lane;
      scaling.scale[v] =
          LoadHalf(ScalesBehind(tile, k_size * kPageTokens) + d / kScaleBlock * kPageTokens + lane);
    }
    float* out = scores + vector * kLanes;
    if (d == 0) {
      ProductRows<kVectors, false>(rows, q, k_size, tiles, kPageTokens, n, out, kBlock,
                                   kNothingAhead, scaling);
    } else {
      ProductRows<kVectors, true>(rows, q + d, k_size, tiles, kPageTokens, n, out, kBlock,
                                  kNothingAhead, scaling);
    }
  }
}

struct ValueScaling {
  static constexpr bool kScales = true;
  const float (*scale)[kPageTokens];  // [block of dimensions][token]
  int64_t column;
  F32 operator()(int v, int64_t k) const {
    return Set(scale[(column + v * kLanes) / kScaleBlock][k]);
  }
};

// Adds the values of `tokens` slots of one int8 tile. `scales` is scratch of [blocks of
// dimensions][16].
static void ValuesOfInt8(const uint8_t* tile, int64_t slot, int64_t tokens, int64_t rows,
                         const float* weights, int64_t v_padded, float* scales, float* sums) {
  const uint16_t* halves = ScalesBehind(tile, kPageTokens * v_padded);
  const int64_t blocks = (v_padded + kScaleBlock - 1) / kScaleBlock;
  for (int64_t i = 0; i < blocks * kPageTokens; i += kLanes)
    Store(scales + i, LoadHalf(halves + i));
  const int8_t* vectors[kWide];
  ValueScaling scaling{reinterpret_cast<const float(*)[kPageTokens]>(scales + slot), 0};
  for (int64_t& column = scaling.column; column < v_padded;) {
    const bool wide = column + kWide * kLanes <= v_padded;
    for (int v = 0; v < (wide ? kWide : 1); ++v) {
      vectors[v] = reinterpret_cast<const int8_t*>(tile) + slot * v_padded + column + v * kLanes;
    }
    if (wide) {
      ProductRows<kWide, true>(rows, weights, kBlock, vectors, v_padded, tokens, sums + column,
                               v_padded, kNothingAhead, scaling);
    } else {
      ProductRows<1, true>(rows, weights, kBlock, vectors, v_padded, tokens, sums + column,
                           v_padded, kNothingAhead, scaling);
    }
    column += wide ? kWide * kLanes : kLanes;
  }
}
