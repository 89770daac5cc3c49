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

// Rows of k_size values become rows of PairsOf(k_size) 32-bit words in place: what is written never
// reaches a row that is still to be read.
static void RoundQueries(int64_t rows, int64_t k_size, float* q, float* scales) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = q + row * k_size;
    auto* integers = reinterpret_cast<int16_t*>(q + row * PairsOf(k_size));
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
// keys at `keys`; q has rows of `pairs` words.
template <int kRows, int kVectors>
static void ScoresOfPairs(const int32_t* q, const int32_t* const* keys, int64_t pairs,
                          const float* q_scales, const float* key_scales, float* scores,
                          const int32_t* const* ahead) {
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
      const I32 value = SetInt(q[r * pairs + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = DotPairs(value, column[v], sum[r][v]);
    }
  }
  F32 key_scale[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) key_scale[v] = Load(key_scales + v * kLanes);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const F32 q_scale = Set(q_scales[r]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Store(scores + r * kBlock + v * kLanes, ToFloat(sum[r][v]) * (key_scale[v] * q_scale));
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
  const int64_t vectors = block.pages * kVectorsPerPage, pairs = PairsOf(k_size);
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
      ScoresOfPairs<kRows, kVectors>(
          q + row * pairs, keys, pairs, q_scales + row, key_scales + vector * kLanes,
          scores + row * kBlock + vector * kLanes, fetches ? ahead : nullptr);
    });
    vector += kVectors;
  };
  while (vector + kWide <= vectors) columns.template operator()<kWide>();
  while (vector < vectors) columns.template operator()<1>();
}

// limits[row] = the largest of the scales [kBlock] of the values that a row's token may see: of
// nothing that stands there for other tokens, lest they change its rounding.
static void LimitsOfValues(const AttendArgs& args, const KeyRange* visible, int64_t first,
                           const float* value_scales, float* limits) {
  F32 largest{};
  for (int64_t i = 0; i < kBlock; i += kLanes) largest = Max(largest, Load(value_scales + i));
  const float of_block = Largest(largest);
  for (int64_t token = 0; token < args.tokens; ++token) {
    float limit = of_block;
    if (!visible[token].Covers(first)) {
      limit = 0;
      for (int64_t key = 0; key < kBlock; ++key) {
        const bool seen = first + key >= visible[token].begin && first + key < visible[token].end;
        if (seen && value_scales[key] > limit) limit = value_scales[key];
      }
    }
    for (int64_t head = 0; head < args.heads; ++head) *limits++ = limit;
  }
}

// The weights of a block, times the scales of their values, become pairs of integers in place. A
// row's scale is chosen by bounds: no weight is above the largest score's, and the sum of the
// products not above the sum of the weights times the row's limit.
static void RoundWeights(int64_t rows, const float* value_scales, const float* limits,
                         float* weights, const SoftmaxScratch& s) {
  constexpr int kVectors = kBlock / kLanes;
  for (int64_t row = 0; row < rows; row += kLanes) {
    const F32 by_largest = Load(s.block_largest + row) * (1.0f / kLargestInteger);
    const F32 by_sum = Load(s.block_sum + row) * (1.0f / kLargestSum);
    const F32 scale = Load(limits + row) * Max(by_largest, by_sum);
    const I32 counts = scale >= Set(kSmallestScale);
    Store(s.weight_scale + row, counts ? scale : F32{});
    Store(s.inverse + row, counts ? 1.0f / scale : F32{});
  }
  F32 value_scale[kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) value_scale[i] = Load(value_scales + i * kLanes);
  for (int64_t row = 0; row < rows; ++row) {
    float* at = weights + row * kBlock;
    auto* integers = reinterpret_cast<int16_t*>(at);
    const F32 inverse = Set(s.inverse[row]);
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) {
      const F32 weight = Load(at + i * kLanes) * (value_scale[i] * inverse);
      StoreShort(integers + i * kLanes, ToNearest(weight));
    }
  }
}

// sums[r][v-th vector] = that * factor of r + scale of r * (weights[r] . values), over the pages
// [begin, end) of a block; `weights` has rows of kBlock words. If kFetch, the page that follows
// each is fetched.
template <int kRows, int kVectors, bool kFetch>
static void SumsOfPairs(const int32_t* weights, const float* weight_scales, const float* factors,
                        const TileBlock& block, int64_t begin, int64_t end, int64_t column,
                        int64_t v_padded, float* sums) {
  I32 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = I32{};
  }
  for (int64_t page = begin; page < end; ++page) {
    const int32_t* tile = reinterpret_cast<const int32_t*>(block.v[page]) + column;
    const int32_t* ahead = reinterpret_cast<const int32_t*>(block.next_v[page]) + column;
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
      const F32 before = Load(out) * factors[r];
      Store(out, Fma(ToFloat(sum[r][v]), Set(weight_scales[r]), before));
    }
  }
}

// Adds the values of the keys [begin, end) of a block, and brings what was summed before to its
// reference.
static void BlockValuesOfPairs(const TileBlock& block, int64_t begin, int64_t end, int64_t rows,
                               const int32_t* weights, const SoftmaxScratch& s, int64_t v_padded,
                               float* sums) {
  const int64_t first = begin / kPageTokens, last = (end + kPageTokens - 1) / kPageTokens;
  int64_t column = 0;
  auto columns = [&]<int kVectors>() {
    ByRows(rows, [&]<int kRows>(int64_t row) {
      const auto sum = row == 0 && block.next_v[0] != nullptr ? SumsOfPairs<kRows, kVectors, true>
                                                              : SumsOfPairs<kRows, kVectors, false>;
      sum(weights + row * kBlock, s.weight_scale + row, s.factor + row, block, first, last, column,
          v_padded, sums + row * v_padded);
    });
    column += kVectors * kLanes;
  };
  while (column + kWide * kLanes <= v_padded) columns.template operator()<kWide>();
  while (column < v_padded) columns.template operator()<1>();
}
