// Input rows as float16, as halve.comp writes them: 128 bytes whose first float undoes the scale of
// the row, then its values, then zeros up to a multiple of kHalvesUnit values. So values begin with a
// line of a GPU's cache, and 64 of them fill one.
const uint kHalvesHeader = 128;

// Eight values of float16.
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Units { uvec4 v[]; };

uvec4 ToUnit(Eight e) {
  return uvec4(packHalf2x16(e.low.xy), packHalf2x16(e.low.zw), packHalf2x16(e.high.xy), packHalf2x16(e.high.zw));
}
