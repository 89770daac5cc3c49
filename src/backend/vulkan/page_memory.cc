#include "backend/vulkan/page_memory.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace puna::backend::vulkan {
namespace {

constexpr int64_t kChunkBytes = int64_t{16} << 20;

}  // namespace

PageMemory::PageMemory(Device* device, int64_t pages, int64_t page_bytes)
    : device_(device),
      page_bytes_(page_bytes),
      per_chunk_(std::clamp<int64_t>(kChunkBytes / std::max<int64_t>(page_bytes, 1), 1,
                                     std::max<int64_t>(pages, 1))),
      chunks_(static_cast<size_t>((pages + per_chunk_ - 1) / per_chunk_)),
      used_(static_cast<size_t>(pages)) {}

Result<uint64_t> PageMemory::Address(int64_t page) {
  Chunk& chunk = chunks_[static_cast<size_t>(page / per_chunk_)];
  if (!chunk.buffer) {
    PUNA_ASSIGN_OR_RETURN(chunk.buffer,
                          device_->Allocate(per_chunk_ * page_bytes_, MemoryKind::kDevice));
  }
  if (!has(page)) {
    used_[static_cast<size_t>(page)] = true;
    ++chunk.used;
  }
  return chunk.buffer.address() + static_cast<uint64_t>(OffsetOf(page));
}

const Buffer& PageMemory::BufferOf(int64_t page) const {
  CHECK(has(page)) << page;
  return chunks_[static_cast<size_t>(page / per_chunk_)].buffer;
}

void PageMemory::Release(int64_t page) {
  if (!has(page)) return;
  used_[static_cast<size_t>(page)] = false;
  Chunk& chunk = chunks_[static_cast<size_t>(page / per_chunk_)];
  if (--chunk.used == 0) chunk.buffer = Buffer();
}

}  // namespace puna::backend::vulkan
