// Weight values. The blocks are those of GGUF (the folders of quant/ describe them), but in a row
// their bodies come first, 16-byte aligned, and what is left of each behind them (weight_upload.h).
// The type is a specialization constant: one module serves all, and a pipeline contains the one it
// needs.
layout(constant_id = 1) const uint kType = 0;  // as in GGUF

const uint kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8, kQ2_K = 10, kQ3_K = 11,
           kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kIQ4_NL = 20, kIQ4_XS = 23, kBF16 = 30, kMXFP4 = 39;

const bool kPlainType = kType == kF32 || kType == kF16 || kType == kBF16;
const bool kHasLevels = kType == kIQ4_NL || kType == kIQ4_XS || kType == kMXFP4;
const uint kBlock = kType >= kQ2_K && kType <= kQ6_K || kType == kIQ4_XS ? 256 : 32;
// Bytes of a block's body, and of the rest.
const uint kBody = kType == kQ8_0     ? 32
                   : kType == kQ2_K   ? 80
                   : kType == kQ3_K   ? 96
                   : kType == kQ4_K   ? 144
                   : kType == kQ5_K   ? 176
                   : kType == kQ6_K   ? 208
                   : kType == kIQ4_XS ? 128
                                      : 16;
const uint kRest = kType == kQ4_1 || kType == kQ2_K       ? 4
                   : kType == kQ5_0                       ? 6
                   : kType == kQ5_1 || kType == kIQ4_XS   ? 8
                   : kType == kQ3_K                       ? 14
                   : kType == kQ4_K || kType == kQ5_K     ? 0
                   : kType == kMXFP4                      ? 1
                                                          : 2;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer Pairs { uvec2 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer Quads { uvec4 v[]; };

uint64_t BodyOf(uint64_t row, uint block) { return row + uint64_t(block * kBody); }
uint64_t RestOf(uint64_t row, uint block, uint columns) {
  return row + uint64_t(columns / kBlock * kBody + block * kRest);
}

// The levels of 4-bit types that have a table; in shared memory, because invocations look up
// different ones.
shared float levels[16];
const float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const float kFp4Levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// To be called by all invocations before anything is decoded.
void PrepareDecode() {
  if (!kHasLevels) return;
  if (gl_LocalInvocationIndex == 0) {
    [[unroll]] for (uint i = 0; i < 16; ++i) levels[i] = kType == kMXFP4 ? kFp4Levels[i] : kIq4Levels[i];
  }
  barrier();
}

uint Byte(uint64_t address, uint i) { return uint(Bytes(address).v[i]); }
uint ByteOf(uvec2 bytes, uint i) { return (i < 4 ? bytes.x >> 8 * i : bytes.y >> 8 * (i - 4)) & 255; }
vec4 FloatsOf(uint bytes) { return vec4(bytes & 255, bytes >> 8 & 255, bytes >> 16 & 255, bytes >> 24); }
vec4 SignedFloatsOf(uint bytes) {
  const int b = int(bytes);
  return vec4(bitfieldExtract(b, 0, 8), bitfieldExtract(b, 8, 8), bitfieldExtract(b, 16, 8), bitfieldExtract(b, 24, 8));
}
vec4 LevelsOf(uint bytes) {
  return vec4(levels[bytes & 15], levels[bytes >> 8 & 15], levels[bytes >> 16 & 15], levels[bytes >> 24 & 15]);
}
// Four bits, each as bit 4 of a byte.
uint SpreadBits(uint four) { return (four * 0x00204081u & 0x01010101u) << 4; }

// 32 weights of one invocation: value i of q[j] is scale[j / 2] * q[j][i] + offset[j / 2], for column
// UnitColumn(unit, j) + i. Units next to each other take turns every 8 columns, so that invocations
// next to each other load inputs, and mostly weights, that lie next to each other.
struct Unit {
  vec4 q[8];
  vec4 scale, offset;
};
// The same of a type with blocks, as bytes: levels, or their places in the table of levels. word[j / 2][j % 2] has
// four of them.
struct LevelUnit {
  uvec2 words[4];
  vec4 scale, offset;
  float own_offset;  // that of block `unit`: neighbours that have parts of the same blocks have one each. Not of Q2_K
};
const bool kHasOffset = !(kPlainType || kHasLevels || kType == kQ8_0);
// What is 0 in types whose offset is only that their levels are not negative.
const uint kMiddle = kType == kQ3_K ? 4 : kType == kQ4_0 ? 8 : kType == kQ5_0 ? 16 : kType == kQ6_K ? 32 : 0;
const bool kHasMinima = kHasOffset && kMiddle == 0;
// Blocks of 32 with both halves in the nibbles of 16 bytes; IQ4_XS is made of such.
const bool kNibbles32 = kType == kQ4_0 || kType == kQ4_1 || kType == kQ5_0 || kType == kQ5_1 || kHasLevels;

uint UnitColumn(uint unit, uint j) {
  if (kType == kQ4_K || kType == kQ5_K)
    return unit / 4 * 128 + unit % 4 * 8 + j / 4 * 64 + j / 2 % 2 * 32 + j % 2 * 4;
  if (kNibbles32) return unit / 2 * 64 + unit % 2 * 8 + j / 4 * 32 + j / 2 % 2 * 16 + j % 2 * 4;
  return unit / 4 * 128 + unit % 4 * 8 + j / 2 * 32 + j % 2 * 4;
}

Unit PlainUnit(uint64_t row, uint unit) {
  Unit u;
  u.scale = vec4(1);
  u.offset = vec4(0);
  [[unroll]] for (uint j = 0; j < 8; j += 2) {
    const uint column = UnitColumn(unit, j);
    if (kType == kF32) {
      u.q[j] = Vectors(row).v[column / 4];
      u.q[j + 1] = Vectors(row).v[column / 4 + 1];
    } else {
      const uvec4 b = Quads(row).v[column / 8];
      u.q[j] = kType == kF16 ? vec4(unpackHalf2x16(b.x), unpackHalf2x16(b.y))
                             : uintBitsToFloat(uvec4(b.x << 16, b.x & 0xffff0000u, b.y << 16, b.y & 0xffff0000u));
      u.q[j + 1] = kType == kF16 ? vec4(unpackHalf2x16(b.z), unpackHalf2x16(b.w))
                                 : uintBitsToFloat(uvec4(b.z << 16, b.z & 0xffff0000u, b.w << 16, b.w & 0xffff0000u));
    }
  }
  return u;
}

float Fp4Scale(uint e) { return uintBitsToFloat(e < 2 ? 0x00200000u << e : (e - 1) << 23); }  // 2^(e - 128)

float Iq4XsScale(uint64_t rest, uint sub) {
  const uint low = Byte(rest + 4, sub / 2) >> (sub % 2 * 4) & 15, high = uint(Halves(rest + 2).v[0]) >> (2 * sub) & 3;
  return HalfAt(rest) * float(int(low | high << 4) - 32);
}

LevelUnit Q8Unit(uint64_t row, uint unit, uint columns) {
  LevelUnit u;
  u.offset = vec4(0);
  [[unroll]] for (uint q = 0; q < 4; ++q) {
    const uint block = unit / 4 * 4 + q;
    u.words[q] = Pairs(BodyOf(row, block)).v[unit % 4];
    u.scale[q] = HalfAt(RestOf(row, block, columns));
  }
  return u;
}

// Eight bytes of each of two blocks.
LevelUnit Nibbles32Unit(uint64_t row, uint unit, uint columns) {
  LevelUnit u;
  u.offset = vec4(0);
  [[unroll]] for (uint i = 0; i < 2; ++i) {
    const uint block = unit / 2 * 2 + i, part = unit % 2;  // of 32 values
    const uint64_t rest = RestOf(row, kType == kIQ4_XS ? block / 8 : block, columns);
    // The 16 bytes of a block lie behind each other in all of these types.
    const uvec2 b = Pairs(row).v[block * 2 + part];
    uvec2 low = b & 0x0f0f0f0fu, high = b >> 4 & 0x0f0f0f0fu;
    float scale = 0, offset = 0;
    if (kType == kMXFP4) {
      scale = Fp4Scale(Byte(rest, 0));
    } else if (kType == kIQ4_XS) {
      scale = Iq4XsScale(rest, block % 8);
    } else {
      scale = HalfAt(rest);
    }
    if (kType == kQ4_0) offset = -8 * scale;
    if (kType == kQ5_0) offset = -16 * scale;
    if (kType == kQ4_1 || kType == kQ5_1) offset = HalfAt(rest + 2);
    if (kType == kQ5_0 || kType == kQ5_1) {
      const uint64_t bits = rest + (kType == kQ5_0 ? 2 : 4);
      const uint fifth = (uint(Halves(bits).v[0]) | uint(Halves(bits).v[1]) << 16) >> 8 * part;
      low |= uvec2(SpreadBits(fifth & 15), SpreadBits(fifth >> 4 & 15));
      high |= uvec2(SpreadBits(fifth >> 16 & 15), SpreadBits(fifth >> 20 & 15));
    }
    u.words[2 * i] = low;
    u.words[2 * i + 1] = high;
    u.scale[2 * i] = u.scale[2 * i + 1] = scale;
    u.offset[2 * i] = u.offset[2 * i + 1] = offset;
    if (unit % 2 == i) u.own_offset = offset;
  }
  return u;
}

// Scales (x) and minima (y) of sub-blocks 4 * half_of to 4 * half_of + 3, a byte each, of the head of
// a Q4_K or Q5_K block.
uvec2 ScalesAndMinima(uvec4 head, uint half_of) {
  if (half_of == 0) return head.yz & 0x3f3f3f3fu;
  return uvec2(head.w & 0x0f0f0f0fu | head.y >> 2 & 0x30303030u, head.w >> 4 & 0x0f0f0f0fu | head.z >> 2 & 0x30303030u);
}

// Of Q4_K and Q5_K: eight bytes of each of two chunks of 64 values.
LevelUnit Nibbles64Unit(uint64_t row, uint unit) {
  const uint64_t body = BodyOf(row, unit / 8);
  const uint half_of = unit % 8 / 4, eighth = unit % 4;
  const uvec4 head = Quads(body).v[0];
  uvec2 fifth = uvec2(0);
  if (kType == kQ5_K) fifth = Pairs(body).v[2 + eighth];
  LevelUnit u;
  [[unroll]] for (uint i = 0; i < 2; ++i) {
    const uint chunk = half_of * 2 + i;
    const uvec2 b = Pairs(body).v[(kType == kQ5_K ? 6 : 2) + chunk * 4 + eighth];
    uvec2 low = b & 0x0f0f0f0fu, high = b >> 4 & 0x0f0f0f0fu;
    if (kType == kQ5_K) {
      low |= (fifth >> 2 * chunk & 0x01010101u) << 4;
      high |= (fifth >> (2 * chunk + 1) & 0x01010101u) << 4;
    }
    u.words[2 * i] = low;
    u.words[2 * i + 1] = high;
  }
  const vec2 d = unpackHalf2x16(head.x);
  const uvec2 sm = ScalesAndMinima(head, half_of);
  u.scale = d.x * FloatsOf(sm.x);
  u.offset = -d.y * FloatsOf(sm.y);
  u.own_offset = -d.y * float(sm.y >> 8 * eighth & 255);
  return u;
}

// The scale of sub-block `i` of Q3_K.
float Q3Scale(uint64_t rest, uint i) {
  const uint four = i < 8 ? Byte(rest, i) & 15 : Byte(rest, i - 8) >> 4;
  const uint two = Byte(rest + 8, i % 4) >> (i / 4 * 2) & 3;
  return float(int(four | two << 4) - 32);
}

// Of Q2_K, Q3_K and Q6_K: eight columns in each quarter of half a block.
LevelUnit QuarterUnit(uint64_t row, uint unit, uint columns) {
  const uint block = unit / 8, part = unit % 8 / 4, eighth = unit % 4;
  const uint64_t body = BodyOf(row, block), rest = RestOf(row, block, columns);
  LevelUnit u;
  if (kType == kQ6_K) {
    const uvec2 a = Pairs(body).v[part * 8 + eighth], b = Pairs(body).v[part * 8 + 4 + eighth];
    const uvec2 high = Pairs(body).v[16 + part * 4 + eighth];
    u.words = uvec2[4](a & 0x0f0f0f0fu | (high & 0x03030303u) << 4, b & 0x0f0f0f0fu | (high >> 2 & 0x03030303u) << 4,
                     a >> 4 & 0x0f0f0f0fu | (high >> 4 & 0x03030303u) << 4,
                     b >> 4 & 0x0f0f0f0fu | (high >> 6 & 0x03030303u) << 4);
    const uvec2 scales = Pairs(body).v[24 + part];
    const float d = HalfAt(rest);
    [[unroll]] for (uint q = 0; q < 4; ++q)
      u.scale[q] = d * float(bitfieldExtract(int(ByteOf(scales, 2 * q + eighth / 2)), 0, 8));
    u.offset = -32 * u.scale;
  } else if (kType == kQ2_K) {
    const uvec2 a = Pairs(body).v[2 + part * 4 + eighth], scales = Pairs(body).v[part];
    const vec2 d = unpackHalf2x16(Uints(rest).v[0]);
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      const uint scale = ByteOf(scales, 2 * q + eighth / 2);
      u.words[q] = a >> 2 * q & 0x03030303u;
      u.scale[q] = d.x * float(scale & 15);
      u.offset[q] = -d.y * float(scale >> 4);
    }
  } else {
    const uvec2 a = Pairs(body).v[4 + part * 4 + eighth], high = Pairs(body).v[eighth] >> 4 * part;
    const float d = HalfAt(rest + 12);
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      u.words[q] = a >> 2 * q & 0x03030303u | (high >> q & 0x01010101u) << 2;
      u.scale[q] = d * Q3Scale(rest, part * 8 + 2 * q + eighth / 2);
    }
    u.offset = -4 * u.scale;
  }
  return u;
}

