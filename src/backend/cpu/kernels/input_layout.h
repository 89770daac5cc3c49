// The prepared forms of activations (InputFormat) in memory. One definition for the writers
// (prepare) and the readers (the kernels). Plain data and arithmetic only: included by units that
// are compiled for one instruction set.
//
// All forms cut the columns into chunks of 256 and put the chunk outermost, then the token:
//   values [chunk][token][256]
// so that a tile kernel, which walks one chunk for some tokens, reads consecutive memory whatever
// its width and whatever the number of tokens is. (Rows of whole tokens would put the rows of a
// tile at distances that are powers of two, into the same few cache sets; fixed column groups would
// need special cases for their remainder.) What belongs to the values, scales and sums, follows in
// arrays of its own, "planes", in the same order: a kernel touches only the planes it needs.
// Columns past the end of a row in the last chunk are zero in every plane.
#ifndef PUNA_BACKEND_CPU_KERNELS_INPUT_LAYOUT_H_
#define PUNA_BACKEND_CPU_KERNELS_INPUT_LAYOUT_H_

#include <cstdint>

namespace puna::backend::cpu {

inline constexpr int64_t kChunk = 256;  // columns

constexpr int64_t ChunkCount(int64_t cols) { return (cols + kChunk - 1) / kChunk; }

// Offsets of the planes within a prepared input of `chunks` x `tokens`, in bytes; each is
// [chunk][token][n].
struct Int8Block32Planes {
  int64_t scale;  // float [8]: value = int8 * scale of its 32
  int64_t start;  // int32 [8]: -128 * sum of the 32 int8: what an unsigned level stored plus 128
                  // adds too much
  int64_t scaled_sum;  // float [8]: scale * sum, for minimums
  int64_t start16;     // int32 [16]: as start, of 16 int8
  int64_t end;
  constexpr Int8Block32Planes(int64_t chunks, int64_t tokens)
      : scale(chunks * tokens * kChunk),
        start(scale + chunks * tokens * 32),
        scaled_sum(start + chunks * tokens * 32),
        start16(scaled_sum + chunks * tokens * 32),
        end(start16 + chunks * tokens * 64) {}
};

struct Int8Block256Planes {
  int64_t start16;  // int32 [16]: -128 * sum of 16 int8
  int64_t start32;  // int32 [8]: -128 * sum of 32 int8
  int64_t sum16;    // int16 [16]: sum of 16 int8
  int64_t sum32;    // int16 [8]
  int64_t scale;    // float: value = int8 * scale
  int64_t end;
  constexpr Int8Block256Planes(int64_t chunks, int64_t tokens)
      : start16(chunks * tokens * kChunk),
        start32(start16 + chunks * tokens * 64),
        sum16(start32 + chunks * tokens * 32),
        sum32(sum16 + chunks * tokens * 32),
        scale(sum32 + chunks * tokens * 16),
        end(scale + chunks * tokens * 4) {}
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_INPUT_LAYOUT_H_
