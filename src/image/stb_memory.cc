#include "image/stb_memory.h"

#include <cstdlib>
#include <cstring>

namespace puna::image {
namespace {

// Before each block, its size; as large as the strictest alignment.
constexpr size_t kHeadBytes = 16;

thread_local int64_t budget_bytes = 0;
thread_local bool exceeded = false;

size_t SizeOf(const char* block) {
  size_t bytes = 0;
  std::memcpy(&bytes, block, sizeof(bytes));
  return bytes;
}

bool Take(int64_t bytes) {
  if (bytes <= budget_bytes) {
    budget_bytes -= bytes;
    return true;
  }
  exceeded = true;
  return false;
}

}  // namespace

void SetStbBudget(int64_t bytes) {
  budget_bytes = bytes;
  exceeded = false;
}

bool StbBudgetExceeded() { return exceeded; }

// Zeroed: stb decodes scans by Huffman tables that the file never defined, whatever lies there, and
// only a table of zeros keeps it inside its own memory.
void* StbAllocate(size_t bytes) {
  void* memory = StbReallocate(nullptr, bytes);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}

void* StbReallocate(void* memory, size_t bytes) {
  if (bytes > PTRDIFF_MAX - kHeadBytes || !Take(static_cast<int64_t>(bytes))) return nullptr;
  char* old = memory == nullptr ? nullptr : static_cast<char*>(memory) - kHeadBytes;
  const size_t old_bytes = old == nullptr ? 0 : SizeOf(old);
  char* block = static_cast<char*>(std::realloc(old, bytes + kHeadBytes));
  if (block == nullptr) {
    budget_bytes += static_cast<int64_t>(bytes);
    return nullptr;
  }
  budget_bytes += static_cast<int64_t>(old_bytes);
  std::memcpy(block, &bytes, sizeof(bytes));
  return block + kHeadBytes;
}

void StbFree(void* memory) {
  if (memory == nullptr) return;
  char* block = static_cast<char*>(memory) - kHeadBytes;
  budget_bytes += static_cast<int64_t>(SizeOf(block));
  std::free(block);
}

}  // namespace puna::image
