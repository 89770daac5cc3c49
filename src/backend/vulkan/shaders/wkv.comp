#version 460
// Linear attention of RWKV. x: value columns of all heads, y: segments; an invocation per column.
#include "common.glsl"
OP_RECORD(RecurrentParams);
#include "state.glsl"

layout(constant_id = 1) const uint kSize = 64;

Floats Head(Matrix m, uint row, uint head) { return Floats(RowAddress(m, row) + 4ul * head * kSize); }

void main() {
  const RecurrentParams p = RecurrentParamsRecord(push.op).p;
  const uint value = gl_GlobalInvocationID.x;
  if (value >= p.result.width) return;
  const uint head = value / kSize, column = value % kSize;
  StateCursor cursor = CursorOf(p, gl_WorkGroupID.y);
  const uint64_t before = StateBefore(p, cursor);
  float state[kSize];
  for (uint i = 0; i < kSize; ++i)
    state[i] = before != 0 ? Floats(before).v[(head * kSize + i) * kSize + column] : 0;
  const uint first_row = cursor.segment.first_row, tokens = cursor.segment.tokens;
  for (uint t = 0; t < tokens; ++t) {
    const uint row = first_row + t;
    Floats r = Head(p.a, row, head), w = Head(p.b, row, head), k = Head(p.c, row, head);
    const float v = Row(p.d, row).v[value];
    float known = 0, sum = 0;
    if (p.flag != 0) {
      Floats erase = Head(p.e, row, head);
      for (uint i = 0; i < kSize; ++i) known += erase.v[i] * state[i];
    }
    for (uint i = 0; i < kSize; ++i) {
      const float old = state[i], added = k.v[i] * v;
      float next = w.v[i] * old + added;
      if (p.flag != 0) next += Head(p.f, row, head).v[i] * known;
      state[i] = next;
      sum += r.v[i] * (p.weight != 0 ? old + Floats(p.weight).v[head * kSize + i] * added : next);
    }
    Row(p.result, row).v[value] = p.scale * sum;
    const uint64_t to = StateWanted(p, cursor, t + 1);
    if (to == 0) continue;
    for (uint i = 0; i < kSize; ++i) Floats(to).v[(head * kSize + i) * kSize + column] = state[i];
  }
}
