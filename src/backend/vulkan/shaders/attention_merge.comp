#version 460
// Joins the parts of a tile. x: heads, y: tiles from push.number on, z: rows of a tile.
#include "attention.glsl"
#include "reduce.glsl"

layout(constant_id = 5) const uint kTile = 64;  // as in the kernel that made the parts
const uint kMostParts = 128;                    // at most kThreads

shared float factors[kMostParts];

void main() {
  const AttentionParams p = AttentionParamsRecord(push.op).p;
  const AttentionTile t = TileAt(push.number + gl_WorkGroupID.y);
  const uint head = gl_WorkGroupID.x, row = gl_WorkGroupID.z, part = gl_LocalInvocationID.x;
  if (row >= t.rows) return;
  const uvec2 seen = VisibleToTile(p, t);
  const uint length = PartLength(seen, t.parts, kTile), parts = (seen.y - seen.x + length - 1) / length;
  float largest = kHidden, denominator = 0;
  if (part < parts) {
    Floats own = PartialAt(p, t, row, part, head);
    largest = own.v[kValueSize];
    denominator = own.v[kValueSize + 1];
  }
  const float sink = p.sinks != 0 ? Floats(p.sinks).v[head] : kHidden;
  const float all = max(sink, GroupMax(largest)), factor = exp(largest - all);
  if (part < parts) factors[part] = factor;
  denominator = GroupSum(denominator * factor);  // its barriers also stand between factors and sums
  if (p.sinks != 0) denominator += exp(sink - all);
  Floats partial = PartialAt(p, t, row, 0, head), result = Row(p.result, t.first_row + row);
  const uint stride = p.heads * (kValueSize + 2);
  for (uint d = gl_LocalInvocationID.x; d < kValueSize; d += kThreads) {
    float sum = 0;
    for (uint i = 0; i < parts; ++i) sum += partial.v[i * stride + d] * factors[i];
    result.v[head * kValueSize + d] = sum / denominator;
  }
}
