// What an encoder leaves for cross attention: keys and values go to the cache as those of attention
// do, without anybody looking at them.
#include <algorithm>

#include "backend/cpu/compiler.h"
#include "backend/cpu/key_pages.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kRows = 16;

class StoreStep final : public Step {
 public:
  StoreStep(const StoreOp& op, CompileContext* context)
      : op_(op),
        layer_(context->plan().cache_layers[static_cast<size_t>(op.cache)]),
        head_bytes_(context->kv_layer(op.cache).head_bytes) {
    tile_.numbers = context->kv_layer(op.cache).numbers;
    tile_.k_size = layer_.k_size;
    tile_.v_size = layer_.v_size;
    tile_.k_offset = context->kv_layer(op.cache).offset;
    tile_.v_offset = tile_.k_offset + KTileBytes(tile_.numbers, layer_.k_size);
  }

  void Run(const Pass& pass, Worker& worker) const override {
    const int64_t rows = pass.RowsOf(RowKind::kTokens);
    const KeyPages pages;
    const KeyTurn turn = pages.TurnFrom(pass, 0);
    worker.For((rows + kRows - 1) / kRows, [&](int64_t block) {
      for (int64_t row = block * kRows; row < std::min(rows, (block + 1) * kRows); ++row) {
        const KeySlot place = pages.SlotOf(pass, turn, row);
        for (int64_t head = 0; head < layer_.kv_heads; ++head) {
          pass.ops->append(tile_, place.page + head * head_bytes_, place.slot,
                           pass.Row(op_.k, row) + head * layer_.k_size,
                           pass.Row(op_.v, row) + head * layer_.v_size);
        }
      }
    });
  }

 private:
  StoreOp op_;
  CacheLayer layer_;
  int64_t head_bytes_;
  KvTile tile_;
};

}  // namespace

Result<bool> CompileStore(CompileContext* context, size_t index) {
  const auto* op = std::get_if<StoreOp>(&context->op(index));
  if (op == nullptr) return false;
  context->FlushPending();
  context->Take(index);
  context->AddStep(std::make_unique<StoreStep>(*op, context));
  return true;
}

}  // namespace puna::backend::cpu
