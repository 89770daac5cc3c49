// The instance, and what its devices say of themselves.
#include <algorithm>

#include "backend/vulkan/device.h"
#include "base/check.h"
#include "base/hex.h"

namespace puna::backend::vulkan {
namespace {

std::string KindName(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return "software";
    default:
      return "other";
  }
}

// What the shaders need beyond what every device of Vulkan 1.2 has.
std::string Lacks(const VkPhysicalDeviceProperties& properties,
                  const VkPhysicalDeviceSubgroupProperties& subgroup,
                  const VkPhysicalDeviceFeatures2& features,
                  const VkPhysicalDeviceVulkan11Features& features11,
                  const VkPhysicalDeviceVulkan12Features& features12) {
  std::string lacks;
  const auto require = [&](bool has, const char* name) {
    if (!has) lacks += (lacks.empty() ? "no " : ", ") + std::string(name);
  };
  require(properties.apiVersion >= VK_API_VERSION_1_2, "Vulkan 1.2");
  require(features.features.shaderInt64 == VK_TRUE, "64-bit integers");
  require(features11.storageBuffer16BitAccess == VK_TRUE, "16-bit storage");
  require(features12.storageBuffer8BitAccess == VK_TRUE, "8-bit storage");
  require(features12.scalarBlockLayout == VK_TRUE, "scalar block layout");
  require(features12.bufferDeviceAddress == VK_TRUE, "buffer device addresses");
  require(properties.limits.maxComputeWorkGroupInvocations >= 512, "workgroups of 512");
  require((subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
              (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) != 0,
          "subgroup arithmetic");
  return lacks;
}

// The largest heap that is local to the device, and what is left of it.
void DescribeMemory(const Api& api, VkPhysicalDevice physical, DeviceInfo* info) {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
  api.GetPhysicalDeviceMemoryProperties2(physical, &memory);
  for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
    const auto size = static_cast<int64_t>(heap.size);
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0 || size <= info->memory_bytes) continue;
    info->memory_bytes = size;
    // A driver without the extension leaves the budget at 0.
    info->available_bytes = budget.heapBudget[i] == 0
                                ? size
                                : static_cast<int64_t>(budget.heapBudget[i]) -
                                      static_cast<int64_t>(budget.heapUsage[i]);
  }
}

}  // namespace

Result<std::shared_ptr<Instance>> Instance::Get() {
  static std::mutex mutex;
  static std::weak_ptr<Instance> shared;
  const std::lock_guard lock(mutex);
  if (auto instance = shared.lock()) return instance;
  auto instance = std::make_shared<Instance>();
  Api& api = instance->api;
  PUNA_RETURN_IF_ERROR(LoadGlobal(&api));
  uint32_t version = 0;
  api.EnumerateInstanceVersion(&version);
  const VkApplicationInfo application{.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .pApplicationName = "puna",
                                      .apiVersion = VK_API_VERSION_1_2};
  const VkInstanceCreateInfo create{.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                    .pApplicationInfo = &application};
  VkResult result = api.CreateInstance(&create, nullptr, &instance->handle);
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
    return MakeError(ErrorCode::kUnsupported, "no Vulkan driver on this machine");
  if (result != VK_SUCCESS) return VulkanError(result, "starting Vulkan");
  LoadInstance(instance->handle, &api);
  uint32_t count = 0;
  result = api.EnumeratePhysicalDevices(instance->handle, &count, nullptr);
  instance->devices.resize(count);
  if (result == VK_SUCCESS)
    result = api.EnumeratePhysicalDevices(instance->handle, &count, instance->devices.data());
  if (result != VK_SUCCESS && result != VK_INCOMPLETE)
    return VulkanError(result, "listing the Vulkan devices");
  instance->devices.resize(count);
  shared = instance;
  return instance;
}

Instance::~Instance() {
  if (handle != VK_NULL_HANDLE) api.DestroyInstance(handle, nullptr);
}

DeviceInfo Describe(const Api& api, VkPhysicalDevice physical, int index) {
  VkPhysicalDeviceMaintenance3Properties maintenance{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &maintenance};
  VkPhysicalDeviceDriverProperties driver{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &subgroup};
  VkPhysicalDeviceIDProperties ids{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                   .pNext = &driver};
  VkPhysicalDeviceProperties2 all{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                  .pNext = &ids};
  api.GetPhysicalDeviceProperties2(physical, &all);
  VkPhysicalDeviceVulkan11Features features11{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES};
  VkPhysicalDeviceVulkan12Features features12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &features11};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &features12};
  api.GetPhysicalDeviceFeatures2(physical, &features);
  const VkPhysicalDeviceProperties& properties = all.properties;

  DeviceInfo info;
  info.index = index;
  info.name = properties.deviceName;
  info.driver = fmt::format("{} {}", driver.driverName, driver.driverInfo);
  info.kind = KindName(properties.deviceType);
  info.software = properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  info.id += WriteHex(ids.deviceUUID);
  info.api_version = fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(properties.apiVersion),
                                 VK_API_VERSION_MINOR(properties.apiVersion),
                                 VK_API_VERSION_PATCH(properties.apiVersion));
  info.unfit = Lacks(properties, subgroup, features, features11, features12);
  info.largest_allocation_bytes =
      static_cast<int64_t>(std::min<VkDeviceSize>(maintenance.maxMemoryAllocationSize, INT64_MAX));
  info.largest_binding_bytes = properties.limits.maxStorageBufferRange;
  info.subgroup_size = static_cast<int>(subgroup.subgroupSize);
  info.shared_memory_bytes = properties.limits.maxComputeSharedMemorySize;
  info.timestamp_ns = static_cast<double>(properties.limits.timestampPeriod);
  DescribeMemory(api, physical, &info);
  return info;
}

Result<std::vector<DeviceInfo>> ListDevices() {
  PUNA_ASSIGN_OR_RETURN(const std::shared_ptr<Instance> instance, Instance::Get());
  std::vector<DeviceInfo> devices;
  for (const VkPhysicalDevice physical : instance->devices) {
    devices.push_back(Describe(instance->api, physical, static_cast<int>(devices.size())));
    devices.back().matrices = FindMatrixUnit(instance->api, physical).Describe();
    FindInt8Dots(instance->api, physical, &devices.back());
  }
  return devices;
}

}  // namespace puna::backend::vulkan
