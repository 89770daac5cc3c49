// Keys and values in pages of 16 tokens, as CacheParams describes them.
layout(constant_id = 1) const bool kHalf = true;  // float16, else float32

const uint kPageTokens = 16;

// The page that holds key `index` of a segment.
uint64_t PageAt(CacheParams c, SegmentInfo s, uint index) {
  if (c.is_scratch != 0)
    return BufferAt(c.scratch_slot) + uint64_t(s.scratch_page + index / kPageTokens) * c.scratch_page_bytes;
  return Addresses(Pass(push.pass).h.pages).v[s.first_page + index / kPageTokens];
}

float Cached(uint64_t address, uint i) {
  return kHalf ? unpackHalf2x16(uint(Halves(address).v[i])).x : Floats(address).v[i];
}

void SetCached(uint64_t address, uint i, float value) {
  if (kHalf) {
    Halves(address).v[i] = uint16_t(packHalf2x16(vec2(value, 0)));
  } else {
    Floats(address).v[i] = value;
  }
}

uint KeyIndex(uint slot, uint d) { return (d / 8 * kPageTokens + slot) * 8 + d % 8; }

layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer Quads { uvec4 v[]; };

// Eight values as they are stored: float16 in `low` alone.
struct StoredEight {
  uvec4 low, high;
};

StoredEight LoadEight(uint64_t address, uint eight) {
  StoredEight e;
  if (kHalf) {
    e.low = Quads(address).v[eight];
    e.high = uvec4(0);
  } else {
    e.low = Quads(address).v[2 * eight];
    e.high = Quads(address).v[2 * eight + 1];
  }
  return e;
}

vec4 LowOf(StoredEight e) {
  return kHalf ? vec4(unpackHalf2x16(e.low.x), unpackHalf2x16(e.low.y)) : uintBitsToFloat(e.low);
}

vec4 HighOf(StoredEight e) {
  return kHalf ? vec4(unpackHalf2x16(e.low.z), unpackHalf2x16(e.low.w)) : uintBitsToFloat(e.high);
}

// The index within what PageAt counts of the key at `position`.
uint KeyOf(CacheParams c, SegmentInfo s, uint position) {
  return c.is_scratch != 0 ? position - s.start_position : position;
}
