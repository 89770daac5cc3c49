// Free numbers are a stack, so that pages which were used last, and whose memory is likely to be
// there, are used again first.
#include "model/kv_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace puna::model {
namespace {

int64_t PageBorder(int64_t position) {
  return position / backend::kPageTokens * backend::kPageTokens;
}

}  // namespace

NumberPool::NumberPool(int64_t total, const char* what)
    : what_(what), references_(static_cast<size_t>(total), 0) {
  free_.reserve(static_cast<size_t>(total));
  for (int64_t number = total - 1; number >= 0; --number)
    free_.push_back(static_cast<int32_t>(number));
}

int64_t NumberPool::total() const { return static_cast<int64_t>(references_.size()); }

int64_t NumberPool::free() const { return static_cast<int64_t>(free_.size()); }

Result<int32_t> NumberPool::Allocate() {
  if (free_.empty()) {
    return MakeError(ErrorCode::kResourceExhausted, "all {} {} are in use", total(), what_);
  }
  const int32_t number = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(number)] = 1;
  return number;
}

void NumberPool::AddReference(int32_t number) {
  CHECK(references(number) > 0) << what_ << ": " << number << " is free";
  shared_ += ++references_[static_cast<size_t>(number)] == 2;
}

bool NumberPool::Release(int32_t number) {
  CHECK(references(number) > 0) << what_ << ": " << number << " is free";
  const int32_t left = --references_[static_cast<size_t>(number)];
  shared_ -= left == 1;
  if (left > 0) return false;
  free_.push_back(number);
  return true;
}

int64_t NumberPool::references(int32_t number) const {
  CHECK(number >= 0 && number < total()) << what_ << ": " << number << " of " << total();
  return references_[static_cast<size_t>(number)];
}

PagePool::PagePool(int64_t pages, int64_t state_slots)
    : NumberPool(pages, "pages of the key/value cache"), states_(state_slots, "state slots") {}

Checkpoint::Checkpoint(PagePool* pool, int32_t slot, int64_t position)
    : pool_(pool), slot_(slot), position_(position) {
  pool_->states().AddReference(slot_);
}

Checkpoint::Checkpoint(const Checkpoint& other)
    : pool_(other.pool_), slot_(other.slot_), position_(other.position_) {
  if (pool_ != nullptr) pool_->states().AddReference(slot_);
}

Checkpoint::~Checkpoint() {
  if (pool_ != nullptr) pool_->states().Release(slot_);
}

void Checkpoint::Swap(Checkpoint& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(slot_, other.slot_);
  std::swap(position_, other.position_);
}

PageTable::PageTable(PagePool* pool) : pool_(pool) {}

PageTable::PageTable(PageTable&& other) noexcept
    : pool_(other.pool_),
      pages_(std::exchange(other.pages_, {})),
      length_(std::exchange(other.length_, 0)),
      encoded_(std::exchange(other.encoded_, 0)),
      states_(std::exchange(other.states_, {})),
      wish_(std::exchange(other.wish_, 0)),
      reading_(std::exchange(other.reading_, {})),
      writes_(std::exchange(other.writes_, {})) {}

PageTable& PageTable::operator=(PageTable&& other) noexcept {
  if (this == &other) return *this;
  Truncate(0);
  pool_ = other.pool_;
  pages_ = std::exchange(other.pages_, {});
  length_ = std::exchange(other.length_, 0);
  encoded_ = std::exchange(other.encoded_, 0);
  states_ = std::exchange(other.states_, {});
  wish_ = std::exchange(other.wish_, 0);
  reading_ = std::exchange(other.reading_, {});
  writes_ = std::exchange(other.writes_, {});
  return *this;
}

PageTable::~PageTable() { Truncate(0); }