// Of a type with blocks. REQUIRES: the row is 16-byte aligned (all of these are) and `columns` a multiple of 128.
LevelUnit LevelUnitAt(uint64_t row, uint unit, uint columns) {
  if (kType == kQ4_K || kType == kQ5_K) return Nibbles64Unit(row, unit);
  if (kNibbles32) return Nibbles32Unit(row, unit, columns);
  if (kType == kQ8_0) return Q8Unit(row, unit, columns);
  return QuarterUnit(row, unit, columns);
}

vec4 ValuesOf(uint q) { return kType == kQ8_0 ? SignedFloatsOf(q) : kHasLevels ? LevelsOf(q) : FloatsOf(q); }

// Levels as bytes, to be multiplied as integers; of types with a middle without and with it taken away.
uint LevelBytes(uint q) { return kHasLevels ? PackBytes(ivec4(LevelsOf(q))) : q; }
uint SignedLevelBytes(uint q) {
  return kMiddle == 0 ? LevelBytes(q) : (q | 0x80808080u) - kMiddle * 0x01010101u ^ 0x80808080u;
}

// REQUIRES: likewise, of all types.
Unit UnitAt(uint64_t row, uint unit, uint columns) {
  if (kPlainType) return PlainUnit(row, unit);
  const LevelUnit levels = LevelUnitAt(row, unit, columns);
  Unit u;
  [[unroll]] for (uint g = 0; g < 4; ++g) {
    u.q[2 * g] = ValuesOf(levels.words[g].x);
    u.q[2 * g + 1] = ValuesOf(levels.words[g].y);
  }
  u.scale = levels.scale;
  u.offset = levels.offset;
  return u;
}

