// The adapters that an engine has ready, and the sets of them that requests ask for. Binding one
// reads its whole file, so the last used ones stay. Not thread safe.
#ifndef PUNA_ENGINE_ADAPTER_TABLE_H_
#define PUNA_ENGINE_ADAPTER_TABLE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "backend/adapter.h"
#include "base/result.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "model/config.h"

namespace puna::engine {

// What a sequence holds on to while it runs.
struct AdapterSet {
  std::vector<AdapterReference> references;
  std::vector<std::shared_ptr<const backend::Adapter>> owners;
  std::vector<backend::AppliedAdapter> applied;  // in the order of the request
  uint64_t key = 0;  // tells apart what the key/value pages of different sets hold; 0: no adapters
};

// What a batch says of a set, which may be null.
inline std::span<const backend::AppliedAdapter> AppliedOf(const AdapterSet* set) {
  return set == nullptr ? std::span<const backend::AppliedAdapter>() : std::span(set->applied);
}

class AdapterTable {
 public:
  // A null plan: no adapter fits. `config` outlives the table.
  AdapterTable(const model::ModelConfig* config, std::shared_ptr<const backend::Plan> plan);

  // The set for a request; null for none. Errors: see model::BindAdapter.
  Result<std::shared_ptr<const AdapterSet>> Find(const std::vector<AdapterReference>& references);
  // Of all adapters that are ready.
  int64_t bytes() const;

 private:
  struct Ready {
    std::shared_ptr<const gguf::File> file;
    std::shared_ptr<const backend::Adapter> adapter;
  };
  Result<std::shared_ptr<const backend::Adapter>> Bind(
      const std::shared_ptr<const gguf::File>& file);
  void DropUnused();

  const model::ModelConfig* config_;
  std::shared_ptr<const backend::Plan> plan_;
  std::list<Ready> ready_;                             // last used first
  std::list<std::shared_ptr<const AdapterSet>> sets_;  // last used first
  uint64_t last_key_ = 0;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_ADAPTER_TABLE_H_