PageTable PageTable::Share(PagePool* pool, std::span<const int32_t> pages, int64_t tokens,
                           const Checkpoint& checkpoint) {
  PageTable table(pool);
  CHECK(PagesFor(tokens) == static_cast<int64_t>(pages.size()))
      << tokens << " tokens of " << pages.size() << " pages";
  if (pool->has_states() && tokens > 0) {
    CHECK(checkpoint && checkpoint.position() == tokens)
        << "pages up to " << tokens << " without the state there";
    table.states_.push_back({checkpoint, false});
  }
  for (const int32_t page : pages) pool->AddReference(page);
  table.pages_.assign(pages.begin(), pages.end());
  table.length_ = tokens;
  return table;
}

void PageTable::OwnLastPage(backend::Program* program) {
  if (!LastPageNeedsCopy()) return;
  if (pool_->free() == 0) {
    Truncate(PageBorder(length_));
  } else {
    CopyLastPage(program);
  }
}

void PageTable::CopyLastPage(backend::Program* program) {
  CHECK(program != nullptr) << "a shared page without a program to copy it";
  const int32_t copy = *pool_->Allocate();
  program->CopyPage(pages_.back(), copy, length_ % backend::kPageTokens);
  pool_->Release(pages_.back());
  pages_.back() = copy;
}

bool PageTable::LastPageNeedsCopy() const {
  return length_ % backend::kPageTokens != 0 && pool_->references(pages_.back()) > 1;
}

int64_t PageTable::PagesNeeded(int64_t tokens) const {
  if (tokens == 0) return 0;
  return PagesFor(length_ + tokens) - static_cast<int64_t>(pages_.size()) +
         (LastPageNeedsCopy() ? 1 : 0);
}

PageTable::StatePlan PageTable::PlanStates(int64_t tokens) const {
  StatePlan plan;
  const int64_t end = length_ + tokens, border = PageBorder(end);
  if (wish_ > length_ && wish_ < end) plan.writes.push_back(wish_);
  if (border > length_) plan.writes.push_back(border);
  plan.writes.push_back(end);
  std::sort(plan.writes.begin(), plan.writes.end());
  plan.writes.erase(std::unique(plan.writes.begin(), plan.writes.end()), plan.writes.end());
  for (size_t i = 0; i < states_.size(); ++i) {
    const Checkpoint& checkpoint = states_[i].checkpoint;
    if (states_[i].wanted || checkpoint.position() == border) continue;
    plan.superfluous.push_back(i);
    // The pass may go on reading the current state through `reading_`, which is no other holder.
    const bool read_before = reading_ && reading_.slot() == checkpoint.slot();
    if (pool_->states().references(checkpoint.slot()) == (read_before ? 2 : 1)) ++plan.reusable;
  }
  return plan;
}

int64_t PageTable::SlotsNeeded(int64_t tokens) const {
  if (tokens == 0 || !pool_->has_states()) return 0;
  const StatePlan plan = PlanStates(tokens);
  return std::max<int64_t>(0, static_cast<int64_t>(plan.writes.size()) - plan.reusable);
}

// The slot of the current state, where it may go, becomes that of the new one: then the backend
// works in place. It is never given to the pool before the pass that reads it is over.
void PageTable::GrowStates(int64_t tokens) {
  const StatePlan plan = PlanStates(tokens);
  reading_ = length_ > 0 ? states_.back().checkpoint : Checkpoint();
  std::vector<Checkpoint> own;  // slots to write to, the best one for the end last
  for (auto it = plan.superfluous.rbegin(); it != plan.superfluous.rend(); ++it) {
    Checkpoint checkpoint = std::move(states_[*it].checkpoint);
    states_.erase(states_.begin() + static_cast<std::ptrdiff_t>(*it));
    const bool read = reading_ && reading_.slot() == checkpoint.slot();
    if (pool_->states().references(checkpoint.slot()) != (read ? 2 : 1)) continue;
    own.insert(read ? own.end() : own.begin(), std::move(checkpoint));
  }
  writes_.clear();
  std::vector<State> written;
  for (auto it = plan.writes.rbegin(); it != plan.writes.rend(); ++it) {
    int32_t slot = -1;
    if (!own.empty()) {
      slot = own.back().slot();
    } else {
      slot = *pool_->states().Allocate();
    }
    written.push_back({Checkpoint(pool_, slot, *it), *it == wish_});
    if (own.empty()) {
      pool_->states().Release(slot);  // the checkpoint holds it now
    } else {
      own.pop_back();
    }
    writes_.push_back({.tokens = *it - length_, .slot = slot});
  }
  std::reverse(writes_.begin(), writes_.end());
  for (auto it = written.rbegin(); it != written.rend(); ++it) states_.push_back(std::move(*it));
  if (wish_ <= length_ + tokens) wish_ = 0;
}

