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

// 32 weights that lie together: value i of q[j] is scale[j / 2] * q[j][i] + offset[j / 2], for column
// UnitColumn(unit, j) + i.
struct Unit {
  vec4 q[8];
  vec4 scale, offset;
};
const bool kHasOffset = !(kPlainType || kHasLevels || kType == kQ8_0);

uint UnitColumn(uint unit, uint j) {
  if (kType == kQ4_K || kType == kQ5_K) return unit / 2 * 64 + unit % 2 * 16 + j / 4 * 32 + j % 4 * 4;
  if (kType == kQ2_K || kType == kQ3_K || kType == kQ6_K) return unit / 4 * 128 + unit % 4 * 8 + j / 2 * 32 + j % 2 * 4;
  return unit * 32 + j * 4;
}

Unit PlainUnit(uint64_t row, uint unit) {
  Unit u;
  u.scale = vec4(1);
  u.offset = vec4(0);
  [[unroll]] for (uint j = 0; j < 8; ++j) {
    if (kType == kF32) {
      u.q[j] = Vectors(row).v[unit * 8 + j];
    } else if (j % 2 == 0) {
      const uvec4 b = Quads(row).v[unit * 4 + j / 2];
      u.q[j] = kType == kF16 ? vec4(unpackHalf2x16(b.x), unpackHalf2x16(b.y))
                             : uintBitsToFloat(uvec4(b.x << 16, b.x & 0xffff0000u, b.y << 16, b.y & 0xffff0000u));
      u.q[j + 1] = kType == kF16 ? vec4(unpackHalf2x16(b.z), unpackHalf2x16(b.w))
                                 : uintBitsToFloat(uvec4(b.z << 16, b.z & 0xffff0000u, b.w << 16, b.w & 0xffff0000u));
    }
  }
  return u;
}

float Fp4Scale(uint e) { return uintBitsToFloat(e < 2 ? 0x00200000u << e : (e - 1) << 23); }  // 2^(e - 128)

Unit SmallUnit(uint64_t row, uint unit, uint columns) {
  const uint64_t body = BodyOf(row, unit), rest = RestOf(row, unit, columns);
  Unit u;
  u.offset = vec4(0);
  if (kType == kMXFP4) {
    u.scale = vec4(Fp4Scale(Byte(rest, 0)));
  } else {
    u.scale = vec4(HalfAt(rest));
  }
  const uvec4 b = Quads(body).v[0];
  if (kType == kQ8_0) {
    const uvec4 c = Quads(body).v[1];
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      u.q[j] = SignedFloatsOf(b[j]);
      u.q[j + 4] = SignedFloatsOf(c[j]);
    }
    return u;
  }
  uint fifth = 0;
  if (kType == kQ5_0 || kType == kQ5_1) {
    const uint64_t bits = rest + (kType == kQ5_0 ? 2 : 4);
    fifth = uint(Halves(bits).v[0]) | uint(Halves(bits).v[1]) << 16;
  }
  [[unroll]] for (uint j = 0; j < 4; ++j) {
    uint low = b[j] & 0x0f0f0f0fu, high = b[j] >> 4 & 0x0f0f0f0fu;
    if (kHasLevels) {
      u.q[j] = LevelsOf(low);
      u.q[j + 4] = LevelsOf(high);
      continue;
    }
    if (kType == kQ5_0 || kType == kQ5_1) {
      low |= SpreadBits(fifth >> 4 * j & 15);
      high |= SpreadBits(fifth >> (16 + 4 * j) & 15);
    }
    u.q[j] = FloatsOf(low);
    u.q[j + 4] = FloatsOf(high);
  }
  if (kType == kQ4_0) u.offset = -8 * u.scale;
  if (kType == kQ5_0) u.offset = -16 * u.scale;
  if (kType == kQ4_1 || kType == kQ5_1) u.offset = vec4(HalfAt(rest + 2));
  return u;
}

// Scales and minima of sub-blocks 2 * chunk and 2 * chunk + 1, of the head of a Q4_K or Q5_K block.
uvec4 ScalesAndMinima(uvec4 head, uint chunk) {
  uint scales = head.y & 0x3f3f3f3fu, minima = head.z & 0x3f3f3f3fu;
  if (chunk >= 2) {
    scales = head.w & 0x0f0f0f0fu | head.y >> 2 & 0x30303030u;
    minima = head.w >> 4 & 0x0f0f0f0fu | head.z >> 2 & 0x30303030u;
  }
  const uint shift = chunk % 2 * 16;
  return uvec4(scales >> shift & 255, scales >> (shift + 8) & 255, minima >> shift & 255, minima >> (shift + 8) & 255);
}

