// Attention over pages, and their layout, over simd_inl.h's vectors; see there for the rules of
// such units.
//
// All query rows of a unit (its tokens times the query heads that share the kv head) go over blocks
// of 64 keys: scores by a small matrix product with the K tiles, running softmax
// (attention_softmax_inl.h), weighted sum of the V tiles by the same matrix product. Masks are
// never stored: a row's visible keys are an interval, blocks outside of all intervals are not
// visited and the rest is compared by lane number.
//
// 16-bit integers are multiplied where they lie (attention_pairs_inl.h). Of other tiles
// (attention_tiles_inl.h), with many rows a block's are first expanded to float32 (a few per cent
// of the work, and one kernel for them all); with few rows, as in generation, float tiles are read
// where they lie. Rejected: one query at a time (reads the cache once per query head), a mask
// tensor, keys as rows (needs sums across lanes).

// What one call of Attend keeps in its scratch.
struct AttendScratch {
  float* q;             // [rows][k_size], scaled
  float* scores;        // [rows][64]
  float* keys;          // [k_size][64]
  float* values;        // [64][v_padded]
  float* q_scales;      // [rows], of integers, as key_scales and value_scales
  float* key_scales;    // [64]
  float* value_scales;  // [64]
  float* value_limits;  // [rows]
  SoftmaxScratch rows;
  KeyRange* visible;  // [tokens]
  float* sums;        // [rows][v_padded], of the range at hand
  float* totals;      // [rows][v_padded], of the ranges before
  RowState* total_rows;
};
constexpr int64_t kFloatsPerRange = sizeof(KeyRange) / sizeof(float);
static AttendScratch CarveScratch(const AttendArgs& args, int64_t rows, int64_t v_padded) {
  AttendScratch s;
  float* next = args.scratch;
  auto take = [&](int64_t floats) {
    float* taken = next;
    next += (floats + 15) / 16 * 16;
    return taken;
  };
  s.q = take(rows * args.tile.k_size);
  s.scores = take(rows * kBlock);
  s.keys = take(args.tile.k_size * kBlock);
  s.values = take(kBlock * v_padded);
  s.q_scales = take(rows);
  s.key_scales = take(kBlock);
  s.value_scales = take(kBlock);
  s.value_limits = take(rows);
  s.visible = reinterpret_cast<KeyRange*>(take(args.tokens * kFloatsPerRange));
  s.rows = {.largest = take(rows),
            .sum = take(rows),
            .reference = take(rows),
            .factor = take(rows),
            .block_largest = take(rows),
            .block_sum = take(rows),
            .weight_scale = take(rows),
            .inverse = take(rows)};
  s.sums = take(rows * v_padded);
  s.totals = take(rows * v_padded);
  s.total_rows = reinterpret_cast<RowState*>(take(rows * 2));
  return s;
}

static void BlockScores(const AttendArgs& args, const TileBlock& block, int64_t rows,
                        const AttendScratch& s) {
  const int64_t k_size = args.tile.k_size;
  if (args.tile.numbers == KvNumbers::kI16) {
    for (int64_t page = 0; page < block.pages; ++page) {
      // Their turn comes behind the products, or in the next block.
      __builtin_prefetch(ValueScales(block.v[page], PaddedValueSize(args.tile.v_size)));
      if (block.next_k[page] != nullptr) __builtin_prefetch(KeyScales(block.next_k[page], k_size));
      __builtin_memcpy(s.key_scales + page * kPageTokens, KeyScales(block.k[page], k_size),
                       kPageTokens * sizeof(float));
    }
    return BlockScoresOfPairs(block, rows, reinterpret_cast<const int32_t*>(s.q), s.q_scales,
                              k_size, s.key_scales, s.scores);
  }
  if (rows >= kExpandRows) {
    ExpandKeys(args.tile.numbers, block, k_size, s.keys);
    const float* tiles[kWide];
    for (int64_t key = 0; key < block.pages * kPageTokens; key += kWide * kLanes) {
      for (int v = 0; v < kWide; ++v) tiles[v] = s.keys + key + v * kLanes;
      ProductRows<kWide, false>(rows, s.q, k_size, tiles, kBlock, k_size, s.scores + key, kBlock);
    }
    return;
  }
  if (args.tile.numbers == KvNumbers::kF16) {
    ScoresInPlace<uint16_t>(block, rows, s.q, k_size, s.scores);
  } else if (args.tile.numbers == KvNumbers::kF32) {
    ScoresInPlace<float>(block, rows, s.q, k_size, s.scores);
  } else {
    const int64_t vectors = block.pages * kVectorsPerPage;
    int64_t vector = 0;
    for (; vector + kWide <= vectors; vector += kWide)
      ScoresOfInt8<kWide>(block, vector, rows, s.q, k_size, s.scores);
    for (; vector < vectors; ++vector) ScoresOfInt8<1>(block, vector, rows, s.q, k_size, s.scores);
  }
}

