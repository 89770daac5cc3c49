#include "backend/vulkan/adapter_memory.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace puna::backend::vulkan {
namespace {

// Beside those of the pass at hand.
constexpr size_t kMostKept = 8;

// FNV-1a of 64 bits, a word at a time.
void Mix(uint64_t word, uint64_t* hash) { *hash = (*hash ^ word) * 0x100000001b3; }

void MixSamples(const std::vector<float>& values, uint64_t* hash) {
  constexpr size_t kSamples = 16;
  Mix(reinterpret_cast<uintptr_t>(values.data()), hash);
  Mix(values.size(), hash);
  const size_t step = std::max<size_t>(1, values.size() / kSamples);
  for (size_t i = 0; i < values.size(); i += step) Mix(std::bit_cast<uint32_t>(values[i]), hash);
}

uint64_t Fingerprint(const Adapter& adapter) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const LowRankChange& change : adapter.changes) {
    Mix(static_cast<uint64_t>(change.weight), &hash);
    Mix(static_cast<uint64_t>(change.rank), &hash);
    MixSamples(change.a, &hash);
    MixSamples(change.b, &hash);
  }
  return hash;
}

std::span<const uint8_t> Bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace

Result<const AdapterMemory::Resident*> AdapterMemory::Find(const Adapter& adapter) {
  const uint64_t fingerprint = Fingerprint(adapter);
  const auto found = std::ranges::find(residents_, &adapter, &Resident::adapter);
  if (found != residents_.end() && found->fingerprint == fingerprint) {
    residents_.splice(residents_.begin(), residents_, found);
    return &residents_.front();
  }
  if (found != residents_.end()) residents_.erase(found);
  Resident resident;
  resident.adapter = &adapter;
  resident.fingerprint = fingerprint;
  PUNA_ASSIGN_OR_RETURN(resident.buffer, device_->Allocate(adapter.bytes(), MemoryKind::kDevice));
  int64_t offset = 0;
  const auto write = [&](const std::vector<float>& values) -> Result<uint64_t> {
    PUNA_RETURN_IF_ERROR(device_->Write(resident.buffer, offset, Bytes(values)));
    const uint64_t address = resident.buffer.address() + static_cast<uint64_t>(offset);
    offset += static_cast<int64_t>(Bytes(values).size());
    return address;
  };
  for (const LowRankChange& change : adapter.changes) {
    PUNA_ASSIGN_OR_RETURN(const uint64_t a, write(change.a));
    PUNA_ASSIGN_OR_RETURN(const uint64_t b, write(change.b));
    resident.a.push_back(a);
    resident.b.push_back(b);
  }
  residents_.push_front(std::move(resident));
  return &residents_.front();
}

Result<AdapterMemory::Table> AdapterMemory::TableFor(const Batch& batch, size_t weights) {
  Table table;
  std::vector<const Adapter*> used;
  for (const Segment& segment : batch.segments) {
    table.adapters = std::max(table.adapters, static_cast<uint32_t>(segment.adapters.size()));
    for (const AppliedAdapter& applied : segment.adapters) used.push_back(applied.adapter);
  }
  while (!residents_.empty() && residents_.size() > kMostKept &&
         std::ranges::find(used, residents_.back().adapter) == used.end()) {
    residents_.pop_back();
  }
  if (table.adapters == 0) return table;
  table.entries.resize(weights * batch.segments.size() * table.adapters);
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    const auto adapters = batch.segments[s].adapters;
    for (size_t i = 0; i < adapters.size(); ++i) {
      const Adapter& adapter = *adapters[i].adapter;
      PUNA_ASSIGN_OR_RETURN(const Resident* resident, Find(adapter));
      for (size_t weight = 0; weight < weights; ++weight) {
        const int change = adapter.by_weight[weight];
        if (change < 0) continue;
        const auto rank = static_cast<uint32_t>(adapter.changes[static_cast<size_t>(change)].rank);
        table.most_rank = std::max(table.most_rank, rank);
        table.entries[(weight * batch.segments.size() + s) * table.adapters + i] = {
            resident->a[static_cast<size_t>(change)], resident->b[static_cast<size_t>(change)],
            rank, adapters[i].scale};
      }
    }
  }
  return table;
}

}  // namespace puna::backend::vulkan