struct Eight {
  vec4 low, high;
};

float F32Or16(uint64_t row, uint column) {
  if (kType == kF32) return Floats(row).v[column];
  const uint bits = uint(Halves(row).v[column]);
  return kType == kF16 ? unpackHalf2x16(bits).x : uintBitsToFloat(bits << 16);
}

// Of the types without blocks; values from `columns` on are 0.
Eight DecodePlain(uint64_t row, uint column, uint columns) {
  Eight e;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    e.low[i] = column + i < columns ? F32Or16(row, column + i) : 0;
    e.high[i] = column + 4 + i < columns ? F32Or16(row, column + 4 + i) : 0;
  }
  return e;
}

// Eight consecutive values as they are in memory, so that other work can be done while they are on
// their way. What the words mean depends on the type.
struct RawEight {
  uvec4 head;
  uvec2 q, more;
};

uint HalfBits(uint64_t address) { return uint(Halves(address).v[0]); }

RawEight LoadSmall(uint64_t row, uint column, uint columns) {
  const uint block = column / 32, at = column % 32;
  const uint64_t body = BodyOf(row, block), rest = RestOf(row, block, columns);
  RawEight raw;
  raw.q = Pairs(body).v[kType == kQ8_0 ? at / 8 : at % 16 / 8];
  raw.head.x = kType == kMXFP4 ? Byte(rest, 0) : HalfBits(rest);
  if (kType == kQ4_1 || kType == kQ5_1) raw.head.y = HalfBits(rest + 2);
  if (kType == kQ5_0 || kType == kQ5_1) {
    const uint64_t bits = rest + (kType == kQ5_0 ? 2 : 4);
    raw.more.x = HalfBits(bits) | HalfBits(bits + 2) << 16;
  }
  return raw;
}

