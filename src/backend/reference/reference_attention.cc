// Attention of the reference backend. Per segment and key/value head the visible keys and values
// are gathered as float32 once (from the pages, or from the batch itself if the plan has no cache),
// then every query attends to its range of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/reference/reference_ops.h"

namespace puna::backend::reference {
namespace {

// Keys and values of one head at positions [first, first + count).
struct Gathered {
  int64_t first = 0;
  int64_t count = 0;
  std::vector<float> k, v;  // [count, k_size], [count, v_size]
};

std::span<const float> Head(std::span<const float> row, int64_t head, int64_t size) {
  return row.subspan(static_cast<size_t>(head * size), static_cast<size_t>(size));
}

std::span<float> Head(std::vector<float>& rows, int64_t row, int64_t size) {
  return std::span<float>(rows).subspan(static_cast<size_t>(row * size), static_cast<size_t>(size));
}

void Append(const AttentionOp& op, const Segment& segment, Pass* pass) {
  for (int64_t i = 0; i < segment.tokens; ++i) {
    const int64_t position = segment.start_position + i;
    pass->pages->Write(op.cache, segment.pages[static_cast<size_t>(position / kPageTokens)],
                       position % kPageTokens, pass->At(op.k, segment.first_row + i),
                       pass->At(op.v, segment.first_row + i));
  }
}

Gathered Gather(const AttentionOp& op, const Segment& segment, int64_t kv_head, Pass* pass) {
  Gathered out;
  const bool cached = op.cache >= 0;
  out.first = segment.start_position;
  if (cached) {
    // What the first query of the segment can see is the earliest that anybody can.
    const int64_t reach = op.window == 0 ? segment.start_position
                          : op.causal    ? op.window - 1
                                         : op.window / 2;
    out.first = std::max<int64_t>(0, segment.start_position - reach);
  }
  out.count = segment.start_position + segment.tokens - out.first;
  out.k.resize(static_cast<size_t>(out.count * op.k_size));
  out.v.resize(static_cast<size_t>(out.count * op.v_size));
  for (int64_t i = 0; i < out.count; ++i) {
    const int64_t position = out.first + i;
    const std::span<float> k = Head(out.k, i, op.k_size), v = Head(out.v, i, op.v_size);
    if (cached) {
      const int32_t page = segment.pages[static_cast<size_t>(position / kPageTokens)];
      pass->pages->ReadKey(op.cache, page, position % kPageTokens, kv_head, k);
      pass->pages->ReadValue(op.cache, page, position % kPageTokens, kv_head, v);
    } else {
      const std::span<const float> from_k =
          Head(pass->At(op.k, segment.first_row + i), kv_head, op.k_size);
      const std::span<const float> from_v =
          Head(pass->At(op.v, segment.first_row + i), kv_head, op.v_size);
      std::copy(from_k.begin(), from_k.end(), k.begin());
      std::copy(from_v.begin(), from_v.end(), v.begin());
    }
  }
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

void AttendOne(const AttentionOp& op, std::span<const float> q, int64_t position, double slope,
               const float* sink, const Gathered& keys, std::span<float> out) {
  const auto [begin, end] = VisibleRange(op, position, keys);
  std::vector<double> scores(static_cast<size_t>(end - begin));
  for (int64_t s = begin; s < end; ++s) {
    const float* k = keys.k.data() + s * op.k_size;
    double score = 0;
    for (size_t i = 0; i < q.size(); ++i) score += static_cast<double>(q[i]) * k[i];
    score *= op.scale;
    if (op.softcap > 0) score = op.softcap * std::tanh(score / op.softcap);
    score -= slope * static_cast<double>(std::abs(keys.first + s - position));
    scores[static_cast<size_t>(s - begin)] = score;
  }
  Softmax(scores, sink);
  std::vector<double> sum(out.size(), 0);
  for (int64_t s = begin; s < end; ++s) {
    const float* v = keys.v.data() + s * op.v_size;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += scores[static_cast<size_t>(s - begin)] * v[i];
  }
  for (size_t i = 0; i < sum.size(); ++i) out[i] = static_cast<float>(sum[i]);
}

}  // namespace

void Execute(const AttentionOp& op, Pass* pass) {
  const std::vector<float> sinks = pass->weights->Vector(op.sinks);
  const int64_t group = op.heads / op.kv_heads;
  for (const Segment& segment : pass->batch.segments) {
    if (op.cache >= 0 && op.k.buffer >= 0) Append(op, segment, pass);
    for (int64_t kv_head = 0; kv_head < op.kv_heads; ++kv_head) {
      const Gathered keys = Gather(op, segment, kv_head, pass);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const double slope = AlibiSlope(op, head);
        const float* sink = sinks.empty() ? nullptr : &sinks[static_cast<size_t>(head)];
        for (int64_t i = 0; i < segment.tokens; ++i) {
          const int64_t row = segment.first_row + i;
          AttendOne(
              op, Head(pass->At(op.q, row), head, op.k_size), segment.start_position + i, slope,
              sink, keys,
              pass->At(op.out, row)
                  .subspan(static_cast<size_t>(head * op.v_size), static_cast<size_t>(op.v_size)));
        }
      }
    }
  }
}

}  // namespace puna::backend::reference
