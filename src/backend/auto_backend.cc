#include "backend/auto_backend.h"

#include <mutex>
#include <utility>

#include "backend/device_choice.h"
#include "backend/split_backend.h"
#include "base/log.h"

namespace puna::backend {
namespace {

class AutoBackend final : public Backend {
 public:
  AutoBackend(DeviceAccess access, std::unique_ptr<Backend> cpu)
      : access_(std::move(access)), inner_(std::move(cpu)) {}

  std::string_view name() const override { return Inner().name(); }
  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    return Inner().Compile(std::move(plan), options);
  }
  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    return Inner().Predict(plan, options);
  }
  MemoryUse PredictNow(const Plan& plan, const CompileOptions& options) const override {
    return Inner().PredictNow(plan, options);
  }
  std::vector<DeviceMemory> devices() const override { return Inner().devices(); }

 private:
  Backend& Inner() const {
    std::call_once(looked_, [this] {
      std::vector<std::unique_ptr<Backend>> devices = OpenDevices();
      if (!devices.empty()) inner_ = CreateSplitBackend(std::move(devices), std::move(inner_));
    });
    return *inner_;
  }

  std::vector<std::unique_ptr<Backend>> OpenDevices() const {
    std::vector<std::unique_ptr<Backend>> devices;
    const auto listed = access_.list();
    if (!listed) {
      LogDebug("no devices: {}", listed.error().message);
      return devices;
    }
    const std::vector<DeviceChoice> choices = ChooseDevices("auto", *listed);
    for (size_t i = 0; i < choices.size(); ++i) {
      if (!choices[i].used) continue;
      const vulkan::DeviceInfo& info = (*listed)[i];
      auto device = access_.open(info.index);
      if (device) {
        devices.push_back(*std::move(device));
      } else {
        LogWarning("vulkan:{} {} is left out: {}", info.index, info.name, device.error().message);
      }
    }
    return devices;
  }

  const DeviceAccess access_;
  mutable std::once_flag looked_;
  mutable std::unique_ptr<Backend> inner_;  // at first the CPU alone
};

}  // namespace

std::unique_ptr<Backend> CreateAutoBackend(DeviceAccess access, std::unique_ptr<Backend> cpu) {
  return std::make_unique<AutoBackend>(std::move(access), std::move(cpu));
}

}  // namespace puna::backend
