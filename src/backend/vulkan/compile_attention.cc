// Attention, what is stored for it, and the choice of keys.
#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {
namespace {

constexpr uint32_t kThreads = 64;
constexpr int64_t kPage = kPageTokens;

uint32_t Groups(int64_t n, int64_t size) { return static_cast<uint32_t>((n + size - 1) / size); }

// Beyond so many tokens all keys have one row of a position bias (RelativeBucket).
constexpr int64_t kBiasReach = 129;

}  // namespace

CacheParams PlanCompiler::CacheOf(int64_t offset, int64_t kv_heads, int64_t k_size, int64_t v_size,
                                  bool half) const {
  const int64_t value_bytes = half ? 2 : 4;
  const int64_t key_head = (k_size + 3) / 4 * 4 * kPage * value_bytes;
  const int64_t value_head = v_size * kPage * value_bytes;
  CacheParams cache{};
  cache.key_offset = static_cast<uint>(offset);
  cache.key_head = static_cast<uint>(key_head);
  cache.value_offset = static_cast<uint>(offset + kv_heads * key_head);
  cache.value_head = static_cast<uint>(value_head);
  cache.scratch_page_bytes = static_cast<uint>(kv_heads * (key_head + value_head));
  return cache;
}

CacheParams PlanCompiler::CacheFor(int cache, int64_t kv_heads, int64_t k_size, int64_t v_size,
                                   bool* half) {
  if (cache >= 0) {
    *half = options_.kv_type != KvType::kF32;
    return CacheOf(compiled_.cache_offsets[static_cast<size_t>(cache)], kv_heads, k_size, v_size,
                   *half);
  }
  *half = false;
  CacheParams pages = CacheOf(0, kv_heads, k_size, v_size, false);
  if (scratch_slot_ < 0) scratch_slot_ = NewSlot({});
  Slot& slot = compiled_.slots[static_cast<size_t>(scratch_slot_)];
  slot.scratch_page_bytes = std::max<int64_t>(slot.scratch_page_bytes, pages.scratch_page_bytes);
  pages.is_scratch = 1;
  pages.scratch_slot = static_cast<uint>(scratch_slot_);
  return pages;
}

void PlanCompiler::AddStore(const View& k, const View& v, const CacheParams& cache,
                            int64_t kv_heads, int64_t k_size, int64_t v_size, bool half) {
  const uint32_t record = Record(StoreParams{.k = MatrixOf(k),
                                             .v = MatrixOf(v),
                                             .cache = cache,
                                             .kv_heads = static_cast<uint>(kv_heads),
                                             .k_size = static_cast<uint>(k_size),
                                             .v_size = static_cast<uint>(v_size)});
  const int64_t columns = kv_heads * (k_size + v_size);
  if (v_size > 0) {
    AddColumns("store", {kThreads, half ? 1u : 0u}, record, columns, {k, v}, {}, true);
  } else {
    AddColumns("store", {kThreads, half ? 1u : 0u}, record, columns, {k}, {}, true);
  }
}

Status PlanCompiler::Add(const StoreOp& op) {
  const CacheLayer& layer = plan_->cache_layers[static_cast<size_t>(op.cache)];
  bool half = false;
  const CacheParams cache = CacheFor(op.cache, layer.kv_heads, layer.k_size, layer.v_size, &half);
  AddStore(op.k, op.v, cache, layer.kv_heads, layer.k_size, layer.v_size, half);
  return {};
}

Result<uint64_t> PlanCompiler::Slopes(const AttentionOp& op) {
  if (op.alibi_max_bias <= 0) return 0;
  int64_t power = 1;
  while (2 * power <= op.heads) power *= 2;
  const double bias = op.alibi_max_bias, n = static_cast<double>(power);
  std::vector<float> slopes;
  for (int64_t h = 0; h < op.heads; ++h) {
    const double exponent = h < power ? -bias * static_cast<double>(h + 1) / n
                                      : -bias * static_cast<double>(2 * (h - power) + 1) / (2 * n);
    slopes.push_back(static_cast<float>(std::exp2(exponent)));
  }
  return weights_->Constants(std::move(slopes));
}

