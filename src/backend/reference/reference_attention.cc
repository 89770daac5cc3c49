// Attention of the reference backend. Per segment and key/value head the visible keys and values
// are gathered as float32 once (from the pages, or from the batch itself if the plan has no cache),
// then every query attends to its range of them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "backend/reference/reference_ops.h"

namespace puna::backend::reference {
namespace {

// Keys and values of one head at positions [first, first + count).
struct Gathered {
  int64_t first = 0;
  int64_t count = 0;
  std::vector<float> k, v;  // [count, k_size], [count, v_size]
};

std::span<float> Head(std::span<float> row, int64_t head, int64_t size) {
  return row.subspan(static_cast<size_t>(head * size), static_cast<size_t>(size));
}

std::span<float> Head(std::vector<float>& rows, int64_t row, int64_t size) {
  return std::span<float>(rows).subspan(static_cast<size_t>(row * size), static_cast<size_t>(size));
}

void Append(const AttentionOp& op, const Segment& segment, Pass* pass) {
  for (int64_t i = 0; i < segment.tokens; ++i) {
    const int64_t position = segment.start_position + i, row = segment.first_row + i;
    std::span<const float> v;
    if (!op.v_in_k) v = pass->At(op.v, row);
    pass->pages->Write(op.cache, segment.pages[static_cast<size_t>(position / kPageTokens)],
                       position % kPageTokens, pass->At(op.k, row), v);
  }
}

// Values that are the beginnings of the keys.
void TakeValuesFromKeys(const AttentionOp& op, Gathered* keys) {
  for (int64_t i = 0; i < keys->count; ++i) {
    std::copy_n(keys->k.begin() + i * op.k_size, op.v_size, keys->v.begin() + i * op.v_size);
  }
}

Gathered Gather(const AttentionOp& op, const Segment& segment, int64_t kv_head, Pass* pass) {
  Gathered out;
  const bool cached = op.cache >= 0;
  out.first = segment.start_position;
  out.count = segment.tokens;
  if (op.cross) {
    out.first = 0;
    out.count = segment.encoded;
  } else if (cached) {
    // What the first query of the segment can see is the earliest that anybody can.
    const int64_t reach = op.window == 0 ? segment.start_position
                          : op.causal    ? op.window - 1
                                         : op.window / 2;
    out.first = std::max<int64_t>(segment.encoded, segment.start_position - reach);
    out.count = segment.start_position + segment.tokens - out.first;
  }
  out.k.resize(static_cast<size_t>(out.count * op.k_size));
  out.v.resize(static_cast<size_t>(out.count * op.v_size));
  for (int64_t i = 0; i < out.count; ++i) {
    const int64_t position = out.first + i;
    const std::span<float> k = Head(out.k, i, op.k_size), v = Head(out.v, i, op.v_size);
    if (cached) {
      const int32_t page = segment.pages[static_cast<size_t>(position / kPageTokens)];
      pass->pages->ReadKey(op.cache, page, position % kPageTokens, kv_head, k);
      if (!op.v_in_k) pass->pages->ReadValue(op.cache, page, position % kPageTokens, kv_head, v);
    } else {
      const int64_t row = segment.first_row + i;
      std::ranges::copy(Head(pass->At(op.k, row), kv_head, op.k_size), k.begin());
      if (!op.v_in_k) std::ranges::copy(Head(pass->At(op.v, row), kv_head, op.v_size), v.begin());
    }
  }
  if (op.v_in_k) TakeValuesFromKeys(op, &out);
  return out;
}

double AlibiSlope(const AttentionOp& op, int64_t head) {
  if (op.alibi_max_bias <= 0) return 0;
  int64_t power = 1;
  while (2 * power <= op.heads) power *= 2;
  const double bias = op.alibi_max_bias, n = static_cast<double>(power);
  return head < power ? std::exp2(-bias * static_cast<double>(head + 1) / n)
                      : std::exp2(-bias * static_cast<double>(2 * (head - power) + 1) / (2 * n));
}

// The positions that the token at `position` sees, as indices into `keys`: [begin, end).
std::pair<int64_t, int64_t> VisibleRange(const AttentionOp& op, int64_t position,
                                         const Gathered& keys) {
  int64_t begin = keys.first, end = keys.first + keys.count;
  if (op.causal) {
    end = position + 1;
    if (op.window > 0) begin = std::max(begin, position - op.window + 1);
    if (op.chunk > 0) begin = std::max(begin, position / op.chunk * op.chunk);
  } else if (op.window > 0) {
    begin = std::max(begin, position - op.window / 2);
    end = std::min(end, position + op.window / 2 + 1);
  }
  return {begin - keys.first, end - keys.first};
}

// Softmax in place over `scores`; a sink is one more score that has no value.
void Softmax(std::span<double> scores, const float* sink) {
  double largest = sink != nullptr ? *sink : -std::numeric_limits<double>::infinity();
  for (const double score : scores) largest = std::max(largest, score);
  double sum = sink != nullptr ? std::exp(*sink - largest) : 0;
  for (double& score : scores) sum += score = std::exp(score - largest);
  for (double& score : scores) score /= sum;
}

// What one head adds to its scores.
struct HeadBias {
  double slope = 0;
  const float* sink = nullptr;
  std::vector<float> by_bucket;  // of a position bias; empty: none
};

// `chosen`: the positions that an IndexOp left to this token; null: it sees all in its range.
void AttendOne(const AttentionOp& op, std::span<const float> q, int64_t position,
               const HeadBias& bias, const std::vector<int64_t>* chosen, const Gathered& keys,
               std::span<float> out) {
  const auto [begin, end] = VisibleRange(op, position, keys);
  std::vector<double> scores(static_cast<size_t>(end - begin));
  for (int64_t s = begin; s < end; ++s) {
    const float* k = keys.k.data() + s * op.k_size;
    double score = 0;
    for (size_t i = 0; i < q.size(); ++i) score += static_cast<double>(q[i]) * k[i];
    score *= op.scale;
    if (op.softcap > 0) score = op.softcap * std::tanh(score / op.softcap);
    const int64_t distance = keys.first + s - position;
    score -= bias.slope * static_cast<double>(std::abs(distance));
    if (!bias.by_bucket.empty()) {
      const int64_t buckets = static_cast<int64_t>(bias.by_bucket.size());
      score += bias.by_bucket[static_cast<size_t>(RelativeBucket(distance, buckets, !op.causal))];
    }
    if (chosen != nullptr && !std::binary_search(chosen->begin(), chosen->end(), keys.first + s)) {
      score = -std::numeric_limits<double>::infinity();
    }
    scores[static_cast<size_t>(s - begin)] = score;
  }
  Softmax(scores, bias.sink);
  std::vector<double> sum(out.size(), 0);
  for (int64_t s = begin; s < end; ++s) {
    const float* v = keys.v.data() + s * op.v_size;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += scores[static_cast<size_t>(s - begin)] * v[i];
  }
  for (size_t i = 0; i < sum.size(); ++i) out[i] = static_cast<float>(sum[i]);
}

}  // namespace

namespace {

HeadBias BiasOf(const AttentionOp& op, std::span<const float> sinks, int64_t head, Pass* pass) {
  HeadBias bias{.slope = AlibiSlope(op, head)};
  if (!sinks.empty()) bias.sink = &sinks[static_cast<size_t>(head)];
  if (op.position_bias == kNoWeight) return bias;
  for (int64_t row = 0; row < pass->weights->at(op.position_bias).rows; ++row) {
    bias.by_bucket.push_back(
        pass->weights->Row(op.position_bias, 0, row)[static_cast<size_t>(head)]);
  }
  return bias;
}

}  // namespace

void Execute(const StoreOp& op, Pass* pass) {
  const AttentionOp as_attention{.k = op.k, .v = op.v, .cache = op.cache};
  for (const Segment& segment : pass->batch.segments) Append(as_attention, segment, pass);
}

void Execute(const AttentionOp& op, Pass* pass) {
  const std::vector<float> sinks = pass->weights->Vector(op.sinks);
  const int64_t group = op.heads / op.kv_heads;
  for (const Segment& segment : pass->batch.segments) {
    if (op.cache >= 0 && op.k.buffer >= 0) Append(op, segment, pass);
    for (int64_t kv_head = 0; kv_head < op.kv_heads; ++kv_head) {
      const Gathered keys = Gather(op, segment, kv_head, pass);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const HeadBias bias = BiasOf(op, sinks, head, pass);
        for (int64_t i = 0; i < segment.tokens; ++i) {
          const int64_t row = segment.first_row + i;
          const std::vector<int64_t>* chosen = nullptr;
          if (op.selection >= 0) {
            chosen = &pass->selections[static_cast<size_t>(op.selection)][static_cast<size_t>(row)];
          }
          AttendOne(op, Head(pass->At(op.q, row), head, op.k_size), segment.start_position + i,
                    bias, chosen, keys, Head(pass->At(op.out, row), head, op.v_size));
        }
      }
    }
  }
}

