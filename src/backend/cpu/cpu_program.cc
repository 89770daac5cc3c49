// One Run is one job of the pool: every worker walks through all steps, meeting the others at the
// barriers within them. The memory of activations is one block, as large as the widest batch needs.
// It is laid out for the rows of each batch, so that narrow ones only touch its beginning: where
// nobody reads long prompts, the rest never becomes resident. The buffer that holds the output is
// usually not part of it: it is the caller's memory, so that logits of a large vocabulary are
// neither held for every row that a batch could have nor copied.
#include "backend/cpu/cpu_program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "backend/check_batch.h"
#include "backend/cpu/low_rank.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// Counts up when the layout of a page changes, or what is in it by more than rounding.
constexpr int kPageLayoutVersion = 2;

}  // namespace

CpuProgram::CpuProgram(std::shared_ptr<const Plan> plan, const CompileOptions& options,
                       Machine* machine)
    : plan_(std::move(plan)),
      options_(options),
      machine_(machine),
      weights_(plan_.get(), machine->isa, options.exact_below_bytes, options.weights_in_file) {}

Result<std::unique_ptr<CpuProgram>> CpuProgram::Outline(std::shared_ptr<const Plan> plan,
                                                        const CompileOptions& options,
                                                        Machine* machine) {
  if (options.max_batch_tokens < 1 || options.max_batch_tokens > (1 << 20) ||
      options.kv_pages < 0 || options.kv_pages > INT32_MAX || options.state_slots < 0 ||
      options.state_slots > INT32_MAX) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a batch of {} tokens with {} cache pages and {} state slots is out of range",
                     options.max_batch_tokens, options.kv_pages, options.state_slots);
  }
  std::unique_ptr<CpuProgram> program(new CpuProgram(std::move(plan), options, machine));
  CompileContext context(program->plan_.get(), &program->weights_, program->options_, machine->isa,
                         machine->pool.threads());
  PUNA_ASSIGN_OR_RETURN(program->compiled_, context.Compile());
  program->arena_bytes_ = program->LayOut(options.max_batch_tokens, nullptr);
  return program;
}

Status CpuProgram::Load() {
  PUNA_ASSIGN_OR_RETURN(kv_pool_, KvPool::Reserve(options_.kv_pages, compiled_.kv_page_bytes));
  PUNA_ASSIGN_OR_RETURN(state_pool_,
                        KvPool::Reserve(options_.state_slots, compiled_.state_slot_bytes));
  const auto* other = dynamic_cast<const CpuProgram*>(options_.activations_of);
  options_.activations_of = nullptr;
  if (other != nullptr && other->arena_bytes_ >= arena_bytes_) {
    arena_ = other->arena_;
  } else {
    arena_ = std::make_shared<AlignedBytes>(arena_bytes_);
  }
  if (arena_->size_bytes() < arena_bytes_) {
    return MakeError(ErrorCode::kResourceExhausted, "no memory for {} bytes of activations",
                     arena_bytes_);
  }
  query_blocks_.resize(compiled_.query_block_lists.size());
  for (std::vector<QueryBlock>& blocks : query_blocks_)
    blocks.reserve(static_cast<size_t>(options_.max_batch_tokens));
  return weights_.Load(&machine_->pool, &machine_->mutex, options_.progress, options_.settle_later);
}

bool CpuProgram::Settle(double seconds) {
  return weights_.Settle(&machine_->pool, &machine_->mutex, seconds);
}

int64_t CpuProgram::LayOut(int64_t rows, uint8_t* base) {
  laid_out_rows_ = base == nullptr ? 0 : rows;
  int64_t bytes = 0;
  auto take = [&](int64_t size_bytes) {
    uint8_t* taken = base == nullptr ? nullptr : base + bytes;
    bytes += RoundUp(size_bytes, 64);
    return taken;
  };
  auto take_floats = [&](int64_t count) {
    return reinterpret_cast<float*>(take(count * static_cast<int64_t>(sizeof(float))));
  };

  float* buffers = take_floats(rows * compiled_.buffers.row);
  buffers_.clear();
  for (const int64_t offset : compiled_.buffers.offsets)
    buffers_.push_back(buffers == nullptr ? nullptr : buffers + rows * offset);
  buffer_strides_ = compiled_.buffers.strides;
  if (compiled_.output_in_place) {
    const auto output = static_cast<size_t>(plan_->output.buffer);
    buffer_strides_[output] = plan_->buffer_widths[output];
  }
  positions_ = {reinterpret_cast<int64_t*>(take(rows * 8)), static_cast<size_t>(rows)};
  segments_ = {reinterpret_cast<int32_t*>(take(rows * 4)), static_cast<size_t>(rows)};
  key_pages_ = {reinterpret_cast<int64_t*>(take((rows + 1) * 8)), static_cast<size_t>(rows + 1)};
  for (RopeTable& table : compiled_.rope_tables) {
    table.cos = take_floats(rows * table.pairs);
    table.sin = take_floats(rows * table.pairs);
  }
  for (RouteSlot& slot : compiled_.routes) {
    slot.chosen = reinterpret_cast<int32_t*>(take(rows * slot.used * 4));
    slot.weights = take_floats(rows * slot.used);
  }
  // Keys are those of a sequence or, without a cache, of a segment; one word more, because blocks
  // of keys need not begin at a word.
  selection_words_ = std::max(options_.kv_pages * kPageTokens, rows) / 64 + 2;
  selections_.assign(static_cast<size_t>(plan_->selections), nullptr);
  for (uint64_t*& bits : selections_) {
    bits = reinterpret_cast<uint64_t*>(take(rows * selection_words_ * 8));
  }
  int64_t shared_bytes = 0;
  compiled_.low_rank_slots = 0;
  worker_scratch_bytes_ = 0;
  for (const auto& step : compiled_.steps) {
    shared_bytes = std::max(shared_bytes, step->shared_scratch_bytes);
    compiled_.low_rank_slots = std::max(compiled_.low_rank_slots, step->low_rank_slots);
    worker_scratch_bytes_ =
        std::max(worker_scratch_bytes_, RoundUp(step->worker_scratch_bytes, 64));
  }
  worker_scratch_ = take(worker_scratch_bytes_ * machine_->pool.threads());
  shared_scratch_ = take(shared_bytes);
  return bytes;
}

