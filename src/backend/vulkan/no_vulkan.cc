// In place of all other files of this folder, in a build without Vulkan's headers or glslc.
#include "backend/vulkan/vulkan_backend.h"

namespace puna::backend::vulkan {
namespace {

tl::unexpected<Error> NotBuilt() {
  return MakeError(ErrorCode::kUnsupported,
                   "this puna was built without Vulkan (packages libvulkan-dev and glslc)");
}

}  // namespace

Result<std::vector<DeviceInfo>> ListDevices() { return NotBuilt(); }

Result<std::unique_ptr<Backend>> CreateVulkanBackend(const BackendOptions&, const MatrixOptions&) {
  return NotBuilt();
}

}  // namespace puna::backend::vulkan
