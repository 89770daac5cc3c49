// Which of the Vulkan devices of a machine a setting takes, and why.
#ifndef PUNA_BACKEND_DEVICE_CHOICE_H_
#define PUNA_BACKEND_DEVICE_CHOICE_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "backend/vulkan/vulkan_backend.h"

namespace puna::backend {

// False if the system shows nothing that could be a discrete GPU. That takes no time, while asking
// drivers takes 0.1 s and 50 MB. `root` stands before /sys, /dev and /proc, for tests.
bool MayHaveDiscreteGpu(const std::filesystem::path& root = "/");

struct DeviceChoice {
  bool used = false;
  std::string why;  // or why not
};

// For each of `devices`, which are those of vulkan::ListDevices. `setting` is a
// BackendOptions::name; what "auto" takes are the discrete GPUs that run the shaders, each once.
std::vector<DeviceChoice> ChooseDevices(std::string_view setting,
                                        const std::vector<vulkan::DeviceInfo>& devices);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_DEVICE_CHOICE_H_
