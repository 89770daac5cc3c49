#version 460
// Appends keys and values to their pages. x: values of a token, y: tokens.
#include "common.glsl"
#include "cache.glsl"

OP_RECORD(StoreParams);

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
    SetCached(page + p.cache.key_offset + head * p.cache.key_head, KeyIndex(slot, d), Row(p.k, row).v[i]);
  } else {
    const uint head = (i - keys) / p.v_size, d = (i - keys) % p.v_size;
    SetCached(page + p.cache.value_offset + head * p.cache.value_head, slot * p.v_size + d, Row(p.v, row).v[i - keys]);
  }
}
