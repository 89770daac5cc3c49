// The functions of Vulkan that puna calls. The loader, libvulkan.so.1, is opened at run time, so
// that the program starts where it is missing.
#ifndef PUNA_BACKEND_VULKAN_VULKAN_API_H_
#define PUNA_BACKEND_VULKAN_VULKAN_API_H_

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <string>

#include "base/result.h"

// Headers older than the extension (1.3.255) lack it.
#ifndef VK_KHR_cooperative_matrix
struct VkCooperativeMatrixPropertiesKHR {
  VkStructureType sType;
  void* pNext;
  uint32_t MSize, NSize, KSize;
  uint32_t AType, BType, CType, ResultType;
  VkBool32 saturatingAccumulation;
  uint32_t scope;
};
struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
  VkStructureType sType;
  void* pNext;
  VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
};
using PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR =
    VkResult(VKAPI_PTR*)(VkPhysicalDevice, uint32_t*, VkCooperativeMatrixPropertiesKHR*);
#endif

namespace puna::backend::vulkan {

inline constexpr auto kCooperativeMatrixFeaturesKhr = static_cast<VkStructureType>(1000506000);
inline constexpr auto kCooperativeMatrixPropertiesKhr = static_cast<VkStructureType>(1000506001);

#define PUNA_VK_GLOBAL_FUNCTIONS(X) \
  X(CreateInstance)                 \
  X(EnumerateInstanceVersion)

// Those of extensions are null where the driver lacks them.
#define PUNA_VK_INSTANCE_FUNCTIONS(X)                \
  X(DestroyInstance)                                 \
  X(EnumeratePhysicalDevices)                        \
  X(EnumerateDeviceExtensionProperties)              \
  X(GetPhysicalDeviceProperties2)                    \
  X(GetPhysicalDeviceFeatures2)                      \
  X(GetPhysicalDeviceMemoryProperties2)              \
  X(GetPhysicalDeviceQueueFamilyProperties)          \
  X(GetPhysicalDeviceCooperativeMatrixPropertiesNV)  \
  X(GetPhysicalDeviceCooperativeMatrixPropertiesKHR) \
  X(CreateDevice)                                    \
  X(GetDeviceProcAddr)

#define PUNA_VK_DEVICE_FUNCTIONS(X) \
  X(DestroyDevice)                  \
  X(GetDeviceQueue)                 \
  X(QueueSubmit)                    \
  X(CreateBuffer)                   \
  X(DestroyBuffer)                  \
  X(GetBufferMemoryRequirements)    \
  X(GetBufferDeviceAddress)         \
  X(AllocateMemory)                 \
  X(FreeMemory)                     \
  X(BindBufferMemory)               \
  X(MapMemory)                      \
  X(CreateShaderModule)             \
  X(DestroyShaderModule)            \
  X(CreatePipelineLayout)           \
  X(DestroyPipelineLayout)          \
  X(CreatePipelineCache)            \
  X(DestroyPipelineCache)           \
  X(GetPipelineCacheData)           \
  X(CreateComputePipelines)         \
  X(DestroyPipeline)                \
  X(CreateCommandPool)              \
  X(DestroyCommandPool)             \
  X(AllocateCommandBuffers)         \
  X(FreeCommandBuffers)             \
  X(BeginCommandBuffer)             \
  X(EndCommandBuffer)               \
  X(CmdBindPipeline)                \
  X(CmdPushConstants)               \
  X(CmdDispatch)                    \
  X(CmdPipelineBarrier)             \
  X(CmdCopyBuffer)                  \
  X(CreateQueryPool)                \
  X(DestroyQueryPool)               \
  X(GetQueryPoolResults)            \
  X(CmdResetQueryPool)              \
  X(CmdWriteTimestamp)              \
  X(CreateFence)                    \
  X(DestroyFence)                   \
  X(ResetFences)                    \
  X(WaitForFences)

// Names without their "vk". Functions of a level are null until that level is loaded.
struct Api {
#define PUNA_VK_MEMBER(name) PFN_vk##name name = nullptr;
  PFN_vkGetInstanceProcAddr GetInstanceProcAddr = nullptr;
  PUNA_VK_GLOBAL_FUNCTIONS(PUNA_VK_MEMBER)
  PUNA_VK_INSTANCE_FUNCTIONS(PUNA_VK_MEMBER)
  PUNA_VK_DEVICE_FUNCTIONS(PUNA_VK_MEMBER)
#undef PUNA_VK_MEMBER
};

// Opens the loader. kUnsupported if there is none.
Status LoadGlobal(Api* api);
void LoadInstance(VkInstance instance, Api* api);
void LoadDevice(VkDevice device, Api* api);

// "VK_ERROR_DEVICE_LOST", or the number of one that puna does not name.
std::string ResultName(VkResult result);
// kResourceExhausted where memory is short, kUnavailable where the device is lost, else kInternal.
[[nodiscard]] tl::unexpected<Error> VulkanError(VkResult result, std::string_view what);

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_VULKAN_API_H_
