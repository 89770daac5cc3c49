// The softmax of attention over blocks of keys ("online softmax", Milakov and Gimelshein 2018),
// over simd_inl.h's vectors; see there for the rules of such units.
//
// Weights are powers of two: whoever scales queries multiplies by ScoreUnit, so that 2^score is e^
// of what the model means. Whatever is the same for all rows of a block happens to a vector of rows
// at once, and sums and maxima across lanes are taken of kLanes rows together.
constexpr float kLog2E = 1.44269504f;
// A score below all others, which may be subtracted from -inf.
constexpr float kLowestScore = -1e30f;

PUNA_INLINE float ScoreUnit(const AttendArgs& args) { return args.softcap > 0 ? 1.0f : kLog2E; }

// The softmax of one row over some keys: the largest score, and the sum of the weights relative to
// it.
struct RowState {
  float largest, sum;
};

// What the softmax of a block keeps for each row, [rows up to a multiple of 16] each.
struct SoftmaxScratch {
  float* largest;        // of the range at hand, as `sum`
  float* sum;            // of weights relative to `largest`
  float* reference;      // `largest`, or kLowestScore if no key has been seen
  float* factor;         // what was summed before the block is to be multiplied by
  float* block_largest;  // first the largest score of the block, then its weight
  float* block_sum;      // of the block's weights
  float* weight_scale;   // of the block's weights as integers
  float* inverse;        // 1 / weight_scale
};

// op(x, y) has to be commutative. Lane i with bit kStep clear is op of lanes i and i ^ kStep of a,
// with the bit set of b.
template <int kStep, typename Op, int... kLane>
PUNA_INLINE F32 Halve(F32 a, F32 b, const Op& op, std::integer_sequence<int, kLane...>) {
  return op(__builtin_shufflevector(a, b, ((kLane & kStep) != 0 ? kLanes + kLane : kLane)...),
            __builtin_shufflevector(
                a, b, ((kLane & kStep) != 0 ? kLanes + (kLane ^ kStep) : kLane ^ kStep)...));
}
using Lanes = std::make_integer_sequence<int, kLanes>;

// Lane i: op over all lanes of v[i]. v is used up.
template <int kStep = kLanes / 2, typename Op>
PUNA_INLINE F32 AcrossLanes(F32 (&v)[kLanes], const Op& op) {
#pragma GCC unroll 16
  for (int i = 0; i < kStep; ++i) v[i] = Halve<kStep>(v[i], v[i + kStep], op, Lanes());
  if constexpr (kStep > 1) return AcrossLanes<kStep / 2>(v, op);
  return v[0];
}
// The same of one vector, in the same order.
template <int kStep = kLanes / 2, typename Op>
PUNA_INLINE float AcrossLanes(F32 v, const Op& op) {
  v = Halve<kStep>(v, v, op, Lanes());
  if constexpr (kStep > 1) return AcrossLanes<kStep / 2>(v, op);
  return v[0];
}

