#version 460
// Input rows become int8 for matmul_int8.comp, 32 values at a time, as the cpu backend rounds them for such
// weights: the largest becomes 127, or 126 where that leaves less error. An invocation has a block. x: blocks, y: rows.
#include "common.glsl"
#include "int8.glsl"

layout(constant_id = 1) const bool kAligned = false;  // rows of whole blocks that begin at multiples of 16 bytes
layout(constant_id = 2) const bool kOfUnits = false;  // in the order of units

OP_RECORD(RoundParams);

// Squares of what rounding to integers leaves, in units of the square of the largest value.
float Error(vec4 values[8], float level, float unit) {
  vec4 squares = vec4(0);
  [[unroll]] for (uint i = 0; i < 8; ++i) {
    const vec4 scaled = values[i] * (level * unit), rest = scaled - roundEven(scaled);
    squares += rest * rest;
  }
  return dot(squares, vec4(1)) / (level * level);
}

void main() {
  const RoundParams p = RoundParamsRecord(push.op).p;
  const uint block = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y, width = p.source.width;
  if (block >= (kOfUnits ? width / 32 : p.int8_blocks)) return;
  const uint64_t source = RowAddress(p.source, row);
  const uint64_t to = BufferAt(p.rounded_slot) + uint64_t(row) * p.row_bytes;
  vec4 values[8];
  uint largest_bits = 0;
  [[unroll]] for (uint i = 0; i < 8; ++i) {
    const uint column = 32 * block + 4 * i;
    values[i] = vec4(0);
    if (kAligned && column < width) {
      values[i] = Vectors(source).v[column / 4];
    } else if (!kAligned) {
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        if (column + j < width) values[i][j] = Floats(source).v[column + j];
      }
    }
    largest_bits = max(largest_bits, LargestBits(values[i]));
  }
  const float largest = uintBitsToFloat(largest_bits);
  const bool zero = largest < kSmallest;
  const float unit = zero ? 0 : 1 / largest;
  const float level = Error(values, 126, unit) < Error(values, 127, unit) ? 126 : 127;
  uint words[8];
  int sums[2] = {0, 0};
  [[unroll]] for (uint i = 0; i < 8; ++i) {
    const ivec4 v = ivec4(roundEven(values[i] * (level * unit)));
    sums[i / 4] += v.x + v.y + v.z + v.w;
    words[i] = PackBytes(v);
  }
  const float scale = zero ? 0 : largest / level;
  if (kOfUnits) {
    const uint units = width / 32;
    [[unroll]] for (uint i = 0; i < 4; ++i)
      UnitEights(to).v[EightPlace(32 * block + 8 * i, units)] = uvec2(words[2 * i], words[2 * i + 1]);
    UnitScalesOf(to, units).v[ScalePlace(block, units)] = scale;
    UnitSumsOf(to, units).v[block] = scale * vec2(sums[0], sums[1]);
    return;
  }
  [[unroll]] for (uint i = 0; i < 2; ++i)
    Int8Values(to).v[2 * block + i] = uvec4(words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
  Int8ScalesOf(to, p.int8_blocks).v[block] = Int8Block(scale, uint(sums[0]) & 0xffff | uint(sums[1]) << 16);
}
