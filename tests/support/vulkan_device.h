// A Vulkan device for tests: the first GPU, else a software device (Mesa's lavapipe). One backend
// for all tests of a program, so that pipelines are compiled once. It is the device alone: what it
// cannot do fails, instead of going to the CPU.
#ifndef TESTS_SUPPORT_VULKAN_DEVICE_H_
#define TESTS_SUPPORT_VULKAN_DEVICE_H_

#include <memory>
#include <string>

#include "backend/backend.h"
#include "backend/vulkan/vulkan_backend.h"

namespace puna::testing {

inline Result<backend::vulkan::DeviceInfo> VulkanDeviceForTests() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return MakeError(ErrorCode::kUnsupported, "drivers are not built for sanitizers");
#endif
  PUNA_ASSIGN_OR_RETURN(const auto devices, backend::vulkan::ListDevices());
  for (const bool software : {false, true}) {
    for (const backend::vulkan::DeviceInfo& device : devices) {
      if (device.software == software && device.unfit.empty()) return device;
    }
  }
  return MakeError(ErrorCode::kNotFound, "none of {} Vulkan devices runs the shaders",
                   devices.size());
}

inline Result<std::unique_ptr<backend::Backend>> OpenVulkanDevice() {
  PUNA_ASSIGN_OR_RETURN(const backend::vulkan::DeviceInfo device, VulkanDeviceForTests());
  return backend::vulkan::CreateVulkanBackend({.name = "vulkan:" + std::to_string(device.index)});
}

inline const Result<std::unique_ptr<backend::Backend>>& VulkanBackendForTests() {
  static const auto* const backend =
      new Result<std::unique_ptr<backend::Backend>>(OpenVulkanDevice());
  return *backend;
}

}  // namespace puna::testing

// In a test: `name` is a Backend*, or the test is skipped and says why.
#define PUNA_VULKAN_OR_SKIP(name)                                   \
  const auto& name##_or = ::puna::testing::VulkanBackendForTests(); \
  if (!name##_or) GTEST_SKIP() << name##_or.error().message;        \
  ::puna::backend::Backend* const name = name##_or->get()

#endif  // TESTS_SUPPORT_VULKAN_DEVICE_H_
