#include "backend/vulkan/vulkan_api.h"

#include <dlfcn.h>

namespace puna::backend::vulkan {
namespace {

template <typename Function>
void Set(Function* function, PFN_vkVoidFunction found) {
  *function = reinterpret_cast<Function>(found);
}

}  // namespace

Status LoadGlobal(Api* api) {
  // Never closed: drivers leave threads and destructors behind.
  static void* const library = ::dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return MakeError(ErrorCode::kUnsupported,
                     "no Vulkan loader on this machine (libvulkan.so.1, package libvulkan1)");
  }
  api->GetInstanceProcAddr =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(::dlsym(library, "vkGetInstanceProcAddr"));
  if (api->GetInstanceProcAddr == nullptr)
    return MakeError(ErrorCode::kUnsupported, "libvulkan.so.1 has no vkGetInstanceProcAddr");
#define PUNA_VK_LOAD(name) Set(&api->name, api->GetInstanceProcAddr(nullptr, "vk" #name));
  PUNA_VK_GLOBAL_FUNCTIONS(PUNA_VK_LOAD)
#undef PUNA_VK_LOAD
  if (api->EnumerateInstanceVersion == nullptr || api->CreateInstance == nullptr)
    return MakeError(ErrorCode::kUnsupported, "libvulkan.so.1 is older than Vulkan 1.1");
  return {};
}

void LoadInstance(VkInstance instance, Api* api) {
#define PUNA_VK_LOAD(name) Set(&api->name, api->GetInstanceProcAddr(instance, "vk" #name));
  PUNA_VK_INSTANCE_FUNCTIONS(PUNA_VK_LOAD)
#undef PUNA_VK_LOAD
}

void LoadDevice(VkDevice device, Api* api) {
#define PUNA_VK_LOAD(name) Set(&api->name, api->GetDeviceProcAddr(device, "vk" #name));
  PUNA_VK_DEVICE_FUNCTIONS(PUNA_VK_LOAD)
#undef PUNA_VK_LOAD
}

std::string ResultName(VkResult result) {
  switch (result) {
#define PUNA_VK_NAME(name) \
  case name:               \
    return #name;
    PUNA_VK_NAME(VK_TIMEOUT)
    PUNA_VK_NAME(VK_ERROR_OUT_OF_HOST_MEMORY)
    PUNA_VK_NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
    PUNA_VK_NAME(VK_ERROR_INITIALIZATION_FAILED)
    PUNA_VK_NAME(VK_ERROR_DEVICE_LOST)
    PUNA_VK_NAME(VK_ERROR_MEMORY_MAP_FAILED)
    PUNA_VK_NAME(VK_ERROR_LAYER_NOT_PRESENT)
    PUNA_VK_NAME(VK_ERROR_EXTENSION_NOT_PRESENT)
    PUNA_VK_NAME(VK_ERROR_FEATURE_NOT_PRESENT)
    PUNA_VK_NAME(VK_ERROR_INCOMPATIBLE_DRIVER)
    PUNA_VK_NAME(VK_ERROR_TOO_MANY_OBJECTS)
#undef PUNA_VK_NAME
    default:
      return fmt::format("VkResult {}", static_cast<int>(result));
  }
}

tl::unexpected<Error> VulkanError(VkResult result, std::string_view what) {
  ErrorCode code = ErrorCode::kInternal;
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
    code = ErrorCode::kResourceExhausted;
  if (result == VK_ERROR_DEVICE_LOST) code = ErrorCode::kUnavailable;
  return MakeError(code, "{}: {}", what, ResultName(result));
}

}  // namespace puna::backend::vulkan
