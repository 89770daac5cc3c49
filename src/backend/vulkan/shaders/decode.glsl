// Eight consecutive values of a weight row. The blocks are those of GGUF, byte for byte (the folders
// of quant/ describe them). The type is a specialization constant: one module serves all, and a
// pipeline contains the one it needs.
layout(constant_id = 1) const uint kType = 0;  // as in GGUF

const uint kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8, kQ2_K = 10, kQ3_K = 11,
           kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kIQ4_NL = 20, kIQ4_XS = 23, kBF16 = 30, kMXFP4 = 39;

const float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const float kFp4Levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct Eight {
  vec4 low, high;
};

uint Byte(uint64_t address, uint i) { return uint(Bytes(address).v[i]); }

// Eight bytes; the names say how the address is aligned.
uvec2 Load1(uint64_t address) {
  Bytes b = Bytes(address);
  return uvec2(uint(b.v[0]) | uint(b.v[1]) << 8 | uint(b.v[2]) << 16 | uint(b.v[3]) << 24,
               uint(b.v[4]) | uint(b.v[5]) << 8 | uint(b.v[6]) << 16 | uint(b.v[7]) << 24);
}
uvec2 Load2(uint64_t address) {
  Halves h = Halves(address);
  return uvec2(uint(h.v[0]) | uint(h.v[1]) << 16, uint(h.v[2]) | uint(h.v[3]) << 16);
}
uvec2 Load4(uint64_t address) { return uvec2(Uints(address).v[0], Uints(address).v[1]); }

// Of each byte the `mask` bits from `shift` on.
Eight Fields(uvec2 bytes, uint shift, uint mask) {
  const uvec4 shifts = uvec4(0, 8, 16, 24) + shift;
  return Eight(vec4((uvec4(bytes.x) >> shifts) & mask), vec4((uvec4(bytes.y) >> shifts) & mask));
}
uvec4 Low(uvec2 bytes, uint shift, uint mask) { return (uvec4(bytes.x) >> (uvec4(0, 8, 16, 24) + shift)) & mask; }
uvec4 High(uvec2 bytes, uint shift, uint mask) { return (uvec4(bytes.y) >> (uvec4(0, 8, 16, 24) + shift)) & mask; }

Eight Scaled(Eight e, float scale, float offset) { return Eight(e.low * scale + offset, e.high * scale + offset); }

Eight Levels16(uvec4 low, uvec4 high, float scale) {
  return Eight(vec4(kIq4Levels[low.x], kIq4Levels[low.y], kIq4Levels[low.z], kIq4Levels[low.w]) * scale,
               vec4(kIq4Levels[high.x], kIq4Levels[high.y], kIq4Levels[high.z], kIq4Levels[high.w]) * scale);
}
Eight LevelsFp4(uvec4 low, uvec4 high, float scale) {
  return Eight(vec4(kFp4Levels[low.x], kFp4Levels[low.y], kFp4Levels[low.z], kFp4Levels[low.w]) * scale,
               vec4(kFp4Levels[high.x], kFp4Levels[high.y], kFp4Levels[high.z], kFp4Levels[high.w]) * scale);
}

// One bit of `bits` for each of the eight values, the first from `first` on.
Eight Bits(uint bits, uint first) {
  const uvec4 shifts = uvec4(0, 1, 2, 3) + first;
  return Eight(vec4((uvec4(bits) >> shifts) & 1), vec4((uvec4(bits) >> (shifts + 4)) & 1));
}

// Scale and minimum of sub-block `i` of Q4_K and Q5_K, of the twelve bytes at `scales`.
uvec2 ScaleAndMin(uint64_t scales, uint i) {
  if (i < 4) return uvec2(Byte(scales, i) & 63, Byte(scales, i + 4) & 63);
  return uvec2(Byte(scales, i + 4) & 15 | Byte(scales, i - 4) >> 6 << 4,
               Byte(scales, i + 4) >> 4 | Byte(scales, i) >> 6 << 4);
}

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

