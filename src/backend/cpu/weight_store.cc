#include "backend/cpu/weight_store.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <span>

#include "backend/cpu/row_source.h"
#include "backend/plan_access.h"
#include "base/check.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// Groups that one worker packs at a time: enough bytes that the shared counter does not matter.
constexpr int64_t kPackChunkBytes = 512 * 1024;
constexpr int64_t kChunksOfATurn = 64;

// Values of a vector that are decoded per weight at most: what is larger belongs into a matrix.
constexpr int64_t kMaxVectorValues = int64_t{1} << 28;

// The weight as it looks after decoding; `values` [rows, cols] of one expert may still be null.
Weight AsFloats(const Weight& weight, const float* values) {
  Weight out = weight;
  out.type = quant::TensorType::kF32;
  out.row_stride_bytes = 0;
  out.file = nullptr;
  out.data = reinterpret_cast<const uint8_t*>(values);
  return out;
}

std::vector<float> DecodeExpert(const Weight& weight, int64_t expert) {
  std::vector<float> values(static_cast<size_t>(weight.rows * weight.cols));
  DecodeRows(weight, expert, 0, weight.rows, values.data());
  return values;
}

int64_t RoomFor(const PackedMatrix& matrix) { return RoundUp(matrix.size_bytes(), 64); }

}  // namespace

WeightStore::WeightStore(const Plan* plan, Isa isa, int64_t exact_below_bytes, bool in_file)
    : plan_(plan), isa_(isa), exact_(FileBytes(*plan) < exact_below_bytes), in_file_(in_file) {}

WeightStore::Key WeightStore::KeyOf(const Weight& weight, int64_t expert) {
  const int64_t row_stride =
      weight.row_stride_bytes != 0 ? weight.row_stride_bytes : weight.RowBytes();
  return {weight.data, weight.type, weight.rows, weight.cols, row_stride, expert};
}

// The format of one expert.
Result<PackedMatrix> WeightStore::Describe(const Weight& weight) const {
  Weight one = weight;
  one.experts = 1;
  const Weight* part = &one;
  return DescribePacked({&part, 1}, isa_);
}

Result<bool> WeightStore::PackedAsFloats(const Weight& weight) const {
  if (!exact_) return false;
  PUNA_ASSIGN_OR_RETURN(const PackedMatrix usual, Describe(weight));
  return usual.input != InputFormat::kF32;
}

Result<const PackedMatrix*> WeightStore::Matrix(WeightId id, int64_t expert) {
  const Weight& w = weight(id);
  const Key key = KeyOf(w, expert);
  auto entry = matrices_.find(key);
  if (entry == matrices_.end()) {
    PUNA_ASSIGN_OR_RETURN(const bool as_floats, PackedAsFloats(w));
    const Weight source = as_floats ? AsFloats(w, nullptr) : w;
    PUNA_ASSIGN_OR_RETURN(PackedMatrix packed, Describe(source));
    entry = matrices_
                .emplace(key, std::make_unique<MatrixEntry>(
                                  MatrixEntry{&w, expert, std::move(packed), as_floats}))
                .first;
    if (!StaysInFile(*entry->second)) bytes_ += RoomFor(entry->second->packed);
  }
  return &entry->second->packed;
}

const PackedMatrix* WeightStore::FindMatrix(WeightId id) const {
  const auto entry = matrices_.find(KeyOf(weight(id), 0));
  return entry == matrices_.end() ? nullptr : &entry->second->packed;
}

Result<const float*> WeightStore::Vector(WeightId id) {
  if (id == kNoWeight) return nullptr;
  const Weight& w = weight(id);
  const quant::TypeTraits& traits = quant::TraitsOf(w.type);
  if (traits.decode == nullptr || w.cols % traits.block_elements != 0) {
    return MakeError(ErrorCode::kUnsupported,
                     "tensor {}: {} values of type {} cannot be read as floats", w.name, w.cols,
                     traits.name);
  }
  int64_t values = 0;
  if (__builtin_mul_overflow(w.rows * w.experts, w.cols, &values) || values > kMaxVectorValues) {
    return MakeError(ErrorCode::kUnsupported, "tensor {}: {} x {} values are too many for a vector",
                     w.name, w.rows * w.experts, w.cols);
  }
  auto [entry, added] = vectors_.try_emplace(KeyOf(w, w.experts));
  if (added) {
    entry->second = {&w, std::vector<float>(static_cast<size_t>(values))};
    bytes_ += values * static_cast<int64_t>(sizeof(float));
  }
  return entry->second.values.data();
}

