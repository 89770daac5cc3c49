// Who owns which page of the key/value cache: a pool of page numbers with reference counts, and the
// page list of one sequence. The bytes are the backend's; nothing here touches them. Not thread
// safe: each engine has its own pool.
#ifndef PUNA_MODEL_KV_CACHE_H_
#define PUNA_MODEL_KV_CACHE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"

namespace puna::model {

class PagePool {
 public:
  explicit PagePool(int64_t pages);
  int64_t total() const;
  int64_t free() const;
  // A page with one reference, or kResourceExhausted.
  Result<int32_t> Allocate();
  void AddReference(int32_t page);
  // Returns true if that was the last reference (the page is free again).
  bool Release(int32_t page);
  int64_t references(int32_t page) const;

 private:
  std::vector<int32_t> free_;
  std::vector<int32_t> references_;
};

// The cached positions [0, length) of one sequence. Movable; releases its pages when it dies.
class PageTable {
 public:
  explicit PageTable(PagePool* pool);  // the pool outlives it
  PageTable(PageTable&& other) noexcept;
  PageTable& operator=(PageTable&& other) noexcept;
  ~PageTable();

  int64_t length() const { return length_; }
  std::span<const int32_t> pages() const { return pages_; }
  // Pages that Grow would have to take for `tokens` more, a copy of a shared last page included.
  int64_t PagesNeeded(int64_t tokens) const;
  // Makes room for `tokens` more positions. If the last page is shared and half full it is first
  // replaced by a copy of its own (`program` copies the bytes; null: never shared). On
  // kResourceExhausted nothing has changed. The new positions count as present from now on: compute
  // them in the next pass.
  Status Grow(int64_t tokens, backend::Program* program);
  // Forgets all positions from `length` on.
  void Truncate(int64_t length);
  // A second sequence with the same first `length` positions, sharing the pages.
  PageTable Fork(int64_t length) const;
  // A sequence that begins with `pages`, which somebody else has filled and holds references to:
  // whole pages only.
  static PageTable Share(PagePool* pool, std::span<const int32_t> pages);

 private:
  bool LastPageNeedsCopy() const;

  PagePool* pool_;
  std::vector<int32_t> pages_;
  int64_t length_ = 0;
};

inline PageTable PageTable::Share(PagePool* pool, std::span<const int32_t> pages) {
  PageTable table(pool);
  for (const int32_t page : pages) pool->AddReference(page);
  table.pages_.assign(pages.begin(), pages.end());
  table.length_ = static_cast<int64_t>(pages.size()) * backend::kPageTokens;
  return table;
}

}  // namespace puna::model

#endif  // PUNA_MODEL_KV_CACHE_H_
