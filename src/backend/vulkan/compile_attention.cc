// Attention, what is stored for it, and the choice of keys.
#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/plan_access.h"
#include "backend/vulkan/attention_tiles.h"
#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {
namespace {

constexpr uint32_t kThreads = 64;
constexpr int64_t kPage = kPageTokens;

// Beyond so many tokens all keys have one row of a position bias (RelativeBucket).
constexpr int64_t kBiasReach = 129;

constexpr int64_t kMostThreads = 256;
// Partial results of split attention.
constexpr int64_t kPartialBytes = 16 << 20, kMostRecords = 1024;
// A tile of many queries has at least so many tokens, if its heads have to be divided for it.
constexpr int64_t kLeastTokens = 4;

int64_t Group(const AttentionOp& op) { return op.heads / op.kv_heads; }

// What both kernels have in shared memory, in floats for a query.
int64_t FloatsOfQuery(const AttentionOp& op, const KernelSizes& kernel, int64_t planes) {
  return op.k_size + planes * kernel.tile + kernel.tile / 4 + 4;
}

int64_t BytesOfFew(const AttentionOp& op, const KernelSizes& kernel) {
  const int64_t splits = kernel.threads / kernel.tile, subsets = kernel.threads * 8 / op.v_size;
  const int64_t round = op.k_size > 128 ? 1 : std::min<int64_t>(kernel.queries, 4);
  const int64_t floats = kernel.queries * (FloatsOfQuery(op, kernel, splits + 1) + subsets) +
                         round * subsets * op.v_size;
  return floats * int64_t{sizeof(float)};
}

int64_t BytesOfMany(const AttentionOp& op, const KernelSizes& kernel, bool half) {
  return kernel.queries * FloatsOfQuery(op, kernel, 1) * int64_t{sizeof(float)} +
         kernel.tile * std::max(op.k_size, op.v_size) * (half ? 2 : 4);
}

// Both kernels take eight values at a time.
bool InEights(const AttentionOp& op) { return op.k_size % 8 == 0 && op.v_size % 8 == 0; }

// What attention_few.comp is compiled for; without queries it cannot take the op.
KernelSizes FewFor(const AttentionOp& op, const AttentionTuning& tuning) {
  KernelSizes kernel = tuning.few;
  // Long values take more invocations and fewer keys at a time: an invocation holds the values of
  // eight columns and up to eight keys in registers.
  while (op.v_size / 8 > kernel.threads / 4) kernel.threads *= 2;
  while (kernel.tile > 16 && kernel.tile * op.v_size > 64 * kernel.threads) kernel.tile /= 2;
  if (!InEights(op) || kernel.threads > kMostThreads) return {};
  while (kernel.queries > 0 && BytesOfFew(op, kernel) > tuning.shared_bytes) --kernel.queries;
  return kernel;
}

// The same of attention_many.comp.
KernelSizes ManyFor(const AttentionOp& op, const AttentionTuning& tuning, bool half) {
  KernelSizes kernel = tuning.many;
  if (!InEights(op) || op.v_in_k || op.v_size / 8 > kernel.threads) return {};
  while (kernel.queries >= 8) {
    for (kernel.tile = tuning.many.tile; kernel.tile >= 16; kernel.tile /= 2) {
      if (BytesOfMany(op, kernel, half) <= tuning.shared_bytes) return kernel;
    }
    kernel.queries /= 2;
  }
  return {};
}

// How many tokens a tile should have for a kernel.
int64_t TokensFor(const AttentionOp& op, const KernelSizes& kernel) {
  const int64_t queries = kernel.queries;
  return std::max(std::min(queries, kLeastTokens), queries / Group(op));
}

// How the query heads of a key/value head are divided among workgroups.
struct HeadSplit {
  uint32_t heads;   // of a workgroup, at most
  uint32_t groups;  // workgroups, for all key/value heads
};

HeadSplit SplitHeads(const AttentionOp& op, int64_t most_queries, int64_t tokens) {
  const int64_t most = std::max<int64_t>(1, most_queries / tokens);
  const int64_t splits = Groups(Group(op), most);
  return {Groups(Group(op), splits), static_cast<uint32_t>(op.kv_heads * splits)};
}

}  // namespace

bool PlanCompiler::HalfOf(const AttentionOp& op) const {
  return op.cache >= 0 && options_.kv_type != KvType::kF32;
}

// The tiles are those of all ops, so they have the tokens that suit each.
void PlanCompiler::LayOutAttention() {
  AttentionNeeds& needs = compiled_.attention;
  int64_t tokens = INT64_MAX, record = 0, groups = INT64_MAX;
  for (const Op& any : plan_->ops) {
    const auto* op = std::get_if<AttentionOp>(&any);
    if (op == nullptr) continue;
    const KernelSizes few = FewFor(*op, tuning_), many = ManyFor(*op, tuning_, HalfOf(*op));
    if (few.queries == 0) continue;
    tokens = std::min(tokens, TokensFor(*op, many.queries > 0 ? many : few));
    groups = std::min<int64_t>(groups, SplitHeads(*op, few.queries, 1).groups);
    record = std::max<int64_t>(record, op->heads * (op->v_size + 2) * int64_t{sizeof(float)});
    needs.tile = std::max(needs.tile, few.tile);
  }
  if (record == 0) return;
  needs.groups_per_tile = static_cast<uint32_t>(groups);
  needs.tile_tokens = static_cast<uint32_t>(tokens);
  needs.most_records = std::min(kMostRecords, kPartialBytes / record);
  partial_slot_ = NewSlot({.fixed_bytes = needs.most_records * record});
}