namespace {

// The best `used` of the scores of positions 0, 1, ..., ascending. Scores of zero are common, so
// ties are broken by the algorithm that llama.cpp has.
std::vector<int64_t> Best(const std::vector<double>& scores, int64_t used) {
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  used = std::min<int64_t>(used, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + used, order.end(), [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(used));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace

// The keys are read as an attention of one kv head would read them.
void Execute(const IndexOp& op, Pass* pass) {
  const AttentionOp as_attention{
      .k = op.k, .cache = op.cache, .heads = 1, .kv_heads = 1, .k_size = op.size, .v_in_k = true};
  auto& chosen = pass->selections[static_cast<size_t>(op.selection)];
  chosen.assign(static_cast<size_t>(pass->rows), {});
  for (const Segment& segment : pass->batch.segments) {
    if (op.cache >= 0) Append(as_attention, segment, pass);
    const Gathered keys = Gather(as_attention, segment, 0, pass);
    for (int64_t i = 0; i < segment.tokens; ++i) {
      const int64_t row = segment.first_row + i;
      const int64_t count = segment.start_position + i + 1 - keys.first;
      std::vector<double> scores(static_cast<size_t>(count), 0);
      for (int64_t s = 0; s < count; ++s) {
        const float* k = keys.k.data() + s * op.size;
        for (int64_t h = 0; h < op.heads; ++h) {
          const std::span<const float> q = Head(pass->At(op.q, row), h, op.size);
          double product = 0;
          for (size_t d = 0; d < q.size(); ++d) product += static_cast<double>(q[d]) * k[d];
          scores[static_cast<size_t>(s)] +=
              pass->At(op.weights, row)[static_cast<size_t>(h)] * std::max(product, 0.0);
        }
      }
      std::vector<int64_t>& best = chosen[static_cast<size_t>(row)];
      best = Best(scores, op.used);
      for (int64_t& position : best) position += keys.first;
    }
  }
}

}  // namespace puna::backend::reference
