#version 460
// Input rows become float16 for matmul_matrix.comp. A row is multiplied by a power of two that brings
// its largest value just below 2^15, so that none overflows and as few as can be are rounded as
// denormals. x: rows.
#include "common.glsl"
#include "decode.glsl"
#include "halves.glsl"
#include "reduce.glsl"

OP_RECORD(HalveParams);

void main() {
  const HalveParams p = HalveParamsRecord(push.op).p;
  const uint row = gl_WorkGroupID.x, columns = p.source.width;
  Floats source = Row(p.source, row);
  float largest = 0;
  for (uint i = gl_LocalInvocationID.x; i < columns; i += kThreads) largest = max(largest, abs(source.v[i]));
  largest = GroupMax(largest);
  const int exponent = int(floatBitsToUint(largest) >> 23 & 255u);
  const int shift = clamp(127 + 14 - exponent, -126, 126);
  const float scale = uintBitsToFloat(uint(127 + shift) << 23);
  const uint64_t to = BufferAt(p.halves_slot) + uint64_t(row) * p.row_bytes;
  if (gl_LocalInvocationID.x == 0) Floats(to).v[0] = uintBitsToFloat(uint(127 - shift) << 23);
  Units units = Units(to + kHalvesHeader);
  const uint count = (p.row_bytes - kHalvesHeader) / 16;
  for (uint unit = gl_LocalInvocationID.x; unit < count; unit += kThreads) {
    Eight e;
    [[unroll]] for (uint i = 0; i < 4; ++i) {
      const uint low = 8 * unit + i, high = low + 4;
      e.low[i] = low < columns ? source.v[low] * scale : 0;
      e.high[i] = high < columns ? source.v[high] * scale : 0;
    }
    units.v[unit] = ToUnit(e);
  }
}