// Brings what was summed before to the block's reference.
static void ScaleSums(int64_t rows, int64_t v_padded, const AttendScratch& s) {
  for (int64_t row = 0; row < rows; ++row) {
    if (s.rows.factor[row] != 1) Scale(s.sums + row * v_padded, v_padded, s.rows.factor[row]);
  }
}

// Keys [begin, end) of the block only: what lies beside them may be a sequence's that was there
// before, or nothing at all, and a weight of zero does not undo a NaN.
static void BlockValues(const AttendArgs& args, const TileBlock& block, int64_t first,
                        int64_t begin, int64_t end, int64_t rows, int64_t v_padded,
                        const AttendScratch& s) {
  if (args.tile.numbers == KvNumbers::kI16) {
    for (int64_t page = 0; page < block.pages; ++page) {
      __builtin_memcpy(s.value_scales + page * kPageTokens, ValueScales(block.v[page], v_padded),
                       kPageTokens * sizeof(float));
    }
    // What lies in an unused slot need not be a number.
    for (int64_t key = 0; key < kBlock; ++key) {
      if (key < begin || key >= end) s.value_scales[key] = 0;
    }
    LimitsOfValues(args, s.visible, first, s.value_scales, s.value_limits);
    RoundWeights(rows, s.value_scales, s.value_limits, s.scores, s.rows);
    return BlockValuesOfPairs(block, begin, end, rows, reinterpret_cast<const int32_t*>(s.scores),
                              s.rows, v_padded, s.sums);
  }
  ScaleSums(rows, v_padded, s);
  const bool expand = rows >= kExpandRows;
  for (int64_t key = begin; key < end;) {
    const int64_t page = key / kPageTokens, slot = key % kPageTokens;
    const int64_t page_end = (page + 1) * kPageTokens;
    const int64_t tokens = (page_end < end ? page_end : end) - key;
    const uint8_t* tile = block.v[page];
    if (expand) {
      ExpandValues(args.tile.numbers, tile, slot, tokens, v_padded, s.values + key * v_padded);
    } else if (args.tile.numbers == KvNumbers::kQ8_0) {
      ValuesOfInt8(tile, slot, tokens, rows, s.scores + key, v_padded, s.keys, s.sums);
    } else if (args.tile.numbers == KvNumbers::kF16) {
      const uint8_t* next = block.next_v[page];
      AccumulateProduct(rows, s.scores + key, kBlock,
                        reinterpret_cast<const uint16_t*>(tile) + slot * v_padded, v_padded, tokens,
                        s.sums, v_padded, v_padded, reinterpret_cast<const uint16_t*>(next));
    } else {
      AccumulateProduct(rows, s.scores + key, kBlock,
                        reinterpret_cast<const float*>(tile) + slot * v_padded, v_padded, tokens,
                        s.sums, v_padded, v_padded);
    }
    key += tokens;
  }
  if (expand) {
    AccumulateProduct(rows, s.scores + begin, kBlock, s.values + begin * v_padded, v_padded,
                      end - begin, s.sums, v_padded, v_padded);
  }
}

// Values that are the first dimensions of the keys: the K tiles are expanded, if BlockScores has
// not done so, and turned. Where many heads share one latent key that is little beside the
// products.
static void BlockValuesOfKeys(const AttendArgs& args, const TileBlock& block, int64_t begin,
                              int64_t end, int64_t rows, int64_t v_padded, const AttendScratch& s) {
  ScaleSums(rows, v_padded, s);
  if (rows < kExpandRows) ExpandKeys(args.tile.numbers, block, args.tile.k_size, s.keys);
  for (int64_t key = begin; key < end; ++key) {
    float* value = s.values + key * v_padded;
    for (int64_t d = 0; d < args.tile.v_size; ++d) value[d] = s.keys[d * kBlock + key];
    for (int64_t d = args.tile.v_size; d < v_padded; ++d) value[d] = 0;
  }
  AccumulateProduct(rows, s.scores + begin, kBlock, s.values + begin * v_padded, v_padded,
                    end - begin, s.sums, v_padded, v_padded);
}

static const uint8_t* PageAt(const AttendArgs& args, int64_t index) {
  return args.pool + (args.pages == nullptr ? index : args.pages[index]) * args.page_bytes;
}

