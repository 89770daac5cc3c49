#version 460
// Attention of one query head and token over its keys, a tile of kThreads keys at a time: each
// invocation takes the score of one key, then all add up the values, a column each. Softmax is
// online (Milakov and Gimelshein 2018). x: heads, y: tokens, z: parts of the keys; with more than one
// part sums, denominators and largest scores go to attention_merge.comp.
#include "common.glsl"
#include "cache.glsl"
#include "functions.glsl"
#include "reduce.glsl"

layout(constant_id = 2) const uint kKeySize = 64;
layout(constant_id = 3) const uint kValueSize = 64;
layout(constant_id = 4) const bool kValuesInKeys = false;

OP_RECORD(AttentionParams);

const uint kColumns = (kValueSize + kThreads - 1) / kThreads;
const float kHidden = -3.0e38;

shared float query[kKeySize];
shared float tile[kThreads];

// Keys [x, y) that the token at `position` may see.
uvec2 Visible(AttentionParams p, SegmentInfo s, uint position) {
  if (p.is_cross != 0) return uvec2(0, s.encoded);
  uint begin = p.cache.is_scratch != 0 ? s.start_position : s.encoded, end = s.start_position + s.tokens;
  if (p.causal != 0) {
    end = position + 1;
    if (p.window > 0 && end > p.window) begin = max(begin, end - p.window);
    if (p.chunk > 0) begin = max(begin, position / p.chunk * p.chunk);
  } else if (p.window > 0) {
    const uint reach = p.window / 2;
    if (position > reach) begin = max(begin, position - reach);
    end = min(end, position + reach + 1);
  }
  return uvec2(begin, end);
}

float ScoreOf(AttentionParams p, SegmentInfo s, uint head, uint kv_head, uint row, uint position, uint key) {
  const uint index = KeyOf(p.cache, s, key), slot = index % kPageTokens;
  if (p.selection != 0) {
    const PassHeader h = Pass(push.pass).h;
    const uint64_t words = uint64_t((p.selection - 1) * h.tokens + row) * h.selection_words;
    if ((Uints(h.selections + 4ul * words).v[key / 32] >> (key % 32) & 1) == 0) return kHidden;
  }
  const uint64_t keys = PageAt(p.cache, s, index) + p.cache.key_offset + kv_head * p.cache.key_head;
  float score = 0;
  for (uint d = 0; d < kKeySize; ++d) score += query[d] * Cached(keys, KeyIndex(slot, d));
  score *= p.scale;
  if (p.softcap > 0) score = p.softcap * Tanh(score / p.softcap);
  const int distance = int(key) - int(position);
  if (p.slopes != 0) score -= Floats(p.slopes).v[head] * float(abs(distance));
  if (p.bias != 0) {
    const int reach = int(p.bias_reach);
    score += Floats(p.bias).v[head * uint(2 * reach + 1) + uint(clamp(distance, -reach, reach) + reach)];
  }
  return score;
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
  uvec2 seen = Visible(p, s, position);
  const uint parts = gl_NumWorkGroups.z, length = (seen.y - seen.x + parts - 1) / parts;
  seen.x = min(seen.x + gl_WorkGroupID.z * length, seen.y);
  seen.y = min(seen.x + length, seen.y);

  Floats q = Row(p.q, row);
  for (uint d = gl_LocalInvocationID.x; d < kKeySize; d += kThreads) query[d] = q.v[head * kKeySize + d];
  barrier();
  float largest = kHidden, denominator = 0;
  float sums[kColumns];
  for (uint i = 0; i < kColumns; ++i) sums[i] = 0;
  for (uint first = seen.x; first < seen.y; first += kThreads) {
    const uint key = first + gl_LocalInvocationID.x;
    const float score = key < seen.y ? ScoreOf(p, s, head, kv_head, row, position, key) : kHidden;
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

  if (parts > 1) {
    Floats partial = Floats(BufferAt(p.partial_slot) +
                            4ul * ((uint64_t(row) * p.heads + head) * parts + gl_WorkGroupID.z) * (kValueSize + 2));
    for (uint i = 0; i < kColumns; ++i) {
      const uint d = gl_LocalInvocationID.x + i * kThreads;
      if (d < kValueSize) partial.v[d] = sums[i];
    }
    if (gl_LocalInvocationID.x == 0) {
      partial.v[kValueSize] = largest;
      partial.v[kValueSize + 1] = denominator;
    }
    return;
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