MemoryUse CpuProgram::memory_use() const {
  const int64_t block_bytes =
      static_cast<int64_t>(compiled_.query_block_lists.size() * sizeof(QueryBlock));
  return {.weights = weights_.bytes(),
          .kv_page = compiled_.kv_page_bytes,
          .state_slot = compiled_.state_slot_bytes,
          .activations = arena_bytes_ + block_bytes * options_.max_batch_tokens};
}

int64_t CpuProgram::untouched_bytes() const {
  return arena_ != nullptr && arena_->is_mapped() ? arena_bytes_ - touched_bytes_ : 0;
}

void CpuProgram::ReleaseActivations() {
  arena_->Release();
  touched_bytes_ = 0;
  laid_out_rows_ = 0;
}

std::string CpuProgram::Describe() const {
  const int threads = machine_->pool.threads();
  return fmt::format("cpu {}, {} thread{}", IsaName(machine_->isa), threads,
                     threads == 1 ? "" : "s");
}

void CpuProgram::FillRows(const Batch& batch) {
  key_pages_[0] = 0;
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    const Segment& segment = batch.segments[s];
    key_pages_[s + 1] = key_pages_[s] + DivideUp(segment.tokens, kPageTokens);
    for (int64_t i = 0; i < segment.tokens; ++i) {
      positions_[static_cast<size_t>(segment.first_row + i)] = segment.start_position + i;
      segments_[static_cast<size_t>(segment.first_row + i)] = static_cast<int32_t>(s);
    }
  }
  for (size_t list = 0; list < query_blocks_.size(); ++list) {
    query_blocks_[list].clear();
    const auto add = [&](int64_t row) {
      AddToBlocks(batch, row, compiled_.query_block_lists[list].tokens, &query_blocks_[list]);
    };
    if (compiled_.query_block_lists[list].outputs_only) {
      for (const int32_t row : batch.output_rows) add(row);
    } else {
      for (int64_t row = 0; row < static_cast<int64_t>(batch.tokens.size()); ++row) add(row);
    }
  }
}

void CpuProgram::AddToBlocks(const Batch& batch, int64_t row, int64_t most,
                             std::vector<QueryBlock>* blocks) const {
  const int32_t segment = segments_[static_cast<size_t>(row)];
  const auto token =
      static_cast<int32_t>(row - batch.segments[static_cast<size_t>(segment)].first_row);
  if (!blocks->empty()) {
    QueryBlock& last = blocks->back();
    if (last.segment == segment && last.first_token + last.tokens == token && last.tokens < most) {
      ++last.tokens;
      return;
    }
  }
  blocks->push_back({segment, token, 1});
}

void CpuProgram::FillRopeTables(const Pass& pass, Worker& worker) const {
  constexpr int64_t kRows = 16;
  if (pass.rope_tables.empty()) return;
  const int64_t rows = pass.rows[0];
  worker.For((rows + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t row = block * kRows; row < std::min(rows, (block + 1) * kRows); ++row) {
      const auto position = static_cast<double>(pass.positions[static_cast<size_t>(row)]);
      for (const RopeTable& table : pass.rope_tables) {
        for (int64_t i = 0; i < table.pairs; ++i) {
          const double angle = position * table.inverse_frequency[i];
          table.cos[row * table.pairs + i] = static_cast<float>(std::cos(angle) * table.magnitude);
          table.sin[row * table.pairs + i] = static_cast<float>(std::sin(angle) * table.magnitude);
        }
      }
    }
  });
}