RawEight LoadLarge(uint64_t row, uint column, uint columns) {
  const uint block = column / 256, e = column % 256, eighth = e % 32 / 8;
  const uint part = e / 128, quarter = e % 128 / 32;
  const uint64_t body = BodyOf(row, block), rest = RestOf(row, block, columns);
  RawEight raw;
  if (kType == kQ4_K || kType == kQ5_K) {
    raw.head = Quads(body).v[0];
    raw.q = Pairs(body).v[(kType == kQ5_K ? 6 : 2) + e / 64 * 4 + eighth];
    if (kType == kQ5_K) raw.more = Pairs(body).v[2 + eighth];
  } else if (kType == kQ6_K) {
    raw.q = Pairs(body).v[part * 8 + quarter % 2 * 4 + eighth];
    raw.more = Pairs(body).v[16 + part * 4 + eighth];
    raw.head.xy = uvec2(HalfBits(rest), Byte(body + 192, e / 16));
  } else if (kType == kQ2_K) {
    raw.q = Pairs(body).v[2 + part * 4 + eighth];
    raw.head.xy = uvec2(Uints(rest).v[0], Byte(body, e / 16));
  } else if (kType == kQ3_K) {
    raw.q = Pairs(body).v[4 + part * 4 + eighth];
    raw.more = Pairs(body).v[eighth];
    raw.head.xy = floatBitsToUint(vec2(HalfAt(rest + 12), Q3Scale(rest, e / 16)));
  } else {
    raw.q = Pairs(body).v[e / 32 * 2 + e % 16 / 8];
    raw.head.x = floatBitsToUint(Iq4XsScale(rest, e / 32));
  }
  return raw;
}

