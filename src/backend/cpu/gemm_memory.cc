// Memory for packed weights. Large blocks are mapped at a 2 MiB boundary and offered to the kernel
// for huge pages: a pass over the weights touches each page once, so with 4 KiB pages every 64
// cache lines cost a page walk (two in a virtual machine). Small ones come from the heap.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "backend/cpu/gemm.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kAlignment = 64;

// Maps `size` bytes (a multiple of the huge page) at a multiple of the huge page; null if the
// system has no memory.
uint8_t* MapHuge(int64_t size) {
  void* mapped = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = (begin + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > begin) munmap(mapped, aligned - begin);
  const uintptr_t tail = begin + kHugePage - aligned;
  if (tail > 0) munmap(reinterpret_cast<void*>(aligned + size), tail);
  auto* data = reinterpret_cast<uint8_t*>(aligned);
  madvise(data, size, MADV_HUGEPAGE);  // a wish: without it the pages are small
  return data;
}

}  // namespace

AlignedBytes::AlignedBytes(int64_t size_bytes) {
  if (size_bytes <= 0) return;
  if (size_bytes >= kHugePage) {
    data_ = MapHuge(RoundUp(size_bytes, kHugePage));
  } else {
    const int64_t rounded = RoundUp(size_bytes, kAlignment);
    data_ = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, rounded));
    if (data_ != nullptr) std::memset(data_, 0, rounded);
  }
  if (data_ != nullptr) size_bytes_ = size_bytes;
}

AlignedBytes AlignedBytes::Borrow(uint8_t* data, int64_t size_bytes) {
  AlignedBytes part;
  part.data_ = data;
  part.size_bytes_ = size_bytes;
  part.borrowed_ = true;
  return part;
}

AlignedBytes::AlignedBytes(AlignedBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      borrowed_(std::exchange(other.borrowed_, false)) {}

AlignedBytes& AlignedBytes::operator=(AlignedBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(borrowed_, other.borrowed_);
  return *this;
}

bool AlignedBytes::is_mapped() const {
  return data_ != nullptr && !borrowed_ && size_bytes_ >= kHugePage;
}

void AlignedBytes::Release() {
  if (is_mapped()) madvise(data_, RoundUp(size_bytes_, kHugePage), MADV_DONTNEED);
}

AlignedBytes::~AlignedBytes() {
  if (data_ == nullptr || borrowed_) return;
  if (is_mapped()) {
    munmap(data_, RoundUp(size_bytes_, kHugePage));
  } else {
    std::free(data_);
  }
}

}  // namespace puna::backend::cpu
