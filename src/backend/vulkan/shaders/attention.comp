#version 460
// Attention of one query head and token over its keys, for heads of any size: the slow twin of
// attention_few.comp. A tile of kThreads keys at a time: each invocation takes the score of one key,
// then all add up the values, a column each. Softmax is online (Milakov and Gimelshein 2018).
// x: heads, y: tokens.
#include "attention.glsl"
#include "reduce.glsl"

const uint kColumns = (kValueSize + kThreads - 1) / kThreads;

shared float query[kKeySize];
shared float tile[kThreads];

float ProductWith(AttentionParams p, SegmentInfo s, uint kv_head, uint key) {
  const uint index = KeyOf(p.cache, s, key), slot = index % kPageTokens;
  const uint64_t keys = PageAt(p.cache, s, index) + p.cache.key_offset + kv_head * p.cache.key_head;
  float product = 0;
  for (uint d = 0; d < kKeySize; ++d) product += query[d] * Cached(keys, KeyIndex(slot, d));
  return product;
}

float ValueAt(AttentionParams p, SegmentInfo s, uint kv_head, uint key, uint d) {
  const uint index = KeyOf(p.cache, s, key), slot = index % kPageTokens;
  const uint64_t page = PageAt(p.cache, s, index);
  if (kValuesInKeys) return Cached(page + p.cache.key_offset + kv_head * p.cache.key_head, KeyIndex(slot, d));
  return Cached(page + p.cache.value_offset + kv_head * p.cache.value_head, slot * kValueSize + d);
}

void main() {
  const AttentionParams p = AttentionParamsRecord(push.op).p;
  const uint head = gl_WorkGroupID.x, row = gl_WorkGroupID.y, kv_head = head / (p.heads / p.kv_heads);
  const SegmentInfo s = SegmentAt(SegmentOf(row));
  const uint position = Position(row);
  const uvec2 seen = Visible(p, s, position);

  Floats q = Row(p.q, row);
  for (uint d = gl_LocalInvocationID.x; d < kKeySize; d += kThreads) query[d] = q.v[head * kKeySize + d];
  barrier();
  float largest = kHidden, denominator = 0;
  float sums[kColumns];
  for (uint i = 0; i < kColumns; ++i) sums[i] = 0;
  for (uint first = seen.x; first < seen.y; first += kThreads) {
    const uint key = first + gl_LocalInvocationID.x;
    const float score =
        key < seen.y ? ScoreOf(p, ProductWith(p, s, kv_head, key), head, row, position, key) : kHidden;
    const float next = max(largest, GroupMax(score));
    if (next == kHidden) continue;  // the same for all invocations
    const float weight = score == kHidden ? 0 : exp(score - next);
    const float keep = largest == kHidden ? 0 : exp(largest - next);
    tile[gl_LocalInvocationID.x] = weight;
    denominator = denominator * keep + GroupSum(weight);
    largest = next;
    const uint count = min(kThreads, seen.y - first);
    for (uint i = 0; i < kColumns; ++i) {
      const uint d = gl_LocalInvocationID.x + i * kThreads;
      if (d >= kValueSize) break;
      float sum = sums[i] * keep;
      for (uint j = 0; j < count; ++j) sum += tile[j] * ValueAt(p, s, kv_head, first + j, d);
      sums[i] = sum;
    }
    barrier();
  }

  float keep = 1;
  if (p.sinks != 0) {
    const float sink = Floats(p.sinks).v[head], next = max(largest, sink);
    keep = exp(largest - next);
    denominator = denominator * keep + exp(sink - next);
  }
  Floats result = Row(p.result, row);
  for (uint i = 0; i < kColumns; ++i) {
    const uint d = gl_LocalInvocationID.x + i * kThreads;
    if (d < kValueSize) result.v[head * kValueSize + d] = sums[i] * keep / denominator;
  }
}
