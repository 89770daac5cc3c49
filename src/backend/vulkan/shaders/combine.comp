#version 460
// The sum of the chosen experts' outputs. x: columns, y: rows.
#include "common.glsl"

OP_RECORD(CombineParams);

void main() {
  const CombineParams p = CombineParamsRecord(push.op).p;
  const uint column = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (column >= p.result.width) return;
  Floats weights = Floats(BufferAt(p.weight_slot));
  float sum = 0;
  for (uint i = row * p.used; i < (row + 1) * p.used; ++i)
    sum += (p.weighed != 0 ? weights.v[i] : 1.0) * Row(p.source, i).v[column];
  Row(p.result, row).v[column] = sum;
}
