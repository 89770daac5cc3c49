// How long the dispatches of passes take on the device, by shader, constants and grid. For
// engineers: where PUNA_VULKAN_TIMES is set a table goes to the standard error when a program is
// destroyed. Dispatches that run beside each other share their time, and measuring makes passes
// slower.
#ifndef PUNA_BACKEND_VULKAN_PASS_TIMES_H_
#define PUNA_BACKEND_VULKAN_PASS_TIMES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "backend/vulkan/device.h"

namespace puna::backend::vulkan {

class PassTimes {
 public:
  explicit PassTimes(Device* device);
  ~PassTimes();
  static bool wanted();

  // While commands are recorded.
  void Begin(VkCommandBuffer commands);
  void Add(VkCommandBuffer commands, std::string name);
  // Names of what was recorded last; goes with the commands.
  std::vector<std::string> TakeNames() { return std::move(names_); }
  // After commands that were recorded so have run.
  void Read(const std::vector<std::string>& names, uint32_t tokens);

 private:
  struct Sum {
    int64_t count = 0;
    double ns = 0;
  };
  Device* device_;
  double ns_per_tick_;
  VkQueryPool pool_ = VK_NULL_HANDLE;
  std::vector<std::string> names_;
  std::map<std::string, Sum> sums_;
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_PASS_TIMES_H_
