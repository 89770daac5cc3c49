// The layout of tiles of 16-bit integers (KvNumbers::kI16) and products with them, over
// simd_inl.h's vectors; see there for the rules of such units. Tiles are read where they lie,
// whatever the number of rows.
//
// Sums of integers are exact, and what an unused slot holds is only ever multiplied by zero. How
// large the integers of a row are is chosen so that no sum can leave 32 bits:
//   Queries and keys by their length, for no sum of products of two vectors is larger than the
//   product of their lengths (Cauchy-Schwarz). A head with few large dimensions thus keeps 15 bits
//   for them, an even one of 64 some 14.
//   Values by their largest number, and the weights of a block of keys, each times the scale of its
//   value, by their sum.
constexpr float kLargestInteger = 32767;
constexpr float kLongest = 46000;  // its square, and what rounding adds to it, are below 2^31
constexpr float kLargestValue = 8191;
constexpr float kLargestSum = 262000;
static_assert((262000 + kBlock / 2) * 8191 <= INT32_MAX);
// Rows with nothing larger count as zero, as the inverse of their scale would not be a number.
constexpr float kSmallest = 1e-15f, kSmallestScale = 1e-30f;
constexpr int64_t kPairsPerPage = kPageTokens / 2;

PUNA_INLINE int64_t PairsOf(int64_t size) { return (size + 1) / 2; }
PUNA_INLINE const float* KeyScales(const uint8_t* tile, int64_t k_size) {
  return reinterpret_cast<const float*>(tile + PairsOf(k_size) * kPageTokens * 4);
}
PUNA_INLINE const float* ValueScales(const uint8_t* tile, int64_t v_padded) {
  return reinterpret_cast<const float*>(tile + kPairsPerPage * v_padded * 4);
}

// Lanes i, i + 1, ... of x[n], zeros behind its end.
PUNA_INLINE F32 LoadUpTo(const float* x, int64_t i, int64_t n) {
  return n - i >= kLanes ? Load(x + i) : n > i ? LoadPart(x + i, n - i) : F32{};
}

// x[i] is about integer * scale, and integer = round(x[i] * inverse).
struct Rounding {
  float scale, inverse;
};
// By length if `longest` is not 0.
PUNA_INLINE Rounding RoundingOf(const float* x, int64_t n, float largest_integer, float longest) {
  F32 largest{}, squares{};
  for (int64_t i = 0; i < n; i += kLanes) {
    const F32 v = LoadUpTo(x, i, n);
    largest = Max(largest, Max(v, -v));
    squares = Fma(v, v, squares);
  }
  const float length = __builtin_sqrtf(Sum(squares));
  if (length <= kSmallest) return {0, 0};
  float inverse = largest_integer / Largest(largest);
  if (longest > 0 && longest / length < inverse) inverse = longest / length;
  return {1 / inverse, inverse};
}
PUNA_INLINE Rounding RoundingOfKey(const float* x, int64_t n) {
  return RoundingOf(x, n, kLargestInteger, kLongest);
}

// Rows of k_size values become rows of as many 32-bit words in place, pairs of integers in front.
static void RoundQueries(int64_t rows, int64_t k_size, float* q, float* scales) {
  for (int64_t row = 0; row < rows; ++row) {
    float* x = q + row * k_size;
    auto* integers = reinterpret_cast<int16_t*>(x);
    const Rounding rounding = RoundingOfKey(x, k_size);
    scales[row] = rounding.scale;
    for (int64_t i = 0; i < k_size; i += kLanes) {
      int16_t part[kLanes];
      StoreShort(part, ToNearest(LoadUpTo(x, i, k_size) * rounding.inverse));
      const int64_t n = k_size - i < kLanes ? PairsOf(k_size - i) * 2 : kLanes;
      __builtin_memcpy(integers + i, part, static_cast<size_t>(n) * sizeof(int16_t));
    }
  }
}

static void AppendPairs(const KvTile& tile, uint8_t* page, int64_t slot, const float* k,
                        const float* v) {
  uint8_t* k_tile = page + tile.k_offset;
  uint8_t* v_tile = page + tile.v_offset;
  const int64_t k_size = tile.k_size, v_padded = PaddedValueSize(tile.v_size);
  int16_t part[kLanes];
  const Rounding keys = RoundingOfKey(k, k_size);
  for (int64_t i = 0; i < k_size; i += kLanes) {
    StoreShort(part, ToNearest(LoadUpTo(k, i, k_size) * keys.inverse));
    for (int64_t d = 0; d < kLanes && i + d < k_size; d += 2)
      __builtin_memcpy(k_tile + ((i + d) / 2 * kPageTokens + slot) * 4, part + d, 4);
  }
  const Rounding values = RoundingOf(v, tile.v_size, kLargestValue, 0);
  auto* halves = reinterpret_cast<int16_t*>(v_tile) + slot / 2 * v_padded * 2 + slot % 2;
  for (int64_t i = 0; i < v_padded; i += kLanes) {
    StoreShort(part, ToNearest(LoadUpTo(v, i, tile.v_size) * values.inverse));
    for (int64_t d = 0; d < kLanes; ++d) halves[(i + d) * 2] = part[d];
  }
  const_cast<float*>(KeyScales(k_tile, k_size))[slot] = keys.scale;
  const_cast<float*>(ValueScales(v_tile, v_padded))[slot] = values.scale;
}

