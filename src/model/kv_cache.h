// What is cached of a sequence, and who owns it: pages of the key/value cache and, for networks
// with recurrent layers, state slots. Both are pools of numbers with reference counts; the bytes
// are the backend's, and nothing here touches them. Not thread safe: each engine has its own pool.
//
// Pages are filled position by position, so a sequence can be cut or shared at any position. A
// state knows one position only (backend.h). So a sequence with states keeps, beside the current
// one, checkpoints: the state at the last page border that a pass went over, and at positions that
// somebody asked for. Everything that goes back in time (Truncate, Fork, Share) goes to a position
// that has a state: to the newest checkpoint at or before the wanted one, else to the beginning.
// Callers compute what lies between again. A checkpoint costs one slot (MemoryUse::state_slot
// bytes) and no copying. Without states every position is as good as a checkpoint.
#ifndef PUNA_MODEL_KV_CACHE_H_
#define PUNA_MODEL_KV_CACHE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "base/rounding.h"

namespace puna::model {

// How many pages hold so many tokens.
inline int64_t PagesFor(int64_t tokens) { return DivideUp(tokens, backend::kPageTokens); }

// Numbers [0, total) with reference counts. `what` names them in errors.
class NumberPool {
 public:
  NumberPool(int64_t total, const char* what);
  int64_t total() const;
  int64_t free() const;
  std::span<const int32_t> free_numbers() const { return free_; }
  // One with one reference, or kResourceExhausted.
  Result<int32_t> Allocate();
  void AddReference(int32_t number);
  // Returns true if that was the last reference (it is free again).
  bool Release(int32_t number);
  int64_t references(int32_t number) const;
  int64_t shared() const { return shared_; }  // numbers with several references

 private:
  const char* what_;
  std::vector<int32_t> free_;
  std::vector<int32_t> references_;
  int64_t shared_ = 0;
};

// Pages, and state slots if the network has states. A sequence that is alone may need 4 of these.
class PagePool : public NumberPool {
 public:
  explicit PagePool(int64_t pages, int64_t state_slots = 0);
  bool has_states() const { return states_.total() > 0; }
  NumberPool& states() { return states_; }
  const NumberPool& states() const { return states_; }

 private:
  NumberPool states_;
};

// A reference to the state at one position of some sequence. Movable; the slot stays as it is as
// long as one of its checkpoints lives.
class Checkpoint {
 public:
  Checkpoint() = default;
  // Takes over nothing: adds a reference of its own.
  Checkpoint(PagePool* pool, int32_t slot, int64_t position);
  Checkpoint(const Checkpoint& other);
  Checkpoint(Checkpoint&& other) noexcept { Swap(other); }
  Checkpoint& operator=(Checkpoint other) noexcept {
    Swap(other);
    return *this;
  }
  ~Checkpoint();

  explicit operator bool() const { return pool_ != nullptr; }
  int32_t slot() const { return slot_; }
  int64_t position() const { return position_; }
  // Nobody else refers to the slot: it is free when this checkpoint dies.
  bool last() const { return pool_ != nullptr && pool_->states().references(slot_) == 1; }

 private:
  void Swap(Checkpoint& other) noexcept;

  PagePool* pool_ = nullptr;
  int32_t slot_ = -1;
  int64_t position_ = 0;
};

// The cached positions [0, length) of one sequence. Movable; releases pages and slots when it dies.
class PageTable {
 public:
  explicit PageTable(PagePool* pool);  // the pool outlives it
  PageTable(PageTable&& other) noexcept;
  PageTable& operator=(PageTable&& other) noexcept;
  ~PageTable();

  int64_t length() const { return length_; }
  std::span<const int32_t> pages() const { return pages_; }
  // Of plans with an encoder: so many positions at the beginning are those of the text that it read
  // (backend::Segment::encoded). They stay together: without the last one, none is left.
  int64_t encoded() const { return encoded_; }
  void MarkEncoded() { encoded_ = length_; }  // the pass of the encoder is over
  // For backend::Segment, of the pass that Grow made room for: where it finds the state before its
  // first token, and where it leaves those after. Valid until the next change.
  int32_t read_state() const { return reading_ ? reading_.slot() : -1; }
  std::span<const backend::StateWrite> state_writes() const { return writes_; }

  // Pages and slots that Grow would have to take for `tokens` more, a copy of a shared last page
  // included.
  int64_t PagesNeeded(int64_t tokens) const;
  int64_t SlotsNeeded(int64_t tokens) const;
  // Makes room for `tokens` more positions. If the last page is shared and half full it is first
  // replaced by a copy of its own (`program` copies the bytes; null: never shared). On
  // kResourceExhausted nothing has changed. The new positions count as present from now on: compute
  // them in the next pass, which must be over before the next Grow.
  Status Grow(int64_t tokens, backend::Program* program);
  // Forgets all positions from `length` on, and without a state there, back to the newest
  // checkpoint before it. Returns the new length.
  int64_t Truncate(int64_t length);
  // A second sequence with the same first `length` positions, sharing pages and state; without a
  // state there its length() is that of the newest checkpoint before.
  PageTable Fork(int64_t length) const;
  // A sequence that begins with the first `tokens` positions of `pages`, which somebody else has
  // filled and holds references to. If the network has states, these are whole pages and
  // `checkpoint` is the one at their end (none: no pages).
  static PageTable Share(PagePool* pool, std::span<const int32_t> pages, int64_t tokens,
                         const Checkpoint& checkpoint = {});
  // Where the last page is shared and not full: replaces it by a copy of its own, as Grow would,
  // or where no page is free, forgets its positions. Not for networks with states.
  void OwnLastPage(backend::Program* program);

  // The state at `position`; empty if there is none, and for networks without states.
  Checkpoint CheckpointAt(int64_t position) const;
  // Keeps the state at `position` until ForgetCheckpoints or the end: the current one, or when a
  // pass goes over it. Of several later positions the last one asked for counts; earlier ones have
  // no effect. What speculation asks for before it guesses, and the prefix cache where two
  // sequences part.
  void KeepCheckpointAt(int64_t position);
  // Asks for what was asked of `other` and not granted yet.
  void TakeWish(const PageTable& other);
  // Drops the checkpoints that were asked for and are there; the page border's stays.
  void ForgetCheckpoints();

 private:
  struct State {
    Checkpoint checkpoint;
    bool wanted = false;  // by KeepCheckpointAt
  };
  // Which positions the next pass writes, and which of the present states it makes superfluous.
  struct StatePlan {
    std::vector<int64_t> writes;
    std::vector<size_t> superfluous;  // indices into states_
    int64_t reusable = 0;             // superfluous ones whose slots nobody else holds
  };
  StatePlan PlanStates(int64_t tokens) const;
  void GrowStates(int64_t tokens);
  int64_t NewestStateAt(int64_t length) const;
  bool LastPageNeedsCopy() const;
  void CopyLastPage(backend::Program* program);

  PagePool* pool_;
  std::vector<int32_t> pages_;
  int64_t length_ = 0;
  int64_t encoded_ = 0;
  // With states: by position; the last one is the current one, at length_, if that is not 0.
  std::vector<State> states_;
  int64_t wish_ = 0;    // the position of a checkpoint that was asked for; 0: none
  Checkpoint reading_;  // held so that nobody overwrites it while a pass reads it
  std::vector<backend::StateWrite> writes_;
};

}  // namespace puna::model

#endif  // PUNA_MODEL_KV_CACHE_H_
