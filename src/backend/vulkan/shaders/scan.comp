#version 460
// Selective state space. x: values of all heads, y: segments; an invocation per value and its state.
#include "common.glsl"
#include "functions.glsl"
OP_RECORD(RecurrentParams);
#include "state.glsl"

layout(constant_id = 1) const uint kStateSize = 16;

void main() {
  const RecurrentParams p = RecurrentParamsRecord(push.op).p;
  const uint value = gl_GlobalInvocationID.x;
  if (value >= p.result.width) return;
  const uint head = value / p.head_size, group = head / (p.heads / p.groups);
  StateCursor cursor = CursorOf(p, gl_WorkGroupID.y);
  const uint64_t before = StateBefore(p, cursor);
  float state[kStateSize];
  for (uint n = 0; n < kStateSize; ++n) state[n] = before != 0 ? Floats(before).v[value * kStateSize + n] : 0;
  const uint first_row = cursor.segment.first_row, tokens = cursor.segment.tokens;
  Floats decay = Floats(p.weight);
  for (uint t = 0; t < tokens; ++t) {
    const uint row = first_row + t;
    const float x = Row(p.a, row).v[value], d = Softplus(Row(p.b, row).v[head]);
    Floats b = Floats(RowAddress(p.c, row) + 4ul * group * kStateSize);
    Floats c = Floats(RowAddress(p.d, row) + 4ul * group * kStateSize);
    float sum = 0;
    for (uint n = 0; n < kStateSize; ++n) {
      const float rate = decay.v[p.flag != 0 ? head * kStateSize + n : head];
      state[n] = exp(d * rate) * state[n] + d * x * b.v[n];
      sum += c.v[n] * state[n];
    }
    Row(p.result, row).v[value] = sum + Floats(p.bias).v[head] * x;
    const uint64_t to = StateWanted(p, cursor, t + 1);
    if (to == 0) continue;
    for (uint n = 0; n < kStateSize; ++n) Floats(to).v[value * kStateSize + n] = state[n];
  }
}
