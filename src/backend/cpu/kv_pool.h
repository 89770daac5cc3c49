// The memory of the cache's pages: address space for all of them, memory as they are written.
#ifndef PUNA_BACKEND_CPU_KV_POOL_H_
#define PUNA_BACKEND_CPU_KV_POOL_H_

#include <cstdint>

#include "base/result.h"

namespace puna::backend::cpu {

// Not thread safe.
class KvPool {
 public:
  KvPool() = default;
  // kResourceExhausted if the address space does not suffice.
  static Result<KvPool> Reserve(int64_t pages, int64_t page_bytes);
  KvPool(KvPool&& other) noexcept;
  KvPool& operator=(KvPool&& other) noexcept;
  ~KvPool();

  uint8_t* data() const { return data_; }
  int64_t pages() const { return pages_; }
  uint8_t* page(int64_t index) const { return data_ + index * page_bytes_; }
  // Gives the page's memory back if pages of the cache are made of whole pages of the system; then
  // it reads as zeros.
  void Release(int64_t index);

 private:
  uint8_t* data_ = nullptr;
  int64_t pages_ = 0, page_bytes_ = 0, mapped_bytes_ = 0;
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KV_POOL_H_