// Of Q4_K and Q5_K: both nibbles of 16 bytes.
Unit NibbleUnit(uint64_t row, uint unit) {
  const uint64_t body = BodyOf(row, unit / 8);
  const uint chunk = unit % 8 / 2, part = unit % 2;
  const uvec4 head = Quads(body).v[0];
  const uvec4 b = Quads(body).v[(kType == kQ5_K ? 3 : 1) + chunk * 2 + part];
  uvec4 low = b & 0x0f0f0f0fu, high = b >> 4 & 0x0f0f0f0fu;
  if (kType == kQ5_K) {
    const uvec4 fifth = Quads(body).v[1 + part] >> 2 * chunk;
    low |= (fifth & 0x01010101u) << 4;
    high |= (fifth >> 1 & 0x01010101u) << 4;
  }
  Unit u;
  [[unroll]] for (uint j = 0; j < 4; ++j) {
    u.q[j] = FloatsOf(low[j]);
    u.q[j + 4] = FloatsOf(high[j]);
  }
  const vec2 d = unpackHalf2x16(head.x);
  const vec4 sm = vec4(ScalesAndMinima(head, chunk));
  u.scale = d.x * sm.xxyy;
  u.offset = -d.y * sm.zzww;
  return u;
}

// The scale of sub-block `i` of Q3_K.
float Q3Scale(uint64_t rest, uint i) {
  const uint four = i < 8 ? Byte(rest, i) & 15 : Byte(rest, i - 8) >> 4;
  const uint two = Byte(rest + 8, i % 4) >> (i / 4 * 2) & 3;
  return float(int(four | two << 4) - 32);
}

// Of Q2_K, Q3_K and Q6_K: eight columns in each quarter of half a block.
Unit QuarterUnit(uint64_t row, uint unit, uint columns) {
  const uint block = unit / 8, part = unit % 8 / 4, eighth = unit % 4;
  const uint64_t body = BodyOf(row, block), rest = RestOf(row, block, columns);
  Unit u;
  uvec2 words[4];
  if (kType == kQ6_K) {
    const uvec2 a = Pairs(body).v[part * 8 + eighth], b = Pairs(body).v[part * 8 + 4 + eighth];
    const uvec2 high = Pairs(body).v[16 + part * 4 + eighth];
    words = uvec2[4](a & 0x0f0f0f0fu | (high & 0x03030303u) << 4, b & 0x0f0f0f0fu | (high >> 2 & 0x03030303u) << 4,
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
      words[q] = a >> 2 * q & 0x03030303u;
      u.scale[q] = d.x * float(scale & 15);
      u.offset[q] = -d.y * float(scale >> 4);
    }
  } else {
    const uvec2 a = Pairs(body).v[4 + part * 4 + eighth], high = Pairs(body).v[eighth] >> 4 * part;
    const float d = HalfAt(rest + 12);
    [[unroll]] for (uint q = 0; q < 4; ++q) {
      words[q] = a >> 2 * q & 0x03030303u | (high >> q & 0x01010101u) << 2;
      u.scale[q] = d * Q3Scale(rest, part * 8 + 2 * q + eighth / 2);
    }
    u.offset = -4 * u.scale;
  }
  [[unroll]] for (uint q = 0; q < 4; ++q) {
    u.q[2 * q] = FloatsOf(words[q].x);
    u.q[2 * q + 1] = FloatsOf(words[q].y);
  }
  return u;
}

float Iq4XsScale(uint64_t rest, uint sub) {
  const uint low = Byte(rest + 4, sub / 2) >> (sub % 2 * 4) & 15, high = uint(Halves(rest + 2).v[0]) >> (2 * sub) & 3;
  return HalfAt(rest) * float(int(low | high << 4) - 32);
}

Unit Iq4XsUnit(uint64_t row, uint unit, uint columns) {
  const uint64_t rest = RestOf(row, unit / 8, columns);
  const uint sub = unit % 8;
  const uvec4 b = Quads(BodyOf(row, unit / 8)).v[sub];
  Unit u;
  u.scale = vec4(Iq4XsScale(rest, sub));
  u.offset = vec4(0);
  [[unroll]] for (uint j = 0; j < 4; ++j) {
    u.q[j] = LevelsOf(b[j]);
    u.q[j + 4] = LevelsOf(b[j] >> 4);
  }
  return u;
}

