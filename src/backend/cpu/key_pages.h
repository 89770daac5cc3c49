// Where the keys of a step lie, and its values with them.
//
// Keys are numbered from the beginning of their sequence or, without a cache, of their segment: key
// n lies in slot n % kPageTokens of page n / kPageTokens. Attention sums in an order that follows
// from these numbers, so a result does not depend on what else is in the batch.
#ifndef PUNA_BACKEND_CPU_KEY_PAGES_H_
#define PUNA_BACKEND_CPU_KEY_PAGES_H_

#include <algorithm>
#include <cstdint>

#include "backend/cpu/cpu_step.h"
#include "base/rounding.h"

namespace puna::backend::cpu {

struct KeySlot {
  uint8_t* page = nullptr;
  int64_t slot = 0;
};

// The segments [begin, end) of a batch, whose keys are in memory at the same time, and their rows.
struct KeyTurn {
  int64_t begin = 0, end = 0;
  int64_t row_begin = 0, row_end = 0;

  int64_t segments() const { return end - begin; }
};

class KeyPages {
 public:
  // Pages of the cache.
  KeyPages() = default;
  // Pages at the beginning of the step's shared scratch. A short segment leaves most of its page
  // empty; a page for every row would be 16 times what long ones need, so those that find none
  // left have the next turn.
  KeyPages(int64_t max_rows, int64_t page_bytes)
      : pages_(std::min(max_rows, DivideUp(max_rows, kPageTokens) + kSparePages)),
        page_bytes_(page_bytes) {}

  bool cached() const { return pages_ == 0; }
  int64_t scratch_bytes() const { return pages_ * page_bytes_; }

  // The turn that begins with a segment; empty behind the last.
  KeyTurn TurnFrom(const Pass& pass, int64_t begin) const {
    const auto& segments = pass.batch->segments;
    KeyTurn turn{begin, static_cast<int64_t>(segments.size())};
    if (begin == turn.end) return turn;
    if (!cached()) {
      const int64_t most = pass.key_pages[static_cast<size_t>(begin)] + pages_;
      turn.end = std::ranges::upper_bound(pass.key_pages, most) - pass.key_pages.begin() - 1;
    }
    const Segment& last = segments[static_cast<size_t>(turn.end - 1)];
    turn.row_begin = segments[static_cast<size_t>(begin)].first_row;
    turn.row_end = last.first_row + last.tokens;
    return turn;
  }

  // The number of a segment's first key in this batch.
  int64_t FirstKey(const Segment& segment) const { return cached() ? segment.start_position : 0; }

  KeySlot SlotOf(const Pass& pass, const KeyTurn& turn, int64_t row) const {
    const int64_t index = pass.segments[static_cast<size_t>(row)];
    const Segment& segment = pass.batch->segments[static_cast<size_t>(index)];
    const int64_t key = FirstKey(segment) + row - segment.first_row;
    const int64_t page = key / kPageTokens, slot = key % kPageTokens;
    if (!cached()) return {ScratchOf(pass, turn, index) + page * page_bytes_, slot};
    return {pass.kv_pool + segment.pages[static_cast<size_t>(page)] * pass.kv_page_bytes, slot};
  }

  // Tells args where the keys of a segment are.
  void Find(const Pass& pass, const KeyTurn& turn, int64_t segment, AttendArgs* args) const {
    args->pool = cached() ? pass.kv_pool : ScratchOf(pass, turn, segment);
    args->page_bytes = cached() ? pass.kv_page_bytes : page_bytes_;
    if (cached()) args->pages = pass.batch->segments[static_cast<size_t>(segment)].pages.data();
  }

 private:
  // So that segments of 16 tokens and more are all in one turn in a pass of 512 rows.
  static constexpr int64_t kSparePages = 32;

  uint8_t* ScratchOf(const Pass& pass, const KeyTurn& turn, int64_t segment) const {
    const int64_t page = pass.key_pages[static_cast<size_t>(segment)] -
                         pass.key_pages[static_cast<size_t>(turn.begin)];
    return pass.shared_scratch + page * page_bytes_;
  }

  int64_t pages_ = 0;  // of the scratch
  int64_t page_bytes_ = 0;
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KEY_PAGES_H_
