#version 460
// narrow = A x. x: ranks, y: rows, z: heads; a workgroup each.
#include "low_rank.glsl"
#include "reduce.glsl"

void main() {
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint r = gl_WorkGroupID.x, row = gl_WorkGroupID.y, head = gl_WorkGroupID.z;
  const LowRankEntry entry = EntryOf(p.weight_id, BatchRow(p, row));
  if (r >= entry.rank) return;
  const uint expert = ExpertOf(p, row, head);
  Floats a = Floats(entry.a + 4ul * (uint64_t(expert) * entry.rank + r) * p.cols);
  const uint source_row = kKind == kChosen && p.shared_input != 0 ? row / p.used : row;
  Floats x = Floats(RowAddress(p.source, source_row) + (kKind == kHeads ? 4ul * head * p.in_stride : 0ul));
  float sum = 0;
  for (uint i = gl_LocalInvocationID.x; i < p.cols; i += kThreads) sum += a.v[i] * x.v[i];
  sum = GroupSum(sum);
  if (gl_LocalInvocationID.x == 0) Narrow(p, row, head).v[r] = sum;
}