// The tiles of the keys [first, end); what is read next are those of `next` from next_first on.
static TileBlock FindTiles(const AttendArgs& args, int64_t first, int64_t end,
                           const AttendArgs& next, int64_t next_first) {
  TileBlock block;
  const int64_t first_page = first / kPageTokens;
  const int64_t all_pages = (args.key_end + kPageTokens - 1) / kPageTokens;
  block.pages = (end + kPageTokens - 1) / kPageTokens - first_page;
  for (int64_t i = 0; i < block.pages; ++i) {
    const uint8_t* page = PageAt(args, first_page + i);
    block.k[i] = page + args.tile.k_offset;
    block.v[i] = page + args.tile.v_offset;
  }
  for (int64_t i = 0; i < kPagesPerBlock; ++i) {
    const int64_t index = next_first / kPageTokens + i;
    if (index < all_pages) {
      const uint8_t* page = PageAt(next, index);
      block.next_k[i] = page + next.tile.k_offset;
      block.next_v[i] = page + next.tile.v_offset;
    } else {
      block.next_k[i] = i == 0 ? nullptr : block.next_k[i - 1];
      block.next_v[i] = i == 0 ? nullptr : block.next_v[i - 1];
    }
  }
  return block;
}

// One kv head of a call. Its arguments are written before they are read: the constructor of
// AttendArgs might be another unit's, compiled for other instructions.
struct AttendHead {
  AttendHead() {}
  union {
    AttendArgs args;
  };
  AttendScratch s;
};

static AttendArgs ArgsOf(const AttendArgs& args, int64_t kv_head) {
  const int64_t rows = args.tokens * args.heads, head = kv_head * args.heads;
  AttendArgs one = args;
  one.kv_heads = 1;
  one.q += head * args.tile.k_size;
  one.out += head * args.tile.v_size;
  one.tile.k_offset += kv_head * args.head_bytes;
  one.tile.v_offset += kv_head * args.head_bytes;
  if (args.slopes != nullptr) one.slopes += head;
  if (args.sinks != nullptr) one.sinks += head;
  if (args.bias != nullptr) one.bias += head;
  if (args.partial != nullptr) one.partial += kv_head * AttendPartialFloats(rows, args.tile.v_size);
  one.scratch += kv_head * AttendScratchFloats(rows, args.tile.k_size, args.tile.v_size);
  return one;
}

static void BeginHead(const AttendArgs& args, const AttendScratch& s) {
  const int64_t rows = args.tokens * args.heads, k_size = args.tile.k_size;
  const float scale = args.scale * ScoreUnit(args);
  for (int64_t token = 0; token < args.tokens; ++token) s.visible[token] = VisibleKeys(args, token);
  for (int64_t row = 0; row < rows; ++row) {
    const float* q = args.q + row / args.heads * args.q_stride + row % args.heads * k_size;
    Map(q, k_size, s.q + row * k_size, [&](F32 v) { return v * scale; });
    s.total_rows[row] = {-__builtin_inff(), 0};
  }
  if (args.tile.numbers == KvNumbers::kI16) RoundQueries(rows, k_size, s.q, s.q_scales);
  const auto sums = static_cast<size_t>(rows * PaddedValueSize(args.tile.v_size));
  __builtin_memset(s.totals, 0, sums * sizeof(float));
}

static void BeginRange(const AttendArgs& args, const AttendScratch& s) {
  const int64_t rows = args.tokens * args.heads;
  for (int64_t row = 0; row < rows; row += kLanes) {
    Store(s.rows.largest + row, Set(-__builtin_inff()));
    Store(s.rows.sum + row, F32{});
  }
  const auto sums = static_cast<size_t>(rows * PaddedValueSize(args.tile.v_size));
  __builtin_memset(s.sums, 0, sums * sizeof(float));
}

// The keys [begin, end) of the block whose first key is `first`, into s.rows and s.sums.
static void AttendBlock(const AttendArgs& args, const AttendScratch& s, const TileBlock& block,
                        int64_t first, int64_t begin, int64_t end) {
  const int64_t rows = args.tokens * args.heads, v_padded = PaddedValueSize(args.tile.v_size);
  BlockScores(args, block, rows, s);
  FinishScores(args, s.visible, first, s.scores);
  WeighRows(rows, s.scores, s.rows);
  if (args.tile.v_in_k) {
    BlockValuesOfKeys(args, block, begin - first, end - first, rows, v_padded, s);
  } else {
    BlockValues(args, block, first, begin - first, end - first, rows, v_padded, s);
  }
}