// out[row] = op across the lanes of of_row(row).
template <typename OfRow, typename Op>
PUNA_INLINE void ReduceRows(int64_t rows, const OfRow& of_row, const Op& op, float* out) {
  int64_t row = 0;
  for (; row + kLanes <= rows; row += kLanes) {
    F32 v[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = of_row(row + i);
    Store(out + row, AcrossLanes(v, op));
  }
  for (; row < rows; ++row) out[row] = AcrossLanes(of_row(row), op);
}

// The keys [begin, end).
struct KeyRange {
  int64_t begin, end;
  bool Covers(int64_t first_of_block) const {
    return begin <= first_of_block && end >= first_of_block + kBlock;
  }
};

// What a token may see.
static KeyRange VisibleKeys(const AttendArgs& args, int64_t token) {
  const int64_t self = args.first_key + token;
  KeyRange range = {args.key_begin, args.key_end};
  if (args.causal) {
    if (self + 1 < range.end) range.end = self + 1;
    if (args.window > 0 && self - args.window + 1 > range.begin)
      range.begin = self - args.window + 1;
    if (args.chunk > 0) {
      const int64_t position = self + args.first_position;
      const int64_t start = position / args.chunk * args.chunk - args.first_position;
      if (start > range.begin) range.begin = start;
    }
  } else if (args.window > 0) {
    if (self - args.window / 2 > range.begin) range.begin = self - args.window / 2;
    if (self + args.window / 2 + 1 < range.end) range.end = self + args.window / 2 + 1;
  }
  return range;
}

// scores[64] of one row, for the keys from `first` on: adds the position bias.
static void AddPositionBias(const AttendArgs& args, int64_t head, int64_t self, int64_t first,
                            float* scores) {
  const float unit = ScoreUnit(args);
  for (int64_t i = 0; i < kBlock; ++i) {
    int64_t distance = first + i - self;
    distance = distance < -kBiasReach ? -kBiasReach : distance > kBiasReach ? kBiasReach : distance;
    scores[i] += unit * args.bias[args.bias_rows[distance + kBiasReach] * args.bias_heads + head];
  }
}

static void CapScores(float softcap, float* scores) {
  for (int64_t i = 0; i < kBlock; i += kLanes)
    Store(scores + i, softcap * kLog2E * Tanh(Load(scores + i) * (1.0f / softcap)));
}

// ALiBi; `self` is the query's own lane, which may lie outside of the block.
static void AddSlope(float slope, float self, float* scores) {
  for (int64_t i = 0; i < kBlock; i += kLanes) {
    const F32 offset = ToFloat(Iota() + static_cast<int32_t>(i)) - self;
    Store(scores + i, Fma(Set(slope * kLog2E), Min(offset, -offset), Load(scores + i)));
  }
}

// Takes the keys that were not chosen out of one row.
static void KeepSelected(const AttendArgs& args, int64_t token, int64_t first, float* scores) {
  const uint64_t* words = args.selected + token * args.selected_stride + first / 64;
  const int64_t shift = first % 64;
  const uint64_t bits = shift == 0 ? words[0] : words[0] >> shift | words[1] << (64 - shift);
  for (int64_t i = 0; i < kBlock; ++i) {
    if ((bits >> i & 1) == 0) scores[i] = -__builtin_inff();
  }
}

// Takes the keys that are not in `visible` out of one row.
static void KeepVisible(KeyRange visible, int64_t first, float* scores) {
  const auto begin = static_cast<int32_t>(visible.begin - first);
  const auto end = static_cast<int32_t>(visible.end - first);
  for (int64_t i = 0; i < kBlock; i += kLanes) {
    const I32 key = Iota() + static_cast<int32_t>(i);
    const I32 seen = (key >= begin) & (key < end);
    Store(scores + i, seen ? Load(scores + i) : Set(-__builtin_inff()));
  }
}

// The products of queries and keys of the block whose first key is `first` become scores; what
// token t may see is visible[t].
static void FinishScores(const AttendArgs& args, const KeyRange* visible, int64_t first,
                         float* scores) {
  for (int64_t token = 0; token < args.tokens; ++token) {
    const int64_t self = args.first_key + token;
    for (int64_t head = 0; head < args.heads; ++head, scores += kBlock) {
      if (args.bias != nullptr) AddPositionBias(args, head, self, first, scores);
      if (args.softcap > 0) CapScores(args.softcap, scores);
      if (args.slopes != nullptr)
        AddSlope(args.slopes[head], static_cast<float>(self - first), scores);
      if (args.selected != nullptr) KeepSelected(args, token, first, scores);
      if (!visible[token].Covers(first)) KeepVisible(visible[token], first, scores);
    }
  }
}

// Scores become weights relative to the largest score so far.
static void WeighRows(int64_t rows, float* scores, const SoftmaxScratch& s) {
  constexpr int kVectors = kBlock / kLanes;
  const auto largest_of = [&](int64_t row) {
    F32 largest = Load(scores + row * kBlock);
    for (int i = 1; i < kVectors; ++i)
      largest = Max(largest, Load(scores + row * kBlock + i * kLanes));
    return largest;
  };
  ReduceRows(
      rows, largest_of, [](F32 a, F32 b) { return Max(a, b); }, s.block_largest);
  for (int64_t row = 0; row < rows; row += kLanes) {
    const F32 before = Load(s.largest + row), block = Load(s.block_largest + row);
    const F32 largest = Max(before, block), reference = Max(largest, Set(kLowestScore));
    Store(s.largest + row, largest);
    Store(s.reference + row, reference);
    Store(s.factor + row, Exp2(before - reference));
    Store(s.block_largest + row, Exp2(block - reference));
  }
  const auto weigh = [&](int64_t row) {
    F32 sum{};
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) {
      float* at = scores + row * kBlock + i * kLanes;
      const F32 weight = Exp2(Load(at) - s.reference[row]);
      sum += weight;
      Store(at, weight);
    }
    return sum;
  };
  ReduceRows(
      rows, weigh, [](F32 a, F32 b) { return a + b; }, s.block_sum);
  for (int64_t row = 0; row < rows; row += kLanes) {
    const F32 before = Load(s.sum + row);
    Store(s.sum + row, Fma(before, Load(s.factor + row), Load(s.block_sum + row)));
  }
}

// *total and its sums become those of its own keys and the part's.
PUNA_INLINE void MergeRow(RowState part, const float* part_sums, int64_t v_padded, RowState* total,
                          float* total_sums) {
  if (!(part.largest > -__builtin_inff())) return;
  if (!(total->largest > -__builtin_inff())) {
    *total = part;
    __builtin_memcpy(total_sums, part_sums, static_cast<size_t>(v_padded) * sizeof(float));
    return;
  }
  const float largest = part.largest > total->largest ? part.largest : total->largest;
  const float total_factor = Exp2(Set(total->largest - largest))[0];
  const float part_factor = Exp2(Set(part.largest - largest))[0];
  total->largest = largest;
  total->sum = total->sum * total_factor + part.sum * part_factor;
  Scale(total_sums, v_padded, total_factor);
  Add(total_sums, part_sums, part_factor, v_padded, total_sums);
}

static void FinishRow(const AttendArgs& args, int64_t row, RowState state, const float* sums) {
  const int64_t token = row / args.heads, head = row % args.heads;
  const int64_t v_size = args.tile.v_size;
  float factor = 1;
  if (args.sinks != nullptr) {
    const float sink = args.sinks[head] * kLog2E;
    const float largest = sink > state.largest ? sink : state.largest;
    factor = Exp2(Set(state.largest - largest))[0];
    state.sum = state.sum * factor + Exp2(Set(sink - largest))[0];
  }
  factor = state.sum > 0 ? factor / state.sum : 0.0f;
  float* out = args.out + token * args.out_stride + head * v_size;
  Map(sums, v_size, out, [&](F32 v) { return v * factor; });
}
