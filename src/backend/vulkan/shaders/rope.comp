#version 460
// Rotates pairs in place. The cosines and sines come from the host: those of a shader may be off by
// 2^-11. x: pairs of all heads, y: tokens.
#include "common.glsl"

OP_RECORD(RopeParams);

void main() {
  const RopeParams p = RopeParamsRecord(push.op).p;
  const uint heads = p.inout_rows.width / p.head_size, row = gl_WorkGroupID.y;
  if (gl_GlobalInvocationID.x >= heads * p.pairs) return;
  const uint head = gl_GlobalInvocationID.x / p.pairs, i = gl_GlobalInvocationID.x % p.pairs;
  const PassHeader h = Pass(push.pass).h;
  Floats table = Floats(h.ropes + 4ul * h.tokens * p.table);
  const float cosine = table.v[row * p.pairs + i], sine = table.v[(h.tokens + row) * p.pairs + i];
  Floats values = Row(p.inout_rows, row);
  const uint base = head * p.head_size + p.head_offset;
  const uint first = base + (p.interleaved != 0 ? 2 * i : i), second = first + (p.interleaved != 0 ? 1 : p.pairs);
  const float a = values.v[first], b = values.v[second];
  values.v[first] = a * cosine - b * sine;
  values.v[second] = a * sine + b * cosine;
}
