#version 460
// A short convolution along the tokens. x: columns, y: segments; an invocation per column.
#include "common.glsl"
OP_RECORD(RecurrentParams);
#include "state.glsl"

layout(constant_id = 1) const uint kKernel = 4;

void main() {
  const RecurrentParams p = RecurrentParamsRecord(push.op).p;
  const uint column = gl_GlobalInvocationID.x, width = p.result.width;
  if (column >= width) return;
  StateCursor cursor = CursorOf(p, gl_WorkGroupID.y);
  const uint64_t before = StateBefore(p, cursor);
  float last[kKernel];  // inputs, the newest at the end
  for (uint j = 1; j < kKernel; ++j) last[j] = before != 0 ? Floats(before).v[(j - 1) * width + column] : 0;
  const uint first_row = cursor.segment.first_row, tokens = cursor.segment.tokens;
  for (uint t = 0; t < tokens; ++t) {
    for (uint j = 1; j < kKernel; ++j) last[j - 1] = last[j];
    last[kKernel - 1] = Row(p.a, first_row + t).v[column];
    float sum = last[0];
    if (p.weight != 0) {
      sum = 0;
      for (uint j = 0; j < kKernel; ++j) sum += Floats(p.weight).v[column * kKernel + j] * last[j];
    }
    if (p.bias != 0) sum += Floats(p.bias).v[column];
    Row(p.result, first_row + t).v[column] = sum;
    const uint64_t to = StateWanted(p, cursor, t + 1);
    if (to == 0) continue;
    for (uint j = 1; j < kKernel; ++j) Floats(to).v[(j - 1) * width + column] = last[j];
  }
}
