#version 460
// The best keys of each token, as bits. Scores of zero are common, so it matters who wins among
// equals: as with std::partial_sort of GNU's library, a heap of the best so far, in which a later key
// replaces the worst if it is better. x: tokens, an invocation each.
#include "common.glsl"

OP_RECORD(IndexParams);

// The heap has its worst key on top: Above(a, b) says that a is the better of two.
bool Above(Floats scores, uint a, uint b) { return scores.v[a] > scores.v[b]; }

// Puts `value` into the hole at `hole` of a heap of `size`: the hole sinks to the bottom, and the
// value rises from there.
void Adjust(Uints heap, Floats scores, uint hole, uint size, uint value) {
  const uint top = hole;
  uint child = hole;
  while (child < (size - 1) / 2) {
    child = 2 * (child + 1);
    if (Above(scores, heap.v[child], heap.v[child - 1])) --child;
    heap.v[hole] = heap.v[child];
    hole = child;
  }
  if (size % 2 == 0 && child == (size - 2) / 2) {
    child = 2 * (child + 1);
    heap.v[hole] = heap.v[child - 1];
    hole = child - 1;
  }
  while (hole > top) {
    const uint parent = (hole - 1) / 2;
    if (!Above(scores, heap.v[parent], value)) break;
    heap.v[hole] = heap.v[parent];
    hole = parent;
  }
  heap.v[hole] = value;
}

void main() {
  const IndexParams p = IndexParamsRecord(push.op).p;
  const PassHeader h = Pass(push.pass).h;
  const uint row = gl_GlobalInvocationID.x;
  if (row >= h.tokens) return;
  const SegmentInfo s = SegmentAt(SegmentOf(row));
  const uint begin = p.cache.is_scratch != 0 ? s.start_position : s.encoded;
  const uint count = Position(row) + 1 - begin, used = min(p.used, count);
  const uint64_t own = 4ul * uint64_t(row) * 32 * h.selection_words;
  Floats scores = Floats(h.index_scores + own);
  Uints heap = Uints(h.index_order + own);
  for (uint i = 0; i < used; ++i) heap.v[i] = i;
  if (count > used) {
    for (uint parent = used / 2; used >= 2 && parent-- > 0;) Adjust(heap, scores, parent, used, heap.v[parent]);
    for (uint i = used; i < count; ++i) {
      if (Above(scores, i, heap.v[0])) Adjust(heap, scores, 0, used, i);
    }
  }
  Uints bits = Uints(h.selections + 4ul * uint64_t(p.selection * h.tokens + row) * h.selection_words);
  for (uint i = 0; i < h.selection_words; ++i) bits.v[i] = 0;
  for (uint i = 0; i < used; ++i) {
    const uint key = begin + heap.v[i];
    bits.v[key / 32] |= 1u << (key % 32);
  }
}
