#include "backend/cpu/kv_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace puna::backend::cpu {

Result<KvPool> KvPool::Reserve(int64_t pages, int64_t page_bytes) {
  KvPool pool;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(pages, page_bytes, &bytes)) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "a cache of {} pages of {} bytes does not fit the address space", pages,
                     page_bytes);
  }
  if (bytes == 0) return pool;
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "no address space for a cache of {} bytes: {} pages of {} bytes", bytes, pages,
                     page_bytes);
  }
  // A wish. One head's keys and values of a cache page are a few KiB far from those of the next:
  // with small pages, attention over a long context would wait for a page walk for each of them.
  madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  pool.data_ = static_cast<uint8_t*>(memory);
  pool.pages_ = pages;
  pool.page_bytes_ = page_bytes;
  pool.mapped_bytes_ = bytes;
  return pool;
}

KvPool::KvPool(KvPool&& other) noexcept { *this = std::move(other); }

KvPool& KvPool::operator=(KvPool&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(pages_, other.pages_);
  std::swap(page_bytes_, other.page_bytes_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

KvPool::~KvPool() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(mapped_bytes_));
}

void KvPool::Release(int64_t index) {
  const long system_page = sysconf(_SC_PAGESIZE);
  if (system_page <= 0 || page_bytes_ % system_page != 0) return;
  madvise(page(index), static_cast<size_t>(page_bytes_), MADV_DONTNEED);
}

}  // namespace puna::backend::cpu
