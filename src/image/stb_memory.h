// The memory that stb_image may take while it decodes on this thread.
#ifndef PUNA_IMAGE_STB_MEMORY_H_
#define PUNA_IMAGE_STB_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace puna::image {

// From now on allocations of this thread fail beyond so many bytes at once.
void SetStbBudget(int64_t bytes);
// Whether one has failed since.
bool StbBudgetExceeded();

void* StbAllocate(size_t bytes);
void* StbReallocate(void* memory, size_t bytes);
void StbFree(void* memory);

}  // namespace puna::image

#endif  // PUNA_IMAGE_STB_MEMORY_H_
