// Adapters on the device, kept from pass to pass.
#ifndef PUNA_BACKEND_VULKAN_ADAPTER_MEMORY_H_
#define PUNA_BACKEND_VULKAN_ADAPTER_MEMORY_H_

#include <cstdint>
#include <list>
#include <vector>

#include "backend/adapter.h"
#include "backend/backend.h"
#include "backend/vulkan/device.h"
#include "backend/vulkan/op_params.h"

namespace puna::backend::vulkan {

class AdapterMemory {
 public:
  explicit AdapterMemory(Device* device) : device_(device) {}

  // What the adapters of a batch come to. An adapter belongs to the caller, who may make another
  // one in its place: it is known by where all of it lies, and by samples of its values.
  struct Table {
    std::vector<LowRankEntry> entries;  // [weights][segments][adapters]
    uint32_t adapters = 0;              // the most of a segment
    uint32_t most_rank = 0;
  };
  // Takes memory for adapters that are new, and gives up those that were not used for long.
  // REQUIRES: no command is running.
  Result<Table> TableFor(const Batch& batch, size_t weights);

 private:
  struct Resident {
    const Adapter* adapter = nullptr;
    uint64_t fingerprint = 0;
    Buffer buffer;
    std::vector<uint64_t> a, b;  // address of each change
  };
  Result<const Resident*> Find(const Adapter& adapter);

  Device* device_;
  std::list<Resident> residents_;  // the one used last in front
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_ADAPTER_MEMORY_H_
