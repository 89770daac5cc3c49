#version 460
// Input rows become int8 for matmul_int8.comp, 32 values at a time, as the cpu backend rounds them for such
// weights: the largest becomes 127, or 126 where that leaves less error. An invocation has a block. x: blocks, y: rows.
#include "common.glsl"
#include "int8.glsl"

layout(constant_id = 1) const bool kAligned = false;  // rows of whole blocks that begin at multiples of 16 bytes

OP_RECORD(RoundParams);

// Smaller values count as zeros: their reciprocal must be finite.
const float kSmallest = 1e-35;

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
  if (block >= p.int8_blocks) return;
  const uint64_t source = RowAddress(p.source, row);
  const uint64_t to = BufferAt(p.rounded_slot) + uint64_t(row) * p.row_bytes;
  vec4 values[8];
  // NaN counts as larger than all, and so becomes the scale.
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
    const uvec4 bits = floatBitsToUint(values[i]) & 0x7fffffffu;
    largest_bits = max(largest_bits, max(max(bits.x, bits.y), max(bits.z, bits.w)));
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
    words[i] = uint(v.x) & 255 | (uint(v.y) & 255) << 8 | (uint(v.z) & 255) << 16 | uint(v.w) << 24;
  }
  [[unroll]] for (uint i = 0; i < 2; ++i)
    Int8Values(to).v[2 * block + i] = uvec4(words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
  Int8ScalesOf(to, p.int8_blocks).v[block] = Int8Block(zero ? 0 : largest / level, uint(sums[0]) & 0xffff | uint(sums[1]) << 16);
}
