#version 460
// result += scale * B narrow. x: output values, y: rows, z: heads.
#include "low_rank.glsl"

void main() {
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint out_row = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y, head = gl_WorkGroupID.z;
  if (out_row >= p.rows) return;
  const LowRankEntry entry = EntryOf(p.weight_id, BatchRow(p, row));
  if (entry.rank == 0) return;
  const uint expert = ExpertOf(p, row, head);
  Floats b = Floats(entry.b + 4ul * uint64_t(expert) * entry.rank * p.rows);
  Floats narrow = Narrow(p, row, head);
  float sum = 0;
  for (uint r = 0; r < entry.rank; ++r) sum += b.v[r * p.rows + out_row] * narrow.v[r];
  sum *= entry.scale;
  if (kKind == kChosen && p.weigh != 0) sum *= Floats(BufferAt(p.weight_slot)).v[row];
  Row(p.result, row).v[(kKind == kHeads ? head * p.out_stride : 0) + out_row] += sum;
}