// The range at hand joins those before.
static void EndRange(const AttendArgs& args, const AttendScratch& s) {
  const int64_t v_padded = PaddedValueSize(args.tile.v_size);
  for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
    MergeRow({s.rows.largest[row], s.rows.sum[row]}, s.sums + row * v_padded, v_padded,
             &s.total_rows[row], s.totals + row * v_padded);
  }
}

static void EndHead(const AttendArgs& args, const AttendScratch& s) {
  const int64_t v_padded = PaddedValueSize(args.tile.v_size);
  for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
    const float* sums = s.totals + row * v_padded;
    if (args.partial == nullptr) {
      FinishRow(args, row, s.total_rows[row], sums);
      continue;
    }
    float* state = args.partial + row * (v_padded + 16);
    state[0] = s.total_rows[row].largest;
    state[1] = s.total_rows[row].sum;
    __builtin_memcpy(state + 16, sums, static_cast<size_t>(v_padded) * sizeof(float));
  }
}

// Ranges and blocks begin at fixed keys, and every range is summed by itself before it is joined to
// those before, so that a token's result depends neither on the tokens beside it nor on which
// thread took which range.
static void Attend(const AttendArgs& args) {
  const int64_t v_padded = PaddedValueSize(args.tile.v_size);
  AttendHead heads[kAttendMostHeads];
  for (int64_t h = 0; h < args.kv_heads; ++h) {
    heads[h].args = ArgsOf(args, h);
    heads[h].s = CarveScratch(heads[h].args, args.tokens * args.heads, v_padded);
    BeginHead(heads[h].args, heads[h].s);
  }
  for (int64_t begin = args.key_begin; begin < args.key_end;) {
    const int64_t range_end = (begin / kAttendRange + 1) * kAttendRange;
    const int64_t end = range_end < args.key_end ? range_end : args.key_end;
    for (int64_t h = 0; h < args.kv_heads; ++h) BeginRange(heads[h].args, heads[h].s);
    for (int64_t first = begin / kBlock * kBlock; first < end; first += kBlock) {
      const int64_t block_end = end < first + kBlock ? end : first + kBlock;
      for (int64_t h = 0; h < args.kv_heads; ++h) {
        const bool last = h + 1 == args.kv_heads;
        const TileBlock block =
            FindTiles(heads[h].args, first, block_end, heads[last ? 0 : h + 1].args,
                      last ? first + kBlock : first);
        AttendBlock(heads[h].args, heads[h].s, block, first, begin > first ? begin : first,
                    block_end);
      }
    }
    for (int64_t h = 0; h < args.kv_heads; ++h) EndRange(heads[h].args, heads[h].s);
    begin = end;
  }
  for (int64_t h = 0; h < args.kv_heads; ++h) EndHead(heads[h].args, heads[h].s);
}

static void IndexScores(const AttendArgs& args, const float* weights, float* scores) {
  const int64_t k_size = args.tile.k_size;
  const AttendScratch s = CarveScratch(args, args.heads, PaddedValueSize(args.tile.v_size));
  __builtin_memcpy(s.q, args.q, static_cast<size_t>(args.heads * k_size) * sizeof(float));
  for (int64_t first = 0; first < args.key_end; first += kBlock) {
    const int64_t end = args.key_end < first + kBlock ? args.key_end : first + kBlock;
    const TileBlock block = FindTiles(args, first, end, args, first + kBlock);
    BlockScores(args, block, args.heads, s);
    for (int64_t key = 0; key < block.pages * kPageTokens; key += kLanes) {
      F32 sum{};
      for (int64_t head = 0; head < args.heads; ++head) {
        sum = Fma(Set(weights[head]), Max(Load(s.scores + head * kBlock + key), F32{}), sum);
      }
      Store(scores + first + key, sum);
    }
  }
}

static void MergeParts(const AttendArgs& args, const float* partials, int64_t parts,
                       int64_t part_stride) {
  const int64_t v_padded = PaddedValueSize(args.tile.v_size);
  float* sums = args.scratch;
  for (int64_t row = 0; row < args.tokens * args.heads; ++row) {
    const float* state = partials + row * (v_padded + 16);
    RowState total = {-__builtin_inff(), 0};
    __builtin_memset(sums, 0, static_cast<size_t>(v_padded) * sizeof(float));
    for (int64_t part = 0; part < parts; ++part) {
      const float* from = state + part * part_stride;
      MergeRow({from[0], from[1]}, from + 16, v_padded, &total, sums);
    }
    FinishRow(args, row, total, sums);
  }
}

