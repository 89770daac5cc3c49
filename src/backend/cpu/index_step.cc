// Which keys attention may see: one loop appends the index keys, one over tokens scores all keys up
// to the token and keeps the best as a row of bits. A token with few keys keeps them all unscored.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "backend/cpu/compiler.h"
#include "backend/cpu/key_pages.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kAppendRows = 16;

// Sets bits [begin, end).
void SetBits(uint64_t* words, int64_t begin, int64_t end) {
  for (int64_t bit = begin; bit < end; ++bit) words[bit / 64] |= uint64_t{1} << bit % 64;
}

class IndexStep final : public Step {
 public:
  IndexStep(const IndexOp& op, CompileContext* context) : op_(op) {
    tile_.k_size = op.size;
    tile_.v_in_k = true;
    if (op.cache >= 0) {
      tile_.numbers = context->kv_layer(op.cache).numbers;
      tile_.k_offset = context->kv_layer(op.cache).offset;
      max_keys_ = context->options().kv_pages * kPageTokens;
    } else {
      pages_ = KeyPages(context->max_rows(), KTileBytes(tile_.numbers, op.size));
      max_keys_ = context->max_rows();
    }
    shared_scratch_bytes = pages_.scratch_bytes();
    max_keys_ = DivideUp(max_keys_, kAttendKeyBlock) * kAttendKeyBlock + kAttendKeyBlock;
    attend_floats_ = DivideUp(AttendScratchFloats(op.heads, op.size, 0), 16) * 16;
    worker_scratch_bytes = (attend_floats_ + 2 * max_keys_) * static_cast<int64_t>(sizeof(float));
  }

  void Run(const Pass& pass, Worker& worker) const override {
    for (KeyTurn turn = pages_.TurnFrom(pass, 0); turn.segments() > 0;
         turn = pages_.TurnFrom(pass, turn.end)) {
      const int64_t rows = turn.row_end - turn.row_begin;
      worker.For(DivideUp(rows, kAppendRows), [&](int64_t block) {
        const int64_t begin = turn.row_begin + block * kAppendRows;
        for (int64_t row = begin; row < std::min(begin + kAppendRows, turn.row_end); ++row) {
          const KeySlot place = pages_.SlotOf(pass, turn, row);
          pass.ops->append(tile_, place.page, place.slot, pass.Row(op_.k, row), nullptr);
        }
      });
      worker.For(rows, [&](int64_t row) { Choose(pass, worker, turn, turn.row_begin + row); });
    }
  }

 private:
  void Choose(const Pass& pass, const Worker& worker, const KeyTurn& turn, int64_t row) const {
    const int64_t index = pass.segments[static_cast<size_t>(row)];
    const Segment& segment = pass.batch->segments[static_cast<size_t>(index)];
    AttendArgs args;
    args.key_end = pages_.FirstKey(segment) + row - segment.first_row + 1;
    uint64_t* bits =
        pass.selections[static_cast<size_t>(op_.selection)] + row * pass.selection_words;
    std::memset(bits, 0, static_cast<size_t>(args.key_end / 64 + 2) * sizeof(uint64_t));
    if (args.key_end <= op_.used) return SetBits(bits, 0, args.key_end);
    args.q = pass.Row(op_.q, row);
    args.tokens = 1;
    args.heads = op_.heads;
    pages_.Find(pass, turn, index, &args);
    args.tile = tile_;
    args.scratch = reinterpret_cast<float*>(pass.ScratchOf(worker));
    float* scores = args.scratch + attend_floats_;
    pass.ops->index_scores(args, pass.Row(op_.weights, row), scores);

    int32_t* order = reinterpret_cast<int32_t*>(scores + max_keys_);
    std::iota(order, order + args.key_end, 0);
    std::partial_sort(order, order + op_.used, order + args.key_end,
                      [scores](int32_t a, int32_t b) { return scores[a] > scores[b]; });
    for (int64_t i = 0; i < op_.used; ++i) SetBits(bits, order[i], order[i] + 1);
  }

  IndexOp op_;
  KeyPages pages_;
  KvTile tile_;
  int64_t max_keys_ = 0, attend_floats_ = 0;
};

}  // namespace

Result<bool> CompileIndex(CompileContext* context, size_t index) {
  const auto* op = std::get_if<IndexOp>(&context->op(index));
  if (op == nullptr) return false;
  context->FlushPending();
  context->Take(index);
  context->AddStep(std::make_unique<IndexStep>(*op, context));
  return true;
}

}  // namespace puna::backend::cpu
