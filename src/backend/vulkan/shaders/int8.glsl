// Input rows as int8, as round_int8.comp writes them: blocks of 32 values, zeros behind the last value,
// then a scale and sums for each block. And products of bytes.
#extension GL_EXT_spirv_intrinsics : require
struct Int8Block {
  float scale;
  uint sums;  // of the first 16 values and of the others, 16 bits each
};
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Int8Values { uvec4 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Int8Scales { Int8Block v[]; };
Int8Scales Int8ScalesOf(uint64_t row, uint blocks) { return Int8Scales(row + 32ul * blocks); }

// For matvec_int8.comp the order is that of units (decode.glsl), so that neighbours read neighbours: eights of columns by
// their place among four blocks, then scales likewise, then for each block its scale times each of its sums.
uint EightPlace(uint column, uint units) { return column % 128 / 32 * units + column / 128 * 4 + column % 32 / 8; }
uint ScalePlace(uint block, uint units) { return block % 4 * (units / 4) + block / 4; }
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer UnitEights { uvec2 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer UnitSums { vec2 v[]; };
Floats UnitScalesOf(uint64_t row, uint units) { return Floats(row + 32ul * units); }
UnitSums UnitSumsOf(uint64_t row, uint units) { return UnitSums(row + 36ul * units); }

// Smaller values count as zeros: their reciprocal must be finite.
const float kSmallest = 1e-35;

// NaN counts as larger than all, and so becomes the scale.
uint LargestBits(vec4 values) {
  const uvec4 bits = floatBitsToUint(values) & 0x7fffffffu;
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// OpSDot, of which this glslang knows nothing: the sum of the products of four bytes each.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int DotOfBytes(uint a, uint b, spirv_literal int packed);

int Dot(uvec2 a, uvec2 b, int sum) { return sum + DotOfBytes(a.x, b.x, 0) + DotOfBytes(a.y, b.y, 0); }
int Dot(uvec4 a, uvec4 b, int sum) { return Dot(a.zw, b.zw, Dot(a.xy, b.xy, sum)); }
