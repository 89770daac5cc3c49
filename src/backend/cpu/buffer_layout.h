// Where the buffers of a plan lie: those whose values are never needed at the same time share
// memory.
#ifndef PUNA_BACKEND_CPU_BUFFER_LAYOUT_H_
#define PUNA_BACKEND_CPU_BUFFER_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "backend/plan.h"

namespace puna::backend::cpu {

// All in floats. In a pass of n rows buffer i begins at n * offsets[i].
struct BufferLayout {
  std::vector<int64_t> strides;  // from row to row
  std::vector<int64_t> offsets;
  int64_t row = 0;  // of all buffers together, for each row
};

// `turns`: the ops in the order in which they run; those of one turn may run in any order, or at
// the same time on different rows. `apart`: a buffer that gets no memory here; -1: none.
BufferLayout LayOutBuffers(const Plan& plan, const std::vector<std::vector<size_t>>& turns,
                           int apart);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_BUFFER_LAYOUT_H_
