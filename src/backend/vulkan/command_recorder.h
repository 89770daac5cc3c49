// Dispatches of a pass, put into a command buffer.
#ifndef PUNA_BACKEND_VULKAN_COMMAND_RECORDER_H_
#define PUNA_BACKEND_VULKAN_COMMAND_RECORDER_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/vulkan/device.h"
#include "backend/vulkan/op_params.h"
#include "backend/vulkan/pass_times.h"
#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {

// Of one command buffer that is being recorded. `records` and `pass`: addresses of the records of
// the plan and of the pass block; `times`: null, or where dispatches are timed.
class CommandRecorder final : public Recorder {
 public:
  CommandRecorder(Device* device, VkCommandBuffer commands, uint64_t records, uint64_t pass,
                  PassTimes* times = nullptr)
      : device_(device), commands_(commands), records_(records), pass_(pass), times_(times) {}

  Status Dispatch(std::string_view shader, std::span<const uint32_t> constants, uint32_t record,
                  Grid grid, uint32_t number) override;
  Status DispatchLater(std::string_view shader, std::span<const uint32_t> constants,
                       uint32_t record, Grid grid, uint32_t number) override;
  void Barrier() override;
  const MatrixUnit& matrices() const override { return device_->matrices(); }

  // Dispatches what waits for a barrier. To be called after the last step, and before the host or a
  // copy command touches what steps have written.
  void Finish();
  // A barrier between any stages.
  void Wait(VkPipelineStageFlags from, VkAccessFlags written, VkPipelineStageFlags to,
            VkAccessFlags used);

 private:
  struct Work {
    VkPipeline pipeline;
    Push push;
    Grid grid;
    std::string name;  // where times are measured
  };
  Result<Work> Prepare(std::string_view shader, std::span<const uint32_t> constants,
                       uint32_t record, Grid grid, uint32_t number);
  void Put(const Work& work);
  void PutLater();
  void WaitForShaders();

  Device* device_;
  VkCommandBuffer commands_;
  uint64_t records_, pass_;
  PassTimes* times_;
  VkPipeline bound_ = VK_NULL_HANDLE;
  std::vector<Work> later_;
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_COMMAND_RECORDER_H_