// The rows of the table, by distance and head.
Result<uint64_t> PlanCompiler::PositionBias(const AttentionOp& op, uint32_t* reach) {
  if (op.position_bias == kNoWeight) return 0;
  const Weight& table = plan_->weights[static_cast<size_t>(op.position_bias)];
  const quant::TypeTraits& traits = quant::TraitsOf(table.type);
  if (traits.decode == nullptr)
    return MakeError(ErrorCode::kUnsupported, "tensor {} has type {}", table.name, traits.name);
  std::vector<float> rows(static_cast<size_t>(table.rows * table.cols));
  for (int64_t row = 0; row < table.rows; ++row)
    traits.decode(table.Row(0, row), table.cols, rows.data() + row * table.cols);
  std::vector<float> biases;
  for (int64_t h = 0; h < op.heads; ++h) {
    for (int64_t distance = -kBiasReach; distance <= kBiasReach; ++distance) {
      const int64_t row = RelativeBucket(distance, table.rows, !op.causal);
      biases.push_back(rows[static_cast<size_t>(row * table.cols + h)]);
    }
  }
  *reach = static_cast<uint32_t>(kBiasReach);
  return weights_->Constants(std::move(biases));
}

Status PlanCompiler::Add(const AttentionOp& op) {
  bool half = false;
  const int64_t cached_v = op.v_in_k ? 0 : op.v_size;
  const CacheParams cache = CacheFor(op.cache, op.kv_heads, op.k_size, cached_v, &half);
  if (op.k.buffer >= 0) AddStore(op.k, op.v, cache, op.kv_heads, op.k_size, cached_v, half);
  if (partial_slot_ < 0) partial_slot_ = NewSlot({});
  Slot& partial = compiled_.slots[static_cast<size_t>(partial_slot_)];
  partial.fixed_bytes =
      std::max<int64_t>(partial.fixed_bytes, int64_t{kMostSplitTokens} * kMostParts * op.heads *
                                                 (op.v_size + 2) * int64_t{sizeof(float)});
  AttentionParams params{.q = MatrixOf(op.q),
                         .result = MatrixOf(op.out),
                         .cache = cache,
                         .heads = static_cast<uint>(op.heads),
                         .kv_heads = static_cast<uint>(op.kv_heads),
                         .window = static_cast<uint>(op.window),
                         .chunk = static_cast<uint>(op.chunk),
                         .causal = op.causal ? 1u : 0u,
                         .is_cross = op.cross ? 1u : 0u,
                         .selection = static_cast<uint>(op.selection + 1),
                         .partial_slot = static_cast<uint>(partial_slot_),
                         .scale = op.scale,
                         .softcap = op.softcap};
  PUNA_ASSIGN_OR_RETURN(params.sinks, weights_->Floats(op.sinks));
  PUNA_ASSIGN_OR_RETURN(params.slopes, Slopes(op));
  PUNA_ASSIGN_OR_RETURN(params.bias, PositionBias(op, &params.bias_reach));
  const uint32_t record = Record(params), heads = params.heads;
  const uint32_t k_size = static_cast<uint32_t>(op.k_size),
                 v_size = static_cast<uint32_t>(op.v_size);
  const uint32_t in_keys = op.v_in_k ? 1 : 0;
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         const uint32_t constants[] = {kThreads, half ? 1u : 0u, k_size, v_size, in_keys};
         PUNA_RETURN_IF_ERROR(
             to->Dispatch("attention", constants, record, {heads, shape.tokens, shape.parts}, 0));
         if (shape.parts == 1) return {};
         to->Barrier();
         return to->Dispatch("attention_merge", constants, record, {heads, shape.tokens},
                             shape.parts);
       },
       .reads = {op.q},
       .writes = {op.out},
       .hidden = true});
  return {};
}

Status PlanCompiler::Add(const IndexOp& op) {
  bool half = false;
  compiled_.selects_keys = true;
  const CacheParams cache = CacheFor(op.cache, 1, op.size, 0, &half);
  AddStore(op.k, {}, cache, 1, op.size, 0, half);
  const uint32_t record = Record(IndexParams{.q = MatrixOf(op.q),
                                             .weights = MatrixOf(op.weights),
                                             .cache = cache,
                                             .heads = static_cast<uint>(op.heads),
                                             .size = static_cast<uint>(op.size),
                                             .used = static_cast<uint>(op.used),
                                             .selection = static_cast<uint>(op.selection)});
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         const uint32_t constants[] = {kThreads, half ? 1u : 0u};
         PUNA_RETURN_IF_ERROR(to->Dispatch("index_score", constants, record,
                                           {Groups(shape.most_keys, kThreads), shape.tokens}, 0));
         to->Barrier();
         const uint32_t threads[] = {kThreads};
         return to->Dispatch("index_select", threads, record, {Groups(shape.tokens, kThreads)}, 0);
       },
       .reads = {op.q, op.weights},
       .writes = {},
       .hidden = true});
  return {};
}

}  // namespace puna::backend::vulkan
