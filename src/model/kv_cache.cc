// Free pages are a stack, so that pages which were used last, and whose memory is likely to be
// there, are used again first.
#include "model/kv_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace puna::model {
namespace {

int64_t PagesFor(int64_t tokens) {
  return (tokens + backend::kPageTokens - 1) / backend::kPageTokens;
}

}  // namespace

PagePool::PagePool(int64_t pages) : references_(static_cast<size_t>(pages), 0) {
  free_.reserve(static_cast<size_t>(pages));
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int64_t PagePool::total() const { return static_cast<int64_t>(references_.size()); }

int64_t PagePool::free() const { return static_cast<int64_t>(free_.size()); }

Result<int32_t> PagePool::Allocate() {
  if (free_.empty()) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "all {} pages of the key/value cache are in use", total());
  }
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::AddReference(int32_t page) {
  CHECK(references(page) > 0) << "page " << page << " is free";
  ++references_[static_cast<size_t>(page)];
}

bool PagePool::Release(int32_t page) {
  CHECK(references(page) > 0) << "page " << page << " is free";
  if (--references_[static_cast<size_t>(page)] > 0) return false;
  free_.push_back(page);
  return true;
}

int64_t PagePool::references(int32_t page) const {
  CHECK(page >= 0 && page < total()) << "page " << page << " of " << total();
  return references_[static_cast<size_t>(page)];
}

PageTable::PageTable(PagePool* pool) : pool_(pool) {}

PageTable::PageTable(PageTable&& other) noexcept
    : pool_(other.pool_),
      pages_(std::exchange(other.pages_, {})),
      length_(std::exchange(other.length_, 0)) {}

PageTable& PageTable::operator=(PageTable&& other) noexcept {
  if (this == &other) return *this;
  Truncate(0);
  pool_ = other.pool_;
  pages_ = std::exchange(other.pages_, {});
  length_ = std::exchange(other.length_, 0);
  return *this;
}

PageTable::~PageTable() { Truncate(0); }

bool PageTable::LastPageNeedsCopy() const {
  return length_ % backend::kPageTokens != 0 && pool_->references(pages_.back()) > 1;
}

int64_t PageTable::PagesNeeded(int64_t tokens) const {
  if (tokens == 0) return 0;
  return PagesFor(length_ + tokens) - static_cast<int64_t>(pages_.size()) +
         (LastPageNeedsCopy() ? 1 : 0);
}

Status PageTable::Grow(int64_t tokens, backend::Program* program) {
  const int64_t needed = PagesNeeded(tokens);
  if (needed > pool_->free()) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "{} pages of the key/value cache are needed, {} of {} are free", needed,
                     pool_->free(), pool_->total());
  }
  if (tokens > 0 && LastPageNeedsCopy()) {
    CHECK(program != nullptr) << "a shared page without a program to copy it";
    const int32_t copy = *pool_->Allocate();
    program->CopyPage(pages_.back(), copy, length_ % backend::kPageTokens);
    pool_->Release(pages_.back());
    pages_.back() = copy;
  }
  length_ += tokens;
  while (static_cast<int64_t>(pages_.size()) < PagesFor(length_))
    pages_.push_back(*pool_->Allocate());
  return {};
}

void PageTable::Truncate(int64_t length) {
  CHECK(length >= 0 && length <= length_) << "to " << length << " of " << length_;
  length_ = length;
  while (static_cast<int64_t>(pages_.size()) > PagesFor(length)) {
    pool_->Release(pages_.back());
    pages_.pop_back();
  }
}

PageTable PageTable::Fork(int64_t length) const {
  CHECK(length >= 0 && length <= length_) << "at " << length << " of " << length_;
  PageTable other(pool_);
  other.pages_.assign(pages_.begin(), pages_.begin() + PagesFor(length));
  other.length_ = length;
  for (const int32_t page : other.pages_) pool_->AddReference(page);
  return other;
}

}  // namespace puna::model