CacheParams PlanCompiler::CacheOf(int64_t offset, int64_t kv_heads, int64_t k_size, int64_t v_size,
                                  bool half) const {
  const int64_t value_bytes = half ? 2 : 4;
  const int64_t key_head = (k_size + 7) / 8 * 8 * kPage * value_bytes;
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
                            int64_t kv_heads, int64_t k_size, int64_t v_size, bool half,
                            const RopeOp* rope) {
  StoreParams params{.k = MatrixOf(k),
                     .v = MatrixOf(v),
                     .cache = cache,
                     .kv_heads = static_cast<uint>(kv_heads),
                     .k_size = static_cast<uint>(k_size),
                     .v_size = static_cast<uint>(v_size)};
  if (rope != nullptr) {
    params.rope_table = RopeTableOf(*rope);
    params.rope_pairs = static_cast<uint>(rope->inverse_frequency.size());
    params.rope_offset = static_cast<uint>(rope->head_offset);
    params.rope_interleaved = rope->kind == RopeKind::kInterleaved ? 1 : 0;
  }
  const uint32_t record = Record(params);
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

// The rope of keys that nobody but the cache sees afterwards. One wait less in a layer: the rope of
// the queries is not waited for by the store.
Result<bool> PlanCompiler::AddRotatedKeys(size_t first) {
  if (first + 1 >= plan_->ops.size()) return false;
  const auto* rope = std::get_if<RopeOp>(&plan_->ops[first]);
  const auto* attention = std::get_if<AttentionOp>(&plan_->ops[first + 1]);
  if (rope == nullptr || attention == nullptr || !Same(rope->inout, attention->k) ||
      rope->head_size != attention->k_size)
    return false;
  for (const View& other : {attention->q, attention->v, attention->out}) {
    if (Overlap(other, rope->inout)) return false;
  }
  if (!DeadBehind(first + 1, rope->inout)) return false;
  PUNA_RETURN_IF_ERROR(Add(*attention, rope));
  return true;
}

Status PlanCompiler::Add(const AttentionOp& op, const RopeOp* rope) {
  bool half = false;
  const int64_t cached_v = op.v_in_k ? 0 : op.v_size;
  const CacheParams cache = CacheFor(op.cache, op.kv_heads, op.k_size, cached_v, &half);
  if (op.k.buffer >= 0) AddStore(op.k, op.v, cache, op.kv_heads, op.k_size, cached_v, half, rope);
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
                         .partial_slot = static_cast<uint>(std::max(partial_slot_, 0)),
                         .scale = op.scale,
                         .softcap = op.softcap};
  PUNA_ASSIGN_OR_RETURN(params.sinks, weights_->Floats(op.sinks));
  PUNA_ASSIGN_OR_RETURN(params.slopes, Slopes(op));
  PUNA_ASSIGN_OR_RETURN(params.bias, PositionBias(op, &params.bias_reach));
  AddAttention(op, Record(params), half);
  return {};
}

void PlanCompiler::AddAttention(const AttentionOp& op, uint32_t record, bool half) {
  const uint32_t sizes[] = {half ? 1u : 0u, static_cast<uint32_t>(op.k_size),
                            static_cast<uint32_t>(op.v_size), op.v_in_k ? 1u : 0u};
  const auto heads = static_cast<uint32_t>(op.heads);
  const KernelSizes few = FewFor(op, tuning_);
  Step step{.reads = {op.q}, .writes = {op.out}, .hidden = true};
  if (few.queries == 0) {
    step.record = [=](Recorder* to, const PassShape& shape) -> Status {
      const uint32_t constants[] = {kThreads, sizes[0], sizes[1], sizes[2], sizes[3]};
      return to->Dispatch("attention", constants, record, {heads, shape.tokens}, 0);
    };
    compiled_.steps.push_back(std::move(step));
    return;
  }
  KernelSizes many = ManyFor(op, tuning_, half);
  const char* const several = many.queries > 0 ? "attention_many" : "attention_few";
  if (many.queries == 0) many = few;
  const uint32_t tokens = compiled_.attention.tile_tokens;
  const HeadSplit one = SplitHeads(op, few.queries, 1), some = SplitHeads(op, many.queries, tokens);
  step.record = [=](Recorder* to, const PassShape& shape) -> Status {
    const TileCounts& tiles = shape.tiles;
    const auto attend = [&](const char* shader, const KernelSizes& kernel, uint32_t first,
                            uint32_t count, uint32_t rows, const HeadSplit& split) -> Status {
      if (count == 0) return {};
      const uint32_t constants[] = {kernel.threads, sizes[0],    sizes[1], sizes[2],
                                    sizes[3],       kernel.tile, rows,     split.heads};
      return to->Dispatch(shader, constants, record, {count, split.groups}, first);
    };
    const auto merge = [&](const KernelSizes& kernel, uint32_t first, uint32_t count,
                           uint32_t rows) -> Status {
      if (count == 0) return {};
      const uint32_t constants[] = {kMostParts, sizes[0], sizes[1],
                                    sizes[2],   sizes[3], kernel.tile};
      return to->Dispatch("attention_merge", constants, record, {heads, count, rows}, first);
    };
    PUNA_RETURN_IF_ERROR(attend("attention_few", few, 0, tiles.single, 1, one));
    PUNA_RETURN_IF_ERROR(attend(several, many, tiles.single, tiles.several, tokens, some));
    if (tiles.split_single + tiles.split_several == 0) return {};
    to->Barrier();
    const uint32_t split = tiles.single + tiles.several;
    PUNA_RETURN_IF_ERROR(merge(few, split, tiles.split_single, 1));
    return merge(many, split + tiles.split_single, tiles.split_several, tokens);
  };
  compiled_.steps.push_back(std::move(step));
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
