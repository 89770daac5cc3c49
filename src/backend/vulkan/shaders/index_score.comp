#version 460
// Scores of all keys up to a token, for IndexOp. x: tiles of keys, y: tokens.
#include "common.glsl"
#include "cache.glsl"

OP_RECORD(IndexParams);

void main() {
  const IndexParams p = IndexParamsRecord(push.op).p;
  const uint row = gl_WorkGroupID.y, position = Position(row);
  const SegmentInfo s = SegmentAt(SegmentOf(row));
  const PassHeader h = Pass(push.pass).h;
  const uint begin = p.cache.is_scratch != 0 ? s.start_position : s.encoded;
  Floats scores = Floats(h.index_scores + 4ul * uint64_t(row) * 32 * h.selection_words);
  Floats q = Row(p.q, row), weights = Row(p.weights, row);
  for (uint key = begin + gl_GlobalInvocationID.x; key <= position; key += gl_NumWorkGroups.x * kThreads) {
    const uint index = KeyOf(p.cache, s, key), slot = index % kPageTokens;
    const uint64_t keys = PageAt(p.cache, s, index) + p.cache.key_offset;
    float score = 0;
    for (uint head = 0; head < p.heads; ++head) {
      float product = 0;
      for (uint d = 0; d < p.size; ++d) product += q.v[head * p.size + d] * Cached(keys, KeyIndex(slot, d));
      score += weights.v[head] * max(product, 0.0);
    }
    scores.v[key - begin] = score;
  }
}