static void AttendMerge(const AttendArgs& args, const float* partials, int64_t parts,
                        int64_t part_stride) {
  const int64_t floats = AttendPartialFloats(args.tokens * args.heads, args.tile.v_size);
  for (int64_t h = 0; h < args.kv_heads; ++h)
    MergeParts(ArgsOf(args, h), partials + h * floats, parts, part_stride);
}

// One scale per 32 values, as the q8_0 format: largest magnitude / 127, rounded to float16 before
// it is used.
PUNA_INLINE void QuantizeBlock(const float* x, int64_t n, int8_t* values, uint16_t* scale) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float magnitude = __builtin_fabsf(x[i]);
    largest = magnitude > largest ? magnitude : largest;
  }
  uint16_t half[kLanes];
  StoreHalf(half, Set(largest / 127.0f));
  *scale = half[0];
  const float rounded = LoadHalf(half)[0];
  const float inverse = rounded > 0 ? 1.0f / rounded : 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float v = __builtin_rintf(x[i] * inverse);
    values[i] = static_cast<int8_t>(v > 127 ? 127 : v < -127 ? -127 : v);
  }
}

static void Append(const KvTile& tile, uint8_t* page, int64_t slot, const float* k,
                   const float* v) {
  uint8_t* k_tile = page + tile.k_offset;
  uint8_t* v_tile = page + tile.v_offset;
  const int64_t k_size = tile.k_size, v_size = tile.v_in_k ? 0 : tile.v_size;
  const int64_t v_padded = PaddedValueSize(v_size);
  switch (tile.numbers) {
    case KvNumbers::kF32: {
      float* keys = reinterpret_cast<float*>(k_tile) + slot;
      for (int64_t d = 0; d < k_size; ++d) keys[d * kPageTokens] = k[d];
      float* values = reinterpret_cast<float*>(v_tile) + slot * v_padded;
      for (int64_t d = 0; d < v_padded; ++d) values[d] = d < v_size ? v[d] : 0.0f;
      return;
    }
    case KvNumbers::kF16: {
      uint16_t* keys = reinterpret_cast<uint16_t*>(k_tile) + slot;
      uint16_t half[kLanes];
      for (int64_t d = 0; d < k_size; d += kLanes) {
        const int64_t n = k_size - d < kLanes ? k_size - d : kLanes;
        StoreHalf(half, n == kLanes ? Load(k + d) : LoadPart(k + d, n));
        for (int64_t i = 0; i < n; ++i) keys[(d + i) * kPageTokens] = half[i];
      }
      uint16_t* values = reinterpret_cast<uint16_t*>(v_tile) + slot * v_padded;
      for (int64_t d = 0; d < v_padded; d += kLanes) {
        const int64_t n = v_size - d;
        StoreHalf(values + d, n >= kLanes ? Load(v + d) : n > 0 ? LoadPart(v + d, n) : F32{});
      }
      return;
    }
    case KvNumbers::kI16:
      return AppendPairs(tile, page, slot, k, v);
    case KvNumbers::kQ8_0: {
      int8_t block[kScaleBlock];
      uint16_t* k_scales = reinterpret_cast<uint16_t*>(k_tile + k_size * kPageTokens);
      for (int64_t d = 0; d < k_size; d += kScaleBlock) {
        const int64_t n = k_size - d < kScaleBlock ? k_size - d : kScaleBlock;
        QuantizeBlock(k + d, n, block, &k_scales[d / kScaleBlock * kPageTokens + slot]);
        for (int64_t i = 0; i < n; ++i)
          reinterpret_cast<int8_t*>(k_tile)[(d + i) * kPageTokens + slot] = block[i];
      }
      uint16_t* v_scales = reinterpret_cast<uint16_t*>(v_tile + v_padded * kPageTokens);
      int8_t* values = reinterpret_cast<int8_t*>(v_tile) + slot * v_padded;
      for (int64_t d = 0; d < v_padded; d += kScaleBlock) {
        const int64_t n = v_size - d < kScaleBlock ? v_size - d : kScaleBlock;
        QuantizeBlock(v + d, n > 0 ? n : 0, values + d,
                      &v_scales[d / kScaleBlock * kPageTokens + slot]);
        for (int64_t i = n > 0 ? n : 0; i < kScaleBlock && d + i < v_padded; ++i) values[d + i] = 0;
      }
      return;
    }
  }
}

#define PUNA_VECTOR_OPS                                                                            \
  {                                                                                                \
    Norm, Rope, Unary, Gated, GatedClamped, Add, Dot, Mul, Scale, Softcap, Softmax, Append,        \
        Attend, AttendMerge, GatedLimited, Xielu, IndexScores, Convolve, ScanChannels, Keep, Recur \
  }
