#version 460
// Input rows become float16 for matmul_matrix.comp. A row is multiplied by a power of two that brings
// its largest value just below 2^15, so that none overflows and as few as can be are rounded as
// denormals. x: rows.
#include "common.glsl"
#include "decode.glsl"
#include "halves.glsl"
#include "reduce.glsl"

// Units of eight values that an invocation keeps in registers between the maximum and the result; 0:
// rows are read twice, value by value. REQUIRES: rows of whole units, aligned.
layout(constant_id = 2) const uint kHeld = 0;
const uint kHeldSize = kHeld == 0 ? 1 : kHeld;

OP_RECORD(RoundParams);

struct Scale {
  float factor, undo;
};

Scale ScaleFor(float largest) {
  const int exponent = int(floatBitsToUint(largest) >> 23 & 255u);
  const int shift = clamp(127 + 14 - exponent, -126, 126);
  return Scale(uintBitsToFloat(uint(127 + shift) << 23), uintBitsToFloat(uint(127 - shift) << 23));
}

float LargestOf(vec4 v) { return max(max(abs(v.x), abs(v.y)), max(abs(v.z), abs(v.w))); }

void HalveHeld(RoundParams p, uint64_t source, uint64_t to, uint count) {
  const uint units = p.source.width / 8;
  vec4 low[kHeldSize], high[kHeldSize];
  float largest = 0;
  [[unroll]] for (uint i = 0; i < kHeldSize; ++i) {
    const uint at = gl_LocalInvocationID.x + i * kThreads;
    low[i] = at < units ? Vectors(source).v[2 * at] : vec4(0);
    high[i] = at < units ? Vectors(source).v[2 * at + 1] : vec4(0);
    largest = max(largest, max(LargestOf(low[i]), LargestOf(high[i])));
  }
  const Scale scale = ScaleFor(GroupMax(largest));
  if (gl_LocalInvocationID.x == 0) Floats(to).v[0] = scale.undo;
  [[unroll]] for (uint i = 0; i < kHeldSize; ++i) {
    const uint at = gl_LocalInvocationID.x + i * kThreads;
    if (at >= count) break;
    Units(to + kHalvesHeader).v[at] = ToUnit(Eight(low[i] * scale.factor, high[i] * scale.factor));
  }
}

void main() {
  const RoundParams p = RoundParamsRecord(push.op).p;
  const uint row = gl_WorkGroupID.x, columns = p.source.width;
  const uint64_t to = BufferAt(p.rounded_slot) + uint64_t(row) * p.row_bytes;
  const uint count = (p.row_bytes - kHalvesHeader) / 16;
  if (kHeld > 0) {
    HalveHeld(p, RowAddress(p.source, row), to, count);
    return;
  }
  Floats source = Row(p.source, row);
  float largest = 0;
  for (uint i = gl_LocalInvocationID.x; i < columns; i += kThreads) largest = max(largest, abs(source.v[i]));
  const Scale scale = ScaleFor(GroupMax(largest));
  if (gl_LocalInvocationID.x == 0) Floats(to).v[0] = scale.undo;
  Units units = Units(to + kHalvesHeader);
  for (uint unit = gl_LocalInvocationID.x; unit < count; unit += kThreads) {
    Eight e;
    [[unroll]] for (uint i = 0; i < 4; ++i) {
      const uint low = 8 * unit + i, high = low + 4;
      e.low[i] = low < columns ? source.v[low] * scale.factor : 0;
      e.high[i] = high < columns ? source.v[high] * scale.factor : 0;
    }
    units.v[unit] = ToUnit(e);
  }
}