Status PageTable::Grow(int64_t tokens, backend::Program* program) {
  reading_ = Checkpoint();  // the pass that read it is over
  writes_.clear();
  const int64_t needed = PagesNeeded(tokens), slots = SlotsNeeded(tokens);
  if (needed > pool_->free()) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "{} pages of the key/value cache are needed, {} of {} are free", needed,
                     pool_->free(), pool_->total());
  }
  if (slots > pool_->states().free()) {
    return MakeError(ErrorCode::kResourceExhausted, "{} state slots are needed, {} of {} are free",
                     slots, pool_->states().free(), pool_->states().total());
  }
  if (tokens > 0 && LastPageNeedsCopy()) CopyLastPage(program);
  if (tokens > 0 && pool_->has_states()) GrowStates(tokens);
  length_ += tokens;
  while (static_cast<int64_t>(pages_.size()) < PagesFor(length_))
    pages_.push_back(*pool_->Allocate());
  return {};
}

int64_t PageTable::NewestStateAt(int64_t length) const {
  if (!pool_->has_states()) return length;
  int64_t newest = 0;
  for (const State& state : states_) {
    if (state.checkpoint.position() <= length) newest = state.checkpoint.position();
  }
  return newest;
}

int64_t PageTable::Truncate(int64_t length) {
  CHECK(length >= 0 && length <= length_) << "to " << length << " of " << length_;
  length_ = NewestStateAt(length);
  if (length_ < encoded_) length_ = encoded_ = 0;
  while (!states_.empty() && states_.back().checkpoint.position() > length_) states_.pop_back();
  reading_ = Checkpoint();
  writes_.clear();
  while (static_cast<int64_t>(pages_.size()) > PagesFor(length_)) {
    pool_->Release(pages_.back());
    pages_.pop_back();
  }
  return length_;
}

PageTable PageTable::Fork(int64_t length) const {
  CHECK(length >= 0 && length <= length_) << "at " << length << " of " << length_;
  PageTable other(pool_);
  other.length_ = NewestStateAt(length);
  if (other.length_ < encoded_) other.length_ = 0;
  if (other.length_ > 0) other.encoded_ = encoded_;
  if (const Checkpoint checkpoint = CheckpointAt(other.length_))
    other.states_.push_back({checkpoint, false});
  other.pages_.assign(pages_.begin(), pages_.begin() + PagesFor(other.length_));
  for (const int32_t page : other.pages_) pool_->AddReference(page);
  return other;
}

Checkpoint PageTable::CheckpointAt(int64_t position) const {
  for (const State& state : states_) {
    if (state.checkpoint.position() == position) return state.checkpoint;
  }
  return {};
}

void PageTable::KeepCheckpointAt(int64_t position) {
  if (!pool_->has_states()) return;
  // The current state is there still, until the next pass.
  if (position == length_ && !states_.empty()) states_.back().wanted = true;
  if (position > length_) wish_ = position;
}

void PageTable::TakeWish(const PageTable& other) {
  if (other.wish_ > length_) wish_ = other.wish_;
}

void PageTable::ForgetCheckpoints() {
  const int64_t border = PageBorder(length_);
  std::erase_if(states_, [&](const State& state) {
    const int64_t position = state.checkpoint.position();
    return state.wanted && position != length_ && position != border;
  });
  for (State& state : states_) state.wanted = false;
}

}  // namespace puna::model
