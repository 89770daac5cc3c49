// Devices that are looked for when the first plan is compiled, and the CPU where there are none.
#ifndef PUNA_BACKEND_AUTO_BACKEND_H_
#define PUNA_BACKEND_AUTO_BACKEND_H_

#include <functional>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/vulkan/vulkan_backend.h"

namespace puna::backend {

// How devices are reached: through their drivers, or in tests otherwise.
struct DeviceAccess {
  std::function<Result<std::vector<vulkan::DeviceInfo>>()> list;
  std::function<Result<std::unique_ptr<Backend>>(int index)> open;
};

// Computes on what ChooseDevices ("auto") takes, sharing layers with the CPU as a split backend
// does. `access` is asked once, by the first call of any function; a device that cannot be opened
// is left out with a warning in the log, and without any it is as if `cpu` were used.
std::unique_ptr<Backend> CreateAutoBackend(DeviceAccess access, std::unique_ptr<Backend> cpu);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_AUTO_BACKEND_H_
