#version 460
// Appends keys and values to their pages, and rotates the keys as rope.comp does if they are not yet.
// x: values of a token, y: tokens.
#include "common.glsl"
#include "cache.glsl"

OP_RECORD(StoreParams);

float KeyValue(StoreParams p, uint row, uint head, uint d) {
  Floats values = Row(p.k, row);
  const uint base = head * p.k_size, pairs = p.rope_pairs, place = d - p.rope_offset;
  if (d < p.rope_offset || place >= 2 * pairs) return values.v[base + d];
  const bool interleaved = p.rope_interleaved != 0, second = interleaved ? (place & 1u) == 1 : place >= pairs;
  const uint distance = interleaved ? 1 : pairs, i = interleaved ? place / 2 : second ? place - pairs : place;
  const uint first = base + (second ? d - distance : d);
  const PassHeader h = Pass(push.pass).h;
  Floats table = Floats(h.ropes + 4ul * h.tokens * p.rope_table);
  const float cosine = table.v[row * pairs + i], sine = table.v[(h.tokens + row) * pairs + i];
  const float a = values.v[first], b = values.v[first + distance];
  return second ? a * sine + b * cosine : a * cosine - b * sine;
}

void main() {
  const StoreParams p = StoreParamsRecord(push.op).p;
  const uint keys = p.kv_heads * p.k_size, all = keys + p.kv_heads * p.v_size;
  const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (i >= all) return;
  const SegmentInfo s = SegmentAt(SegmentOf(row));
  const uint index = KeyOf(p.cache, s, Position(row)), slot = index % kPageTokens;
  const uint64_t page = PageAt(p.cache, s, index);
  if (i < keys) {
    const uint head = i / p.k_size, d = i % p.k_size;
    SetCached(page + p.cache.key_offset + head * p.cache.key_head, KeyIndex(slot, d), KeyValue(p, row, head, d));
  } else {
    const uint head = (i - keys) / p.v_size, d = (i - keys) % p.v_size;
    SetCached(page + p.cache.value_offset + head * p.cache.value_head, slot * p.v_size + d, Row(p.v, row).v[i - keys]);
  }
}
