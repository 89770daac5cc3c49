// A compiled plan with its memory on a device. A pass is: the pass block (who is in the batch,
// where their pages are) is written, the commands of this shape are recorded unless they were
// before, they run, the outputs are copied out.
#ifndef PUNA_BACKEND_VULKAN_VULKAN_PROGRAM_H_
#define PUNA_BACKEND_VULKAN_VULKAN_PROGRAM_H_

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/vulkan/adapter_memory.h"
#include "backend/vulkan/command_recorder.h"
#include "backend/vulkan/device.h"
#include "backend/vulkan/page_memory.h"
#include "backend/vulkan/pass_times.h"
#include "backend/vulkan/plan_compiler.h"
#include "backend/vulkan/weight_upload.h"

namespace puna::backend::vulkan {

// Without a device: what a program would take.
Result<MemoryUse> PredictMemory(const Plan& plan, const CompileOptions& options,
                                const AttentionTuning& tuning = {});

class VulkanProgram final : public Program {
 public:
  static Result<std::unique_ptr<VulkanProgram>> Load(std::shared_ptr<const Plan> plan,
                                                     const CompileOptions& options,
                                                     std::shared_ptr<Device> device,
                                                     const AttentionTuning& tuning = {});
  ~VulkanProgram() override;

  Status Run(const Batch& batch, std::span<float> out) override;
  int64_t most_ranked() const override { return compiled_.ranks ? kMostRanked : 0; }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override;
  void ReleasePage(int32_t page) override;
  MemoryUse memory_use() const override { return memory_; }
  std::string Describe() const override;

 private:
  struct PageCopy {
    int32_t from, to;
  };

  VulkanProgram(std::shared_ptr<const Plan> plan, const CompileOptions& options,
                std::shared_ptr<Device> device, const AttentionTuning& tuning);
  Status Prepare();
  Result<VkCommandBuffer> NewCommands();
  // Which outputs are copied whole and what is wanted of the others.
  std::vector<RankedRequest> DescribeOutputs(const Batch& batch, std::span<const int32_t> rows,
                                             PassShape* shape) const;
  // Of the answer: what lies before the whole rows.
  static int64_t RankedBytes(const PassShape& shape);
  // Makes the slots, the answer and the buffers for chosen keys large enough for a pass.
  Status MakeRoom(const PassShape& shape, int64_t scratch_pages);
  Status GrowSlot(size_t slot, int64_t bytes);
  // Puts the addresses of the slots into the records.
  Status WriteRecords();
  Status Grow(Buffer* buffer, int64_t bytes, MemoryKind kind);
  Result<std::vector<SegmentInfo>> DescribeSegments(const Batch& batch,
                                                    std::vector<uint64_t>* pages,
                                                    std::vector<StateWriteInfo>* writes,
                                                    int64_t* scratch_pages);
  std::vector<float> RopeValues(const Batch& batch) const;
  Result<PassShape> WritePass(const Batch& batch);
  // The commands of a pass, and the pauses between them.
  struct Recorded {
    PassShape shape;
    std::vector<VkCommandBuffer> commands;
    std::vector<int> pauses;  // one fewer
  };
  Result<const Recorded*> CommandsFor(const PassShape& shape);
  Status RecordPass(Recorded* pass);
  Status RecordSteps(Recorded* pass, std::unique_ptr<CommandRecorder>* recorder);
  Status BeginCommands(Recorded* pass, std::unique_ptr<CommandRecorder>* recorder);
  Status EndCommands(const Recorded& pass, CommandRecorder* recorder);
  // Rows of a detour's view from its slot to the host, or back.
  void RecordCrossing(const Pause& pause, const PassShape& shape, bool to_host,
                      CommandRecorder* recorder, VkCommandBuffer commands);
  Status TakeDetour(const Pause& pause, const PassShape& shape);
  // Makes the buffers for detours large enough.
  Status MakeRoomForDetours(const PassShape& shape);
  void Free(const Recorded& pass);
  // Copies the outputs to where the host reads them, if no step does.
  void RecordAnswer(CommandRecorder* recorder, VkCommandBuffer commands, const PassShape& shape);
  Status RunPass(const Batch& batch, std::span<float> out);
  void ReadRanked(const Batch& batch) const;
  Status FlushCopies();
  void ForgetCommands();

  std::shared_ptr<const Plan> plan_;
  CompileOptions options_;
  AttentionTuning tuning_;
  std::shared_ptr<Device> device_;
  WeightUpload weights_;
  AdapterMemory adapters_;
  CompiledPlan compiled_;
  MemoryUse memory_;
  Buffer records_;
  std::vector<Buffer> slots_;
  std::unique_ptr<PageMemory> pages_, states_;
  Buffer upload_, pass_, answer_;
  Buffer detour_in_, detour_out_;
  Buffer narrow_, selections_, index_scores_, index_order_;
  std::vector<PageCopy> copies_;  // to be done before the next pass
  Status failure_;
  std::unique_ptr<PassTimes> times_;
  std::map<VkCommandBuffer, std::vector<std::string>> recorded_names_;

  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkCommandBuffer copy_commands_ = VK_NULL_HANDLE;
  // Recorded passes, the one used last in front.
  std::list<Recorded> recorded_;
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_VULKAN_PROGRAM_H_
