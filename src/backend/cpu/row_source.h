// The rows of weights as they are in their file.
#ifndef PUNA_BACKEND_CPU_ROW_SOURCE_H_
#define PUNA_BACKEND_CPU_ROW_SOURCE_H_

#include <cstdint>
#include <span>

#include "backend/plan.h"

namespace puna::backend::cpu {

// Rows [begin, end) of stacked weights, from the first to the last. Weights in a file are read a
// piece at a time into memory that the thread keeps, instead of through the mapping: each page is
// needed once, and where a hypervisor keeps page tables of its own, mapping it was measured to cost
// over four times as much as copying it. Nor does a mapping tell that a file ends within a page:
// what is cut off there reads as zeros. For one thread; two at once on a thread share that memory
// and must not be mixed.
class RowSource {
 public:
  RowSource(std::span<const Weight* const> parts, int64_t expert, int64_t end)
      : parts_(parts), expert_(expert), end_(end) {}

  // blocks[i] = the blocks of row `row` + i, valid until the next call. REQUIRES: row + count <=
  // end.
  void Get(int64_t row, int64_t count, const uint8_t** blocks);

 private:
  // The copy of row `row` of `part`, read together with those behind it; null: look at the mapping.
  const uint8_t* Copy(const Weight& part, int64_t row, int64_t count, int64_t part_end);

  std::span<const Weight* const> parts_;
  int64_t expert_, end_;
  const Weight* held_ = nullptr;  // whose rows [held_begin_, held_end_) are in the thread's memory
  int64_t held_begin_ = 0, held_end_ = 0;
};

// The values of `count` rows, [count][cols].
void DecodeRows(const Weight& weight, int64_t expert, int64_t row, int64_t count, float* out);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_ROW_SOURCE_H_
