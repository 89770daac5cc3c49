// What adapters add to a product, one adapter of each segment at a time: first the narrow product
// A x, then B times that. The table has an entry per weight, segment and place among the segment's
// adapters.
#include "common.glsl"

layout(constant_id = 1) const uint kRowKind = 0;  // tokens, outputs, segments
layout(constant_id = 2) const uint kKind = 0;     // as in matvec.comp
const uint kHeads = 1, kChosen = 2;

OP_RECORD(ProductParams);
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer LowRankEntries { LowRankEntry v[]; };

// push.number: the place among the adapters.
LowRankEntry EntryOf(uint weight, uint row) {
  const PassHeader h = Pass(push.pass).h;
  const uint segment = kRowKind == 2 ? row : SegmentOf(kRowKind == 1 ? Uints(h.output_rows).v[row] : row);
  return LowRankEntries(h.low_rank).v[(weight * h.segments + segment) * h.adapters + push.number];
}

// Of a row of the product: the row of the batch that it stands for, and the expert.
uint BatchRow(ProductParams p, uint row) { return kKind == kChosen ? row / p.used : row; }
uint ExpertOf(ProductParams p, uint row, uint head) {
  return kKind == kChosen ? Uints(BufferAt(p.chosen_slot)).v[row] : head;
}
Floats Narrow(ProductParams p, uint row, uint head) {
  const PassHeader h = Pass(push.pass).h;
  return Floats(h.narrow + 4ul * (uint64_t(row) * gl_NumWorkGroups.z + head) * h.most_rank);
}