// scores[r][v-th vector] = scale of r * scale of the key * (q[r] . key), for kVectors vectors of
// keys at `keys`; q has rows of `stride` words, of which `pairs` are used.
template <int kRows, int kVectors>
static void ScoresOfPairs(const int32_t* q, int64_t stride, const int32_t* const* keys,
                          int64_t pairs, const float* q_scales, const float* key_scales,
                          float* scores, const int32_t* const* ahead) {
  I32 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = I32{};
  }
  const int32_t* tile[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) tile[v] = keys[v];
  for (int64_t k = 0; k < pairs; ++k) {
    I32 column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) column[v] = LoadInt(tile[v] + k * kPageTokens);
    if (ahead != nullptr) {
      for (int v = 0; v < kVectors; ++v) __builtin_prefetch(ahead[v] + k * kPageTokens);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const I32 value = SetInt(q[r * stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = DotPairs(value, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      float* out = scores + r * kBlock + v * kLanes;
      const F32 scale = Load(key_scales + v * kLanes) * q_scales[r];
      Store(out, ToFloat(sum[r][v]) * scale);
    }
  }
}

// The scores of a block's pages for `rows` rows of rounded queries. Columns of absent pages are not
// written.
static void BlockScoresOfPairs(const TileBlock& block, int64_t rows, const int32_t* q,
                               const float* q_scales, int64_t k_size, const float* key_scales,
                               float* scores) {
  auto address = [](const uint8_t* const* pages, int64_t v) {
    return reinterpret_cast<const int32_t*>(pages[v / kVectorsPerPage]) +
           v % kVectorsPerPage * kLanes;
  };
  const int64_t vectors = block.pages * kVectorsPerPage;
  int64_t vector = 0;
  auto columns = [&]<int kVectors>() {
    const int32_t* keys[kVectors];
    const int32_t* ahead[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      keys[v] = address(block.k, vector + v);
      ahead[v] = address(block.next_k, vector + v);
    }
    ByRows(rows, [&]<int kRows>(int64_t row) {
      const bool fetches = row == 0 && block.next_k[0] != nullptr;
      ScoresOfPairs<kRows, kVectors>(q + row * k_size, k_size, keys, PairsOf(k_size),
                                     q_scales + row, key_scales + vector * kLanes,
                                     scores + row * kBlock + vector * kLanes,
                                     fetches ? ahead : nullptr);
    });
    vector += kVectors;
  };
  while (vector + kWide <= vectors) columns.template operator()<kWide>();
  while (vector < vectors) columns.template operator()<1>();
}

// The weights [kBlock] of one row become pairs of integers in place, what is not seen zeros; the
// scale that takes them, times integer values, back is returned.
PUNA_INLINE float RoundWeights(const float* value_scales, float* weights) {
  constexpr int kVectors = kBlock / kLanes;
  F32 weight[kVectors];
  F32 largest{}, sum{};
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) {
    const F32 seen = Load(weights + i * kLanes);
    weight[i] = seen > 0 ? seen * Load(value_scales + i * kLanes) : F32{};
    largest = Max(largest, weight[i]);
    sum += weight[i];
  }
  const float by_largest = Largest(largest) / kLargestInteger, by_sum = Sum(sum) / kLargestSum;
  float scale = by_largest > by_sum ? by_largest : by_sum;
  float inverse = 1 / scale;
  if (scale < kSmallestScale) scale = inverse = 0;
  auto* integers = reinterpret_cast<int16_t*>(weights);
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i)
    StoreShort(integers + i * kLanes, ToNearest(weight[i] * inverse));
  return scale;
}

// sums[r][v-th vector] += scale of r * (weights[r] . values), over the pages [begin, end) of a
// block; `weights` has rows of kBlock words. If kFetch, the page that follows each is fetched.
template <int kRows, int kVectors, bool kFetch>
static void SumsOfPairs(const int32_t* weights, const float* weight_scales, const TileBlock& block,
                        int64_t begin, int64_t end, int64_t column, int64_t v_padded, float* sums) {
  I32 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = I32{};
  }
  for (int64_t page = begin; page < end; ++page) {
    const int32_t* tile = reinterpret_cast<const int32_t*>(block.v[page]) + column;
    const uint8_t* next = page + 1 < block.pages ? block.v[page + 1] : block.next_v;
    const int32_t* ahead = reinterpret_cast<const int32_t*>(next) + column;
    for (int64_t k = 0; k < kPairsPerPage; ++k) {
      I32 value[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        value[v] = LoadInt(tile + k * v_padded + v * kLanes);
        if (kFetch) __builtin_prefetch(ahead + k * v_padded + v * kLanes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const I32 weight = SetInt(weights[r * kBlock + page * kPairsPerPage + k]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[r][v] = DotPairs(weight, value[v], sum[r][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      float* out = sums + r * v_padded + column + v * kLanes;
      Store(out, Fma(ToFloat(sum[r][v]), Set(weight_scales[r]), Load(out)));
    }
  }
}

// Adds the values of the keys [begin, end) of a block.
static void BlockValuesOfPairs(const TileBlock& block, int64_t begin, int64_t end, int64_t rows,
                               const int32_t* weights, const float* weight_scales, int64_t v_padded,
                               float* sums) {
  const int64_t first = begin / kPageTokens, last = (end + kPageTokens - 1) / kPageTokens;
  int64_t column = 0;
  auto columns = [&]<int kVectors>() {
    ByRows(rows, [&]<int kRows>(int64_t row) {
      const auto sum = row == 0 && block.next_v != nullptr ? SumsOfPairs<kRows, kVectors, true>
                                                           : SumsOfPairs<kRows, kVectors, false>;
      sum(weights + row * kBlock, weight_scales + row, block, first, last, column, v_padded,
          sums + row * v_padded);
    });
    column += kVectors * kLanes;
  };
  while (column + kWide * kLanes <= v_padded) columns.template operator()<kWide>();
  while (column < v_padded) columns.template operator()<1>();
}
