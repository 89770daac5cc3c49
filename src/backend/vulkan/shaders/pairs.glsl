// Weights of a tile of kDepth columns, two eights at a time: those whose values lie in the same bytes or
// share their scales, so that both are loaded and taken apart once. Needs kDepth, decode.glsl and halves.glsl.

// From the columns of one to those of the other. 0: the type has no such, or tiles are too narrow for both, and any two
// are a pair.
const uint kShared = kDepth % 64 != 0 ? 0 : kNibbles32 ? 16 : kBlock == 256 ? 32 : 0;
const uint kApart = kShared == 0 ? kDepth / 2 : kShared;

// The first column of a pair of a tile.
uint PairColumn(uint pair) { return pair / (kApart / 8) * 2 * kApart + pair % (kApart / 8) * 8; }

struct RawPair {
  RawEight first, second;
};

// REQUIRES: LoadsAhead. `second`: the column of the other one, normally column + kApart.
RawPair LoadPair(uint64_t row, uint column, uint second, uint columns) {
  RawPair raw;
  raw.first = LoadEight(row, column, columns);
  if (kShared == 0) {
    raw.second = LoadEight(row, second, columns);
    return raw;
  }
  raw.second = raw.first;
  const uint block = column / 256, e = column % 256;
  const uint64_t body = BodyOf(row, block);
  if (kType == kQ6_K) {
    raw.second.q = Pairs(body).v[e / 128 * 8 + 4 + e % 32 / 8];
    raw.second.head.y = Byte(body + 192, e / 16 + 2);
  }
  if (kType == kQ2_K) raw.second.head.y = Byte(body, e / 16 + 2);
  if (kType == kQ3_K) raw.second.head.y = floatBitsToUint(Q3Scale(RestOf(row, block, columns), e / 16 + 2));
  return raw;
}

// Four bytes below 128 as float16, times scale plus offset. As the end of a float16 of exponent 10 a byte is 1024 more
// than itself, which the offset takes off: no integer is converted, and float32 holds the offset well enough.
uvec2 HalvesOf(uint bytes, float scale, float offset) {
  const vec2 less = vec2(offset - 1024 * scale);
  const vec2 even = fma(unpackHalf2x16(bytes & 0x00ff00ffu | 0x64006400u), vec2(scale), less);
  const vec2 odd = fma(unpackHalf2x16(bytes >> 8 & 0x00ff00ffu | 0x64006400u), vec2(scale), less);
  return uvec2(packHalf2x16(vec2(even.x, odd.x)), packHalf2x16(vec2(even.y, odd.y)));
}
uvec4 UnitFrom(uvec2 bytes, float scale, float offset) {
  return uvec4(HalvesOf(bytes.x, scale, offset), HalvesOf(bytes.y, scale, offset));
}

void DecodePair(RawPair raw, uint column, out uvec4 first, out uvec4 second) {
  const uint e = column % 256, odd = e / 64 % 2;  // both lie in the same 64 columns
  if (kShared > 0 && (kType == kQ4_K || kType == kQ5_K)) {
    // As ScalesAndMinima, of two sub-blocks and without a branch.
    const uvec4 head = raw.first.head;
    const uvec3 h = head.yzw >> 16 * odd;
    const bool late = e >= 128;
    const uint scales = late ? h.z & 0x0f0fu | h.x >> 2 & 0x3030u : h.x & 0x3f3fu;
    const uint minima = late ? h.z >> 4 & 0x0f0fu | h.y >> 2 & 0x3030u : h.y & 0x3f3fu;
    const vec2 d = unpackHalf2x16(head.x);
    uvec2 low = raw.first.q & 0x0f0f0f0fu, high = raw.first.q >> 4 & 0x0f0f0f0fu;
    if (kType == kQ5_K) {
      low |= (raw.first.more >> e / 32 & 0x01010101u) << 4;
      high |= (raw.first.more >> e / 32 + 1 & 0x01010101u) << 4;
    }
    first = UnitFrom(low, d.x * float(scales & 255), -d.y * float(minima & 255));
    second = UnitFrom(high, d.x * float(scales >> 8), -d.y * float(minima >> 8));
    return;
  }
  if (kShared > 0 && kType == kQ6_K) {
    const uvec2 more = raw.first.more >> 4 * odd;
    const uvec2 a = raw.first.q >> 4 * odd & 0x0f0f0f0fu | (more & 0x03030303u) << 4;
    const uvec2 b = raw.second.q >> 4 * odd & 0x0f0f0f0fu | (more >> 2 & 0x03030303u) << 4;
    const float d = unpackHalf2x16(raw.first.head.x).x;
    const vec2 scales = d * vec2(bitfieldExtract(int(raw.first.head.y), 0, 8), bitfieldExtract(int(raw.second.head.y), 0, 8));
    first = UnitFrom(a, scales.x, -32 * scales.x);
    second = UnitFrom(b, scales.y, -32 * scales.y);
    return;
  }
  first = ToUnit(DecodeEight(raw.first, column));
  second = ToUnit(DecodeEight(raw.second, column + kApart));
}