// REQUIRES: the row is 16-byte aligned (of types with blocks all are) and `columns` a multiple of 32.
Unit UnitAt(uint64_t row, uint unit, uint columns) {
  if (kPlainType) return PlainUnit(row, unit);
  if (kType == kQ4_K || kType == kQ5_K) return NibbleUnit(row, unit);
  if (kType == kQ2_K || kType == kQ3_K || kType == kQ6_K) return QuarterUnit(row, unit, columns);
  if (kType == kIQ4_XS) return Iq4XsUnit(row, unit, columns);
  return SmallUnit(row, unit, columns);
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

Eight Scaled(vec4 low, vec4 high, float scale, float offset) {
  return Eight(low * scale + offset, high * scale + offset);
}

// Of the types with blocks of 32.
Eight DecodeSmall(uint64_t row, uint column, uint columns) {
  const uint block = column / 32, at = column % 32;
  const uint64_t body = BodyOf(row, block), rest = RestOf(row, block, columns);
  if (kType == kQ8_0) {
    const uvec2 b = Pairs(body).v[at / 8];
    return Scaled(SignedFloatsOf(b.x), SignedFloatsOf(b.y), HalfAt(rest), 0);
  }
  uvec2 b = Pairs(body).v[at % 16 / 8] >> at / 16 * 4 & 0x0f0f0f0fu;
  if (kType == kMXFP4) return Scaled(LevelsOf(b.x), LevelsOf(b.y), Fp4Scale(Byte(rest, 0)), 0);
  const float d = HalfAt(rest);
  if (kType == kIQ4_NL) return Scaled(LevelsOf(b.x), LevelsOf(b.y), d, 0);
  if (kType == kQ5_0 || kType == kQ5_1) {
    const uint64_t bits = rest + (kType == kQ5_0 ? 2 : 4);
    const uint fifth = (uint(Halves(bits).v[0]) | uint(Halves(bits).v[1]) << 16) >> at;
    b |= uvec2(SpreadBits(fifth & 15), SpreadBits(fifth >> 4 & 15));
  }
  float offset = kType == kQ4_0 ? -8 * d : -16 * d;
  if (kType == kQ4_1 || kType == kQ5_1) offset = HalfAt(rest + 2);
  return Scaled(FloatsOf(b.x), FloatsOf(b.y), d, offset);
}

// Of the types with blocks of 256.
Eight DecodeLarge(uint64_t row, uint column, uint columns) {
  const uint block = column / 256, e = column % 256, eighth = e % 32 / 8;
  const uint part = e / 128, quarter = e % 128 / 32;
  const uint64_t body = BodyOf(row, block), rest = RestOf(row, block, columns);
  if (kType == kQ4_K || kType == kQ5_K) {
    const uint chunk = e / 64, high = e % 64 / 32;
    const uvec4 head = Quads(body).v[0];
    uvec2 b = Pairs(body).v[(kType == kQ5_K ? 6 : 2) + chunk * 4 + eighth] >> 4 * high & 0x0f0f0f0fu;
    if (kType == kQ5_K) b |= (Pairs(body).v[2 + eighth] >> e / 32 & 0x01010101u) << 4;
    const uvec4 sm = ScalesAndMinima(head, chunk);
    const vec2 d = unpackHalf2x16(head.x);
    return Scaled(FloatsOf(b.x), FloatsOf(b.y), d.x * float(high == 0 ? sm.x : sm.y), -d.y * float(high == 0 ? sm.z : sm.w));
  }
  if (kType == kQ6_K) {
    const uvec2 low = Pairs(body).v[part * 8 + quarter % 2 * 4 + eighth] >> quarter / 2 * 4 & 0x0f0f0f0fu;
    const uvec2 b = low | (Pairs(body).v[16 + part * 4 + eighth] >> 2 * quarter & 0x03030303u) << 4;
    const float d = HalfAt(rest) * float(bitfieldExtract(int(Byte(body + 192, e / 16)), 0, 8));
    return Scaled(FloatsOf(b.x), FloatsOf(b.y), d, -32 * d);
  }
  if (kType == kQ2_K) {
    const uvec2 b = Pairs(body).v[2 + part * 4 + eighth] >> 2 * quarter & 0x03030303u;
    const uint scale = Byte(body, e / 16);
    const vec2 d = unpackHalf2x16(Uints(rest).v[0]);
    return Scaled(FloatsOf(b.x), FloatsOf(b.y), d.x * float(scale & 15), -d.y * float(scale >> 4));
  }
  if (kType == kQ3_K) {
    const uvec2 high = Pairs(body).v[eighth] >> (4 * part + quarter) & 0x01010101u;
    const uvec2 b = Pairs(body).v[4 + part * 4 + eighth] >> 2 * quarter & 0x03030303u | high << 2;
    const float d = HalfAt(rest + 12) * Q3Scale(rest, e / 16);
    return Scaled(FloatsOf(b.x), FloatsOf(b.y), d, -4 * d);
  }
  const uint sub = e / 32;
  const uvec2 b = Pairs(body).v[sub * 2 + e % 16 / 8] >> e % 32 / 16 * 4;
  return Scaled(LevelsOf(b.x), LevelsOf(b.y), Iq4XsScale(rest, sub), 0);
}

// Values [column, column + 8) of a row of `columns`; column is a multiple of 8.
Eight Decode(uint64_t row, uint column, uint columns) {
  if (kPlainType) return DecodePlain(row, column, columns);
  if (kBlock == 256) return DecodeLarge(row, column, columns);
  return DecodeSmall(row, column, columns);
}