// One block for all: a block each would leave half of a huge page empty on average.
Status WeightStore::AllocateMatrices() {
  int64_t size = 0;
  for (const auto& [key, entry] : matrices_) {
    if (!StaysInFile(*entry)) size += RoomFor(entry->packed);
  }
  block_ = AlignedBytes(size);
  if (block_.size_bytes() != size) {
    return MakeError(ErrorCode::kResourceExhausted, "no memory for {} bytes of packed weights",
                     size);
  }
  uint8_t* next = block_.data();
  for (auto& [key, entry] : matrices_) {
    if (StaysInFile(*entry)) continue;
    PackedMatrix& packed = entry->packed;
    packed.data = AlignedBytes::Borrow(next, packed.size_bytes());
    next += RoomFor(packed);
  }
  return {};
}

void WeightStore::DecodeVectors() {
  for (auto& [key, entry] : vectors_) {
    const Weight& w = *entry.weight;
    for (int64_t expert = 0; expert < w.experts; ++expert)
      DecodeRows(w, expert, 0, w.rows, entry.values.data() + expert * w.rows * w.cols);
  }
}

Status WeightStore::Load(ThreadPool* pool, TurnMutex* turns,
                         const std::function<bool(int64_t, int64_t)>& progress, bool settle_later) {
  DecodeVectors();
  PUNA_RETURN_IF_ERROR(AllocateMatrices());
  std::vector<Chunk> chunks;
  std::vector<std::vector<float>> decoded;  // the sources of entries that are packed as floats
  int64_t total_bytes = 0;
  for (auto& [key, entry] : matrices_) {
    Weight source = *entry->weight;
    PackedMatrix& packed = entry->packed;
    const bool stays = StaysInFile(*entry), later = settle_later && !entry->as_floats;
    if (entry->as_floats) {
      decoded.push_back(DecodeExpert(source, entry->expert));
      source = AsFloats(source, decoded.back().data());
    }
    if (stays || later) {
      packed.source = entry->weight;
      packed.source_expert = entry->expert;
    }
    if (stays) continue;
    if (!later) {
      total_bytes += packed.size_bytes();
    }
    std::vector<Chunk>& list = later ? later_ : chunks;
    const int64_t per_chunk = TilesAtOnce(packed.tile_bytes, kPackChunkBytes);
    for (int64_t begin = 0; begin < packed.tiles(); begin += per_chunk) {
      list.push_back({&packed, source, entry->as_floats ? 0 : entry->expert, begin,
                      std::min(begin + per_chunk, packed.tiles())});
    }
  }

  std::atomic<int64_t> done_bytes{0};
  std::atomic<bool> cancelled{progress != nullptr && !progress(0, total_bytes)};
  const auto all = static_cast<int64_t>(chunks.size());
  const auto pack_some = [&](Worker& worker, int64_t first) {
    worker.For(std::min(kChunksOfATurn, all - first), [&](int64_t index) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      const Chunk& chunk = chunks[static_cast<size_t>(first + index)];
      const Weight* part = &chunk.source;
      PackTiles({&part, 1}, chunk.expert, chunk.begin, chunk.end, chunk.packed);
      const int64_t bytes = (chunk.end - chunk.begin) * chunk.packed->tile_bytes;
      const int64_t done = done_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
      if (worker.index() == 0 && progress != nullptr && !progress(done, total_bytes))
        cancelled = true;
    });
  };
  for (int64_t first = 0; first < all && !cancelled; first += kChunksOfATurn) {
    const std::lock_guard turn(*turns);
    pool->Run([&](Worker& worker) { pack_some(worker, first); });
  }
  if (progress != nullptr && !cancelled && !progress(total_bytes, total_bytes)) cancelled = true;
  if (cancelled) return MakeError(ErrorCode::kCancelled, "packing of the weights was cancelled");
  return {};
}

bool WeightStore::Settle(ThreadPool* pool, TurnMutex* turns, double seconds) {
  if (later_.empty()) return false;
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (settled_ < later_.size() && Clock::now() < end) {
    const std::span<Chunk> some = std::span(later_).subspan(
        settled_, std::min(static_cast<size_t>(kChunksOfATurn), later_.size() - settled_));
    {
      const std::lock_guard turn(*turns);
      pool->Run([&](Worker& worker) {
        worker.For(static_cast<int64_t>(some.size()), [&](int64_t index) {
          const Chunk& chunk = some[static_cast<size_t>(index)];
          const Weight* part = &chunk.source;
          PackTiles({&part, 1}, chunk.expert, chunk.begin, chunk.end, chunk.packed);
        });
      });
    }
    for (const Chunk& chunk : some) chunk.packed->packed_tiles = chunk.end;
    settled_ += some.size();
  }
  if (settled_ < later_.size()) return true;
  for (auto& [key, entry] : matrices_) entry->packed.source = nullptr;
  later_ = {};
  settled_ = 0;
  return false;
}

}  // namespace puna::backend::cpu
