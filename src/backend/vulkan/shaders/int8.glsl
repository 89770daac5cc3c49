// Input rows as int8, as round_int8.comp writes them: blocks of 32 values, zeros behind the last value,
// then a scale and sums for each block.
struct Int8Block {
  float scale;
  uint sums;  // of the first 16 values and of the others, 16 bits each
};
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer Int8Values { uvec4 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Int8Scales { Int8Block v[]; };
Int8Scales Int8ScalesOf(uint64_t row, uint blocks) { return Int8Scales(row + 32ul * blocks); }
