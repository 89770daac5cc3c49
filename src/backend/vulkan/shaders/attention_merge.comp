#version 460
// Joins the parts of attention.comp. x: heads, y: tokens; push.number: parts.
#include "common.glsl"

layout(constant_id = 3) const uint kValueSize = 64;
const float kHidden = -3.0e38;

OP_RECORD(AttentionParams);

void main() {
  const AttentionParams p = AttentionParamsRecord(push.op).p;
  const uint head = gl_WorkGroupID.x, row = gl_WorkGroupID.y, parts = push.number, size = kValueSize + 2;
  Floats partial = Floats(BufferAt(p.partial_slot) + 4ul * (uint64_t(row) * p.heads + head) * parts * size);
  float largest = p.sinks != 0 ? Floats(p.sinks).v[head] : kHidden;
  for (uint i = 0; i < parts; ++i) largest = max(largest, partial.v[i * size + kValueSize]);
  float denominator = p.sinks != 0 ? exp(Floats(p.sinks).v[head] - largest) : 0;
  for (uint i = 0; i < parts; ++i)
    denominator += partial.v[i * size + kValueSize + 1] * exp(partial.v[i * size + kValueSize] - largest);
  Floats result = Row(p.result, row);
  for (uint d = gl_LocalInvocationID.x; d < kValueSize; d += kThreads) {
    float sum = 0;
    for (uint i = 0; i < parts; ++i) sum += partial.v[i * size + d] * exp(partial.v[i * size + kValueSize] - largest);
    result.v[head * kValueSize + d] = sum / denominator;
  }
}
