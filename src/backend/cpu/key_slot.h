// Where the key of a row of the batch goes.
#ifndef PUNA_BACKEND_CPU_KEY_SLOT_H_
#define PUNA_BACKEND_CPU_KEY_SLOT_H_

#include "backend/cpu/cpu_step.h"

namespace puna::backend::cpu {

struct KeySlot {
  uint8_t* page = nullptr;
  int64_t slot = 0;
};

// The page of the cache that holds the row's position; without a cache, that of a pool over the
// rows of the batch at the beginning of the step's shared scratch, `page_bytes` each.
inline KeySlot SlotOf(const Pass& pass, int64_t row, bool cached, int64_t page_bytes) {
  if (!cached) return {pass.shared_scratch + row / kPageTokens * page_bytes, row % kPageTokens};
  const int64_t position = pass.positions[static_cast<size_t>(row)];
  const Segment& segment =
      pass.batch->segments[static_cast<size_t>(pass.segments[static_cast<size_t>(row)])];
  const int64_t page = segment.pages[static_cast<size_t>(position / kPageTokens)];
  return {pass.kv_pool + page * pass.kv_page_bytes, position % kPageTokens};
}

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KEY_SLOT_H_