// The same, taken apart: ValuesOf the words times scale plus offset.
struct Packed {
  uvec2 q;
  float scale, offset;
};

Packed PackedSmall(RawEight raw, uint at) {
  if (kType == kMXFP4) return Packed(raw.q >> at / 16 * 4 & 0x0f0f0f0fu, Fp4Scale(raw.head.x), 0);
  const float d = unpackHalf2x16(raw.head.x).x;
  if (kType == kQ8_0) return Packed(raw.q, d, 0);
  uvec2 b = raw.q >> at / 16 * 4 & 0x0f0f0f0fu;
  if (kType == kIQ4_NL) return Packed(b, d, 0);
  if (kType == kQ5_0 || kType == kQ5_1) {
    const uint fifth = raw.more.x >> at;
    b |= uvec2(SpreadBits(fifth & 15), SpreadBits(fifth >> 4 & 15));
  }
  if (kType == kQ4_1 || kType == kQ5_1) return Packed(b, d, unpackHalf2x16(raw.head.y).x);
  return Packed(b, d, -float(kMiddle) * d);
}

Packed PackedLarge(RawEight raw, uint e) {
  const uint part = e / 128, quarter = e % 128 / 32;
  if (kType == kQ4_K || kType == kQ5_K) {
    const uint sub = e / 32;
    uvec2 b = raw.q >> 4 * (sub % 2) & 0x0f0f0f0fu;
    if (kType == kQ5_K) b |= (raw.more >> sub & 0x01010101u) << 4;
    const uvec2 sm = ScalesAndMinima(raw.head, sub / 4) >> 8 * (sub % 4) & 255;
    const vec2 d = unpackHalf2x16(raw.head.x);
    return Packed(b, d.x * float(sm.x), -d.y * float(sm.y));
  }
  if (kType == kQ6_K) {
    const uvec2 b = raw.q >> quarter / 2 * 4 & 0x0f0f0f0fu | (raw.more >> 2 * quarter & 0x03030303u) << 4;
    const float d = unpackHalf2x16(raw.head.x).x * float(bitfieldExtract(int(raw.head.y), 0, 8));
    return Packed(b, d, -float(kMiddle) * d);
  }
  if (kType == kQ2_K) {
    const uvec2 b = raw.q >> 2 * quarter & 0x03030303u;
    const vec2 d = unpackHalf2x16(raw.head.x);
    return Packed(b, d.x * float(raw.head.y & 15), -d.y * float(raw.head.y >> 4));
  }
  if (kType == kQ3_K) {
    const uvec2 b = raw.q >> 2 * quarter & 0x03030303u | (raw.more >> (4 * part + quarter) & 0x01010101u) << 2;
    const float d = uintBitsToFloat(raw.head.x) * uintBitsToFloat(raw.head.y);
    return Packed(b, d, -float(kMiddle) * d);
  }
  return Packed(raw.q >> e % 32 / 16 * 4 & 0x0f0f0f0fu, uintBitsToFloat(raw.head.x), 0);
}