// Of the types with blocks of 32.
Eight DecodeSmallBlock(uint64_t row, uint column) {
  const uint block = column / 32, at = column % 16, shift = (column % 32) / 16 * 4;
  if (kType == kQ4_0) {
    const uint64_t b = row + block * 18;
    const float d = HalfAt(b);
    return Scaled(Fields(Load2(b + 2 + at), shift, 15), d, -8 * d);
  }
  if (kType == kQ4_1) {
    const uint64_t b = row + block * 20;
    return Scaled(Fields(Load4(b + 4 + at), shift, 15), HalfAt(b), HalfAt(b + 2));
  }
  if (kType == kQ5_0 || kType == kQ5_1) {
    const uint64_t b = row + block * (kType == kQ5_0 ? 22 : 24);
    const uint64_t high = b + (kType == kQ5_0 ? 2 : 4);
    const uint bits = uint(Halves(high).v[0]) | uint(Halves(high).v[1]) << 16;
    const Eight e = Fields(Load2(high + 4 + at), shift, 15), fifth = Bits(bits, column % 32);
    const float d = HalfAt(b);
    return Scaled(Eight(e.low + 16 * fifth.low, e.high + 16 * fifth.high), d,
                  kType == kQ5_0 ? -16 * d : HalfAt(b + 2));
  }
  if (kType == kQ8_0) {
    const uint64_t b = row + block * 34;
    const uvec2 bytes = Load2(b + 2 + column % 32);
    const ivec4 low = ivec4(bitfieldExtract(int(bytes.x), 0, 8), bitfieldExtract(int(bytes.x), 8, 8),
                            bitfieldExtract(int(bytes.x), 16, 8), bitfieldExtract(int(bytes.x), 24, 8));
    const ivec4 high = ivec4(bitfieldExtract(int(bytes.y), 0, 8), bitfieldExtract(int(bytes.y), 8, 8),
                             bitfieldExtract(int(bytes.y), 16, 8), bitfieldExtract(int(bytes.y), 24, 8));
    return Scaled(Eight(vec4(low), vec4(high)), HalfAt(b), 0);
  }
  if (kType == kIQ4_NL) {
    const uint64_t b = row + block * 18;
    const uvec2 bytes = Load2(b + 2 + at);
    return Levels16(Low(bytes, shift, 15), High(bytes, shift, 15), HalfAt(b));
  }
  // MXFP4: the levels are doubled, so the scale is 2^(e - 128).
  const uint64_t b = row + block * 17;
  const uvec2 bytes = Load1(b + 1 + at);
  const uint e = Byte(b, 0);
  const float d = uintBitsToFloat(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  return LevelsFp4(Low(bytes, shift, 15), High(bytes, shift, 15), d);
}

// Of the types with blocks of 256.
Eight DecodeLargeBlock(uint64_t row, uint column) {
  const uint block = column / 256, e = column % 256;
  const uint part = e / 128, quarter = e % 128 / 32, l = e % 32;  // of those with 2 bits in a byte
  if (kType == kQ2_K) {
    const uint64_t b = row + block * 84;
    const uint scale = Byte(b, e / 16);
    return Scaled(Fields(Load4(b + 16 + part * 32 + l), 2 * quarter, 3), HalfAt(b + 80) * float(scale & 15),
                  -HalfAt(b + 82) * float(scale >> 4));
  }
  if (kType == kQ3_K) {
    const uint64_t b = row + block * 110;
    const uint i = e / 16;
    const uint four = i < 8 ? Byte(b + 96, i) & 15 : Byte(b + 96, i - 8) >> 4;
    const uint two = Byte(b + 104, i % 4) >> (i / 4 * 2) & 3;
    const Eight low = Fields(Load2(b + 32 + part * 32 + l), 2 * quarter, 3);
    const Eight high = Fields(Load2(b + l), part * 4 + quarter, 1);
    const float d = HalfAt(b + 108) * float(int(four | two << 4) - 32);
    return Scaled(Eight(low.low + 4 * high.low, low.high + 4 * high.high), d, -4 * d);
  }
  if (kType == kQ4_K || kType == kQ5_K) {
    const bool five = kType == kQ5_K;
    const uint64_t b = row + block * (five ? 176 : 144);
    const uint chunk = e / 64, half_of = e % 64 / 32;
    const uvec2 sm = ScaleAndMin(b + 4, e / 32);
    Eight q = Fields(Load4(b + (five ? 48 : 16) + chunk * 32 + l), half_of * 4, 15);
    if (five) {
      const Eight fifth = Fields(Load4(b + 16 + l), e / 32, 1);
      q = Eight(q.low + 16 * fifth.low, q.high + 16 * fifth.high);
    }
    return Scaled(q, HalfAt(b) * float(sm.x), -HalfAt(b + 2) * float(sm.y));
  }
  if (kType == kQ6_K) {
    const uint64_t b = row + block * 210;
    const Eight low = Fields(Load2(b + part * 64 + quarter % 2 * 32 + l), quarter / 2 * 4, 15);
    const Eight high = Fields(Load2(b + 128 + part * 32 + l), 2 * quarter, 3);
    const float d = HalfAt(b + 208) * float(bitfieldExtract(int(Byte(b + 192, e / 16)), 0, 8));
    return Scaled(Eight(low.low + 16 * high.low, low.high + 16 * high.high), d, -32 * d);
  }
  // IQ4_XS
  const uint64_t b = row + block * 136;
  const uint sub = e / 32;
  const uint stored = Byte(b + 4, sub / 2) >> (sub % 2 * 4) & 15 | (uint(Halves(b + 2).v[0]) >> (2 * sub) & 3) << 4;
  const uvec2 bytes = Load4(b + 8 + sub * 16 + e % 16);
  const uint shift = e % 32 / 16 * 4;
  return Levels16(Low(bytes, shift, 15), High(bytes, shift, 15), HalfAt(b) * float(int(stored) - 32));
}

// Values [column, column + 8) of a row of `columns`; column is a multiple of 8.
Eight Decode(uint64_t row, uint column, uint columns) {
  if (kType == kF32 || kType == kF16 || kType == kBF16) return DecodePlain(row, column, columns);
  if (kType == kQ2_K || kType == kQ3_K || kType == kQ4_K || kType == kQ5_K || kType == kQ6_K || kType == kIQ4_XS)
    return DecodeLargeBlock(row, column);
  return DecodeSmallBlock(row, column);
}
