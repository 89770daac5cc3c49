// A set that is asked for again after it was dropped gets a new key: its old pages are then never
// found again and leave the prefix cache as what nobody uses. That is why keys are counted and not
// computed from the set.
#include "engine/adapter_table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gguf/gguf_guard.h"
#include "model/lora.h"

namespace puna::engine {
namespace {

constexpr size_t kKeptAdapters = 32;
constexpr size_t kKeptSets = 64;
constexpr size_t kMaxAdaptersOfARequest = 32;

}  // namespace

AdapterTable::AdapterTable(const model::ModelConfig* config,
                           std::shared_ptr<const backend::Plan> plan)
    : config_(config), plan_(std::move(plan)) {}

Result<std::shared_ptr<const AdapterSet>> AdapterTable::Find(
    const std::vector<AdapterReference>& references) {
  if (references.empty()) return nullptr;
  const auto known = std::find_if(sets_.begin(), sets_.end(),
                                  [&](const auto& set) { return set->references == references; });
  if (known != sets_.end()) {
    sets_.splice(sets_.begin(), sets_, known);
    return sets_.front();
  }
  if (references.size() > kMaxAdaptersOfARequest) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "{} adapters are applied together, at most {} can be", references.size(),
                     kMaxAdaptersOfARequest);
  }
  auto set = std::make_shared<AdapterSet>();
  set->references = references;
  for (const AdapterReference& reference : references) {
    if (!std::isfinite(reference.scale)) {
      return MakeError(ErrorCode::kInvalidArgument, "the scale of an adapter is {}",
                       reference.scale);
    }
    PUNA_ASSIGN_OR_RETURN(auto adapter, Bind(reference.file));
    set->applied.push_back({adapter.get(), reference.scale});
    set->owners.push_back(std::move(adapter));
  }
  set->key = ++last_key_;
  sets_.push_front(std::move(set));
  DropUnused();
  return sets_.front();
}

Result<std::shared_ptr<const backend::Adapter>> AdapterTable::Bind(
    const std::shared_ptr<const gguf::File>& file) {
  const auto known = std::find_if(ready_.begin(), ready_.end(),
                                  [&](const Ready& ready) { return ready.file == file; });
  if (known != ready_.end()) {
    ready_.splice(ready_.begin(), ready_, known);
    return ready_.front().adapter;
  }
  if (plan_ == nullptr || file == nullptr)
    return MakeError(ErrorCode::kInvalidArgument, "the model takes no adapters");
  gguf::Guard(*file);
  PUNA_ASSIGN_OR_RETURN(auto adapter, model::BindAdapter(*file, *config_, *plan_));
  PUNA_RETURN_IF_ERROR(gguf::CheckReadable(*file));
  ready_.push_front({file, adapter});
  return adapter;
}

// A set holds its adapters, and a sequence its set; whoever is dropped here goes when the last
// sequence lets go.
void AdapterTable::DropUnused() {
  if (sets_.size() > kKeptSets) sets_.pop_back();
  while (ready_.size() > kKeptAdapters) {
    const std::shared_ptr<const backend::Adapter> oldest = ready_.back().adapter;
    std::erase_if(sets_, [&](const auto& set) {
      return set != sets_.front() &&
             std::find(set->owners.begin(), set->owners.end(), oldest) != set->owners.end();
    });
    ready_.pop_back();
  }
}

int64_t AdapterTable::bytes() const {
  int64_t bytes = 0;
  for (const Ready& ready : ready_) bytes += ready.adapter->bytes();
  return bytes;
}

}  // namespace puna::engine
