// The table of backends and the names of the cache types.
#include "backend/backend.h"

#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

#include "backend/auto_backend.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/device_choice.h"
#include "backend/input_observer.h"
#include "backend/reference/reference.h"
#include "backend/split_backend.h"
#include "backend/vulkan/vulkan_backend.h"

namespace puna::backend {
namespace {

struct KvTypeRow {
  KvType type;
  std::string_view name;
};
constexpr KvTypeRow kKvTypes[] = {
    {KvType::kF32, "f32"}, {KvType::kF16, "f16"}, {KvType::kQ8_0, "q8_0"}};

DeviceAccess AccessThroughDrivers(const BackendOptions& options) {
  return {[]() -> Result<std::vector<vulkan::DeviceInfo>> {
            if (!MayHaveDiscreteGpu()) return std::vector<vulkan::DeviceInfo>();
            return vulkan::ListDevices();
          },
          [options](int index) {
            BackendOptions one = options;
            one.name = fmt::format("vulkan:{}", index);
            return vulkan::CreateVulkanBackend(one);
          }};
}

struct BackendRow {
  std::string_view name;
  bool numbered;  // "name:N" says which of several devices, "name:N,name:M" means more of them
  Result<std::unique_ptr<Backend>> (*create)(const BackendOptions& options,
                                             InputObserver* observer);
};
constexpr BackendRow kBackends[] = {
    {"auto", false,
     [](const BackendOptions& options,
        InputObserver* observer) -> Result<std::unique_ptr<Backend>> {
       PUNA_ASSIGN_OR_RETURN(auto cpu, cpu::CreateCpuBackend(options, observer));
       if (observer != nullptr) return cpu;
       return CreateAutoBackend(AccessThroughDrivers(options), std::move(cpu));
     }},
    {"cpu", false,
     [](const BackendOptions& options, InputObserver* observer) {
       return cpu::CreateCpuBackend(options, observer);
     }},
    {"reference", false,
     [](const BackendOptions&, InputObserver* observer) -> Result<std::unique_ptr<Backend>> {
       return CreateReferenceBackend(observer);
     }},
    {"vulkan", true,
     [](const BackendOptions& options,
        InputObserver* observer) -> Result<std::unique_ptr<Backend>> {
       if (observer != nullptr)
         return MakeError(ErrorCode::kUnsupported, "nothing can be observed on a GPU");
       std::vector<std::unique_ptr<Backend>> devices;
       std::istringstream names(options.name);
       for (BackendOptions one = options; std::getline(names, one.name, ',');) {
         PUNA_ASSIGN_OR_RETURN(auto device, vulkan::CreateVulkanBackend(one));
         devices.push_back(std::move(device));
       }
       PUNA_ASSIGN_OR_RETURN(auto cpu, cpu::CreateCpuBackend(options, nullptr));
       return CreateSplitBackend(std::move(devices), std::move(cpu));
     }},
};

// "a, b, c" of the names in a table.
template <typename Row, size_t size>
std::string Names(const Row (&table)[size]) {
  std::string names;
  for (const Row& row : table) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace

Result<KvType> ParseKvType(std::string_view name) {
  for (const KvTypeRow& row : kKvTypes) {
    if (row.name == name) return row.type;
  }
  return MakeError(ErrorCode::kInvalidArgument, "unknown cache type \"{}\", expected one of {}",
                   name, Names(kKvTypes));
}

std::string_view KvTypeName(KvType type) {
  for (const KvTypeRow& row : kKvTypes) {
    if (row.type == type) return row.name;
  }
  return "unknown";
}

Result<std::unique_ptr<Backend>> CreateBackend(const BackendOptions& options) {
  return CreateObservedBackend(options, nullptr);
}

Result<std::unique_ptr<Backend>> CreateObservedBackend(const BackendOptions& options,
                                                       InputObserver* observer) {
  for (const BackendRow& row : kBackends) {
    const std::string name(row.name);
    const bool numbered = row.numbered && (options.name.starts_with(name + ":") ||
                                           options.name.starts_with(name + ","));
    if (row.name == options.name || numbered) return row.create(options, observer);
  }
  return MakeError(ErrorCode::kInvalidArgument, "unknown backend \"{}\", expected one of {}",
                   options.name, Names(kBackends));
}

}  // namespace puna::backend
