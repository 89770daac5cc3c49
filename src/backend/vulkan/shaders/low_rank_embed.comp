#version 460
// What adapters add to embeddings. x: columns, y: tokens.
#include "common.glsl"

OP_RECORD(EmbedParams);
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer LowRankEntries { LowRankEntry v[]; };

void main() {
  const EmbedParams p = EmbedParamsRecord(push.op).p;
  const uint column = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
  if (column >= p.result.width) return;
  const PassHeader h = Pass(push.pass).h;
  const uint index = Uints(h.token_ids).v[token];
  float sum = 0;
  for (uint i = 0; i < h.adapters; ++i) {
    const LowRankEntry entry =
        LowRankEntries(h.low_rank).v[(p.weight_id * h.segments + SegmentOf(token)) * h.adapters + i];
    float part = 0;
    for (uint r = 0; r < entry.rank; ++r)
      part += Floats(entry.b).v[r * p.rows + index] * Floats(entry.a).v[r * p.result.width + column];
    sum += entry.scale * part;
  }
  Row(p.result, token).v[column] += p.scale * sum;
}