// Of a type with blocks.
Packed PackedEight(RawEight raw, uint column) {
  if (kBlock == 256) return PackedLarge(raw, column % 256);
  return PackedSmall(raw, column % 32);
}

// Values [column, column + 8) of a row of `columns`; column is a multiple of 8. Of types without blocks
// only 16-bit ones in aligned rows of whole eights are loaded ahead.
bool LoadsAhead(uint64_t row, uint columns) {
  return !kPlainType || kType != kF32 && (uint(row) & 15) == 0 && columns % 8 == 0;
}
RawEight LoadEight(uint64_t row, uint column, uint columns) {
  if (kPlainType) {
    RawEight raw;
    raw.head = Quads(row).v[column / 8];
    return raw;
  }
  if (kBlock == 256) return LoadLarge(row, column, columns);
  return LoadSmall(row, column, columns);
}
Eight DecodeEight(RawEight raw, uint column) {
  if (kType == kF16) {
    return Eight(vec4(unpackHalf2x16(raw.head.x), unpackHalf2x16(raw.head.y)),
                 vec4(unpackHalf2x16(raw.head.z), unpackHalf2x16(raw.head.w)));
  }
  if (kType == kBF16) {
    const uvec4 low = raw.head << 16, high = raw.head & 0xffff0000u;
    return Eight(uintBitsToFloat(uvec4(low.x, high.x, low.y, high.y)), uintBitsToFloat(uvec4(low.z, high.z, low.w, high.w)));
  }
  const Packed e = PackedEight(raw, column);
  return Eight(ValuesOf(e.q.x) * e.scale + e.offset, ValuesOf(e.q.y) * e.scale + e.offset);
}
Eight Decode(uint64_t row, uint column, uint columns) {
  if (kPlainType && !LoadsAhead(row, columns)) return DecodePlain(row, column, columns);
  return DecodeEight(LoadEight(row, column, columns), column);
}
