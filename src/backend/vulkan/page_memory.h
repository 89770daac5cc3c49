// Equal pieces of device memory by number: cache pages, state slots. Memory is taken in chunks of
// many, when the first of a chunk is used, and given back when its last is released.
#ifndef PUNA_BACKEND_VULKAN_PAGE_MEMORY_H_
#define PUNA_BACKEND_VULKAN_PAGE_MEMORY_H_

#include <cstdint>
#include <vector>

#include "backend/vulkan/device.h"

namespace puna::backend::vulkan {

class PageMemory {
 public:
  PageMemory(Device* device, int64_t pages, int64_t page_bytes);

  // The page's address; takes its memory if it has none.
  Result<uint64_t> Address(int64_t page);
  // Where it lies in which buffer. REQUIRES: it has memory.
  const Buffer& BufferOf(int64_t page) const;
  int64_t OffsetOf(int64_t page) const { return page % per_chunk_ * page_bytes_; }
  bool has(int64_t page) const { return used_[static_cast<size_t>(page)]; }
  int64_t page_bytes() const { return page_bytes_; }
  // REQUIRES: no command uses it.
  void Release(int64_t page);

 private:
  struct Chunk {
    Buffer buffer;
    int64_t used = 0;
  };
  Device* device_;
  int64_t page_bytes_;
  int64_t per_chunk_;
  std::vector<Chunk> chunks_;
  std::vector<bool> used_;
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_PAGE_MEMORY_H_
