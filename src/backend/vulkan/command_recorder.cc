#include "backend/vulkan/command_recorder.h"

#include <fmt/format.h>

#include <utility>

#include "backend/vulkan/shaders.h"

namespace puna::backend::vulkan {

Status CommandRecorder::Dispatch(std::string_view shader, std::span<const uint32_t> constants,
                                 uint32_t record, Grid grid, uint32_t number) {
  PUNA_ASSIGN_OR_RETURN(const Work work, Prepare(shader, constants, record, grid, number));
  Put(work);
  return {};
}

Status CommandRecorder::DispatchLater(std::string_view shader, std::span<const uint32_t> constants,
                                      uint32_t record, Grid grid, uint32_t number) {
  PUNA_ASSIGN_OR_RETURN(Work work, Prepare(shader, constants, record, grid, number));
  later_.push_back(std::move(work));
  return {};
}

void CommandRecorder::Barrier() {
  WaitForShaders();
  if (later_.empty()) return;
  PutLater();
  WaitForShaders();
}

void CommandRecorder::Finish() {
  if (later_.empty()) return;
  WaitForShaders();
  PutLater();
}

void CommandRecorder::Wait(VkPipelineStageFlags from, VkAccessFlags written,
                           VkPipelineStageFlags to, VkAccessFlags used) {
  const VkMemoryBarrier barrier{
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = used};
  device_->api().CmdPipelineBarrier(commands_, from, to, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

void CommandRecorder::WaitForShaders() {
  Wait(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
       VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
       VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
}

Result<CommandRecorder::Work> CommandRecorder::Prepare(std::string_view shader,
                                                       std::span<const uint32_t> constants,
                                                       uint32_t record, Grid grid,
                                                       uint32_t number) {
  PUNA_ASSIGN_OR_RETURN(const VkPipeline pipeline,
                        device_->Pipeline(ShaderByName(shader), constants));
  Work work{pipeline, {records_ + record, pass_, number}, grid, {}};
  if (times_ == nullptr) return work;
  work.name = shader;
  for (const uint32_t c : constants) work.name += " " + std::to_string(c);
  work.name += fmt::format(" [{} {} {}]", grid.x, grid.y, grid.z);
  return work;
}

void CommandRecorder::Put(const Work& work) {
  const Api& api = device_->api();
  if (work.pipeline != bound_) {
    api.CmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, work.pipeline);
    bound_ = work.pipeline;
  }
  api.CmdPushConstants(commands_, device_->layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                       sizeof(work.push), &work.push);
  api.CmdDispatch(commands_, work.grid.x, work.grid.y, work.grid.z);
  if (times_ != nullptr) times_->Add(commands_, work.name);
}

void CommandRecorder::PutLater() {
  for (const Work& work : std::exchange(later_, {})) Put(work);
}

}  // namespace puna::backend::vulkan
