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

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_INPUT_LAYOUT_H_
