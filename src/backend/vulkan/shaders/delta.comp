#version 460
// Gated delta rule. x: value columns of all heads, y: segments; an invocation per column.
#include "common.glsl"
#include "functions.glsl"
OP_RECORD(RecurrentParams);
#include "state.glsl"

layout(constant_id = 1) const uint kKeySize = 128;

uint StateIndex(RecurrentParams p, uint head, uint i, uint column) {
  return (head * kKeySize + i) * p.head_size + column;
}

void main() {
  const RecurrentParams p = RecurrentParamsRecord(push.op).p;
  const uint value = gl_GlobalInvocationID.x;
  if (value >= p.result.width) return;
  const uint head = value / p.head_size, column = value % p.head_size;
  const uint key_head = p.flag != 0 ? head % p.groups : head / (p.heads / p.groups);
  StateCursor cursor = CursorOf(p, gl_WorkGroupID.y);
  const uint64_t before = StateBefore(p, cursor);
  float state[kKeySize];
  for (uint i = 0; i < kKeySize; ++i) state[i] = before != 0 ? Floats(before).v[StateIndex(p, head, i, column)] : 0;
  const uint first_row = cursor.segment.first_row, tokens = cursor.segment.tokens;
  const float rate = Floats(p.weight).v[head];
  for (uint t = 0; t < tokens; ++t) {
    const uint row = first_row + t;
    Floats q = Floats(RowAddress(p.a, row) + 4ul * key_head * kKeySize);
    Floats k = Floats(RowAddress(p.b, row) + 4ul * key_head * kKeySize);
    Floats decay = Row(p.d, row);
    float keep = p.flag2 != 0 ? 0 : exp(rate * Softplus(decay.v[head])), known = 0;
    for (uint i = 0; i < kKeySize; ++i) {
      if (p.flag2 != 0) keep = exp(rate * Softplus(decay.v[head * kKeySize + i]));
      state[i] *= keep;
      known += state[i] * k.v[i];
    }
    const float change = Row(p.e, row).v[head] * (Row(p.c, row).v[value] - known);
    float sum = 0;
    for (uint i = 0; i < kKeySize; ++i) {
      state[i] += k.v[i] * change;
      sum += q.v[i] * state[i];
    }
    Row(p.result, row).v[value] = p.scale * sum;
    const uint64_t to = StateWanted(p, cursor, t + 1);
    if (to == 0) continue;
    for (uint i = 0; i < kKeySize; ++i) Floats(to).v[StateIndex(p, head, i, column)] = state[i];
  }
}
