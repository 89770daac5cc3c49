#include "backend/vulkan/vulkan_backend.h"

#include <charconv>
#include <mutex>

#include "backend/vulkan/device.h"
#include "backend/vulkan/vulkan_program.h"

namespace puna::backend::vulkan {
namespace {

Result<std::shared_ptr<Device>> OpenDevice(int index, const std::filesystem::path& cache_folder,
                                           const MatrixOptions& matrices) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<Device> device, Device::Open(index, cache_folder));
  PUNA_ASSIGN_OR_RETURN(const MatrixUnit unit,
                        Adjust(device->matrices(), device->info(), matrices));
  device->set_matrices(unit);
  return device;
}

// A workgroup that takes more leaves too little for others beside it.
constexpr int64_t kMostSharedBytes = 48 << 10;

// What is unrolled for many queries takes a software device long to compile, and gains it nothing.
AttentionTuning TuningFor(const DeviceInfo& info) {
  AttentionTuning tuning;
  tuning.shared_bytes = std::min(info.shared_memory_bytes, kMostSharedBytes);
  if (info.software) tuning.few.queries = 4;
  return tuning;
}

class VulkanBackend final : public Backend {
 public:
  VulkanBackend(std::shared_ptr<Device> device, std::filesystem::path cache_folder,
                const MatrixOptions& matrices)
      : cache_folder_(std::move(cache_folder)),
        matrices_(matrices),
        tuning_(TuningFor(device->info())),
        device_(std::move(device)) {}
  std::string_view name() const override { return "vulkan"; }

  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    PUNA_ASSIGN_OR_RETURN(auto device, WorkingDevice());
    PUNA_ASSIGN_OR_RETURN(
        auto program, VulkanProgram::Load(std::move(plan), options, std::move(device), tuning_));
    return std::unique_ptr<Program>(std::move(program));
  }

  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    return PredictMemory(plan, options, tuning_).value_or(MemoryUse{});
  }

  std::vector<DeviceMemory> devices() const override {
    const std::lock_guard lock(mutex_);
    const DeviceInfo& info = device_->info();
    return {{device_->AvailableBytes(), info.software || info.kind == "integrated"}};
  }

 private:
  // A device that was lost is opened anew; programs that have it keep it, and fail.
  Result<std::shared_ptr<Device>> WorkingDevice() {
    const std::lock_guard lock(mutex_);
    if (!device_->failure()) {
      PUNA_ASSIGN_OR_RETURN(device_, OpenDevice(device_->info().index, cache_folder_, matrices_));
    }
    return device_;
  }

  const std::filesystem::path cache_folder_;
  const MatrixOptions matrices_;
  const AttentionTuning tuning_;
  mutable std::mutex mutex_;
  std::shared_ptr<Device> device_;
};

// N of "vulkan:N"; -1 of "vulkan".
Result<int> IndexOf(std::string_view name) {
  constexpr std::string_view kPrefix = "vulkan:";
  if (name == "vulkan") return -1;
  int index = 0;
  const std::string_view digits = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "";
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || index < 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "\"{}\" names no device, expected vulkan or vulkan:N", name);
  }
  return index;
}

}  // namespace

Result<std::unique_ptr<Backend>> CreateVulkanBackend(const BackendOptions& options,
                                                     const MatrixOptions& matrices) {
  PUNA_ASSIGN_OR_RETURN(const int index, IndexOf(options.name));
  PUNA_ASSIGN_OR_RETURN(auto device, OpenDevice(index, options.cache_folder, matrices));
  return std::make_unique<VulkanBackend>(std::move(device), options.cache_folder, matrices);
}

}  // namespace puna::backend::vulkan