Status CpuProgram::Run(const Batch& batch, std::span<float> out) {
  CheckBatch(*plan_, options_, batch);
  CHECK(!batch.tokens.empty()) << "an empty batch";
  const int64_t output_rows = OutputRows(*plan_, batch);
  CHECK(static_cast<int64_t>(out.size()) == output_rows * plan_->output.width) << out.size();
  const std::lock_guard lock(machine_->mutex);
  const auto rows = static_cast<int64_t>(batch.tokens.size());
  if (rows != laid_out_rows_)
    touched_bytes_ = std::max(touched_bytes_, LayOut(rows, arena_->data()));
  CHECK(touched_bytes_ <= arena_bytes_);
  FillRows(batch);
  Pass pass;
  pass.batch = &batch;
  pass.ops = &VectorOpsOf(machine_->isa);
  pass.observer = machine_->observer;
  pass.rows[static_cast<int>(RowKind::kTokens)] = rows;
  pass.rows[static_cast<int>(RowKind::kOutputs)] = static_cast<int64_t>(batch.output_rows.size());
  pass.rows[static_cast<int>(RowKind::kSegments)] = static_cast<int64_t>(batch.segments.size());
  const View& output = plan_->output;
  if (compiled_.output_in_place) buffers_[static_cast<size_t>(output.buffer)] = out.data();
  pass.buffers = buffers_;
  pass.buffer_strides = buffer_strides_;
  pass.positions = positions_;
  pass.segments = segments_;
  pass.key_pages = key_pages_.first(batch.segments.size() + 1);
  pass.routes = compiled_.routes;
  pass.selections = selections_;
  pass.selection_words = selection_words_;
  pass.rope_tables = compiled_.rope_tables;
  pass.query_blocks = query_blocks_;
  pass.kv_pool = kv_pool_.data();
  pass.kv_page_bytes = compiled_.kv_page_bytes;
  pass.state_pool = reinterpret_cast<float*>(state_pool_.data());
  pass.state_slot_floats = compiled_.state_slot_bytes / static_cast<int64_t>(sizeof(float));
  pass.shared_scratch = shared_scratch_;
  pass.worker_scratch = worker_scratch_;
  pass.worker_scratch_bytes = worker_scratch_bytes_;
  pass.low_rank.slot_floats = LowRankSlotFloats(batch);
  low_rank_.resize(static_cast<size_t>(pass.low_rank.slot_floats * compiled_.low_rank_slots *
                                       static_cast<int64_t>(batch.tokens.size())));
  pass.low_rank.values = low_rank_.data();
  const View& input = plan_->input;
  for (int64_t row = 0; input.buffer >= 0 && row < pass.RowsOf(RowKind::kTokens); ++row)
    std::copy_n(batch.input.begin() + row * input.width, input.width, pass.Row(input, row));
  const std::span<const std::unique_ptr<Step>> all(compiled_.steps);
  const auto steps =
      batch.encodes ? all.first(compiled_.encoder_steps) : all.subspan(compiled_.encoder_steps);
  machine_->pool.Run([&](Worker& worker) {
    FillRopeTables(pass, worker);
    for (const auto& step : steps) step->Run(pass, worker);
  });
  if (compiled_.output_in_place || batch.encodes) return {};
  for (int64_t i = 0; i < output_rows; ++i) {
    const int64_t row =
        compiled_.output_rows == RowKind::kTokens ? batch.output_rows[static_cast<size_t>(i)] : i;
    std::memcpy(out.data() + i * output.width, pass.Row(output, row),
                static_cast<size_t>(output.width) * sizeof(float));
  }
  return {};
}

// Copies whole tiles: what lies behind the first `tokens` is not visible to anybody until it is
// written again.
void CpuProgram::CopyPage(int32_t from, int32_t to, int64_t tokens) {
  if (plan_->cache_layers.empty())
    return;  // a sequence of states alone counts pages, but they hold nothing
  CHECK(from >= 0 && from < kv_pool_.pages() && to >= 0 && to < kv_pool_.pages())
      << from << " to " << to;
  CHECK(tokens >= 0 && tokens <= kPageTokens) << tokens;
  if (from == to || tokens == 0) return;
  std::memcpy(kv_pool_.page(to), kv_pool_.page(from), static_cast<size_t>(compiled_.kv_page_bytes));
}

std::span<uint8_t> CpuProgram::PageBytes(int32_t page) {
  CHECK(page >= 0 && page < kv_pool_.pages()) << page;
  return {kv_pool_.page(page), static_cast<size_t>(compiled_.kv_page_bytes)};
}

// What kernels compute differs in the last bits from one instruction set to another.
std::string CpuProgram::PageFormat() const {
  return fmt::format("cpu {} {} {}", IsaName(machine_->isa), KvTypeName(options_.kv_type),
                     kPageLayoutVersion);
}

void CpuProgram::ReleasePage(int32_t page) {
  if (plan_->cache_layers.empty()) return;
  CHECK(page >= 0 && page < kv_pool_.pages()) << page;
  kv_pool_.Release(page);
}

}  // namespace puna::backend::cpu
