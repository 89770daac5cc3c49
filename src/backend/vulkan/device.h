// One Vulkan device: its memory, its queue, its pipelines. Thread safe but for what is said.
#ifndef PUNA_BACKEND_VULKAN_DEVICE_H_
#define PUNA_BACKEND_VULKAN_DEVICE_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/vulkan/matrix_unit.h"
#include "backend/vulkan/vulkan_api.h"
#include "backend/vulkan/vulkan_backend.h"
#include "base/result.h"

namespace puna::backend::vulkan {

class Device;

// The instance of this process; made when it is first asked for, kept as long as somebody has it.
struct Instance {
  static Result<std::shared_ptr<Instance>> Get();
  ~Instance();

  Api api;
  VkInstance handle = VK_NULL_HANDLE;
  std::vector<VkPhysicalDevice> devices;  // as the loader lists them
};

enum class MemoryKind {
  kDevice,  // where the device reads fastest
  kUpload,  // written by the host, copied or read once by the device
  kAnswer,  // written by the device, read by the host
};

// Memory with an address on the device. Movable; gives itself back.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  explicit operator bool() const { return handle_ != VK_NULL_HANDLE; }
  VkBuffer handle() const { return handle_; }
  uint64_t address() const { return address_; }
  int64_t size_bytes() const { return size_bytes_; }
  // Null where the host cannot reach it: then Device::Write.
  uint8_t* mapped() const { return mapped_; }

 private:
  friend class Device;
  std::shared_ptr<Device> device_;
  VkBuffer handle_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  uint64_t address_ = 0;
  int64_t size_bytes_ = 0;
  uint8_t* mapped_ = nullptr;
};

// Index into the table of embedded shaders (shaders.h).
using ShaderId = int;

class Device : public std::enable_shared_from_this<Device> {
 public:
  // `index`: as in ListDevices; -1: the first that is no software device. `cache_folder`: where
  // compiled pipelines are kept; empty: nowhere. kNotFound naming what there is; kUnsupported if
  // the device lacks what the shaders need.
  static Result<std::shared_ptr<Device>> Open(int index, const std::filesystem::path& cache_folder);
  ~Device();

  const DeviceInfo& info() const { return info_; }
  const Api& api() const { return api_; }
  VkDevice handle() const { return handle_; }
  VkPipelineLayout layout() const { return layout_; }
  uint32_t queue_family() const { return queue_family_; }
  const MatrixUnit& matrices() const { return matrices_; }
  // Before anything is recorded.
  void set_matrices(const MatrixUnit& unit) { matrices_ = unit; }

  // Bytes that may still be taken, some head-room kept.
  int64_t AvailableBytes() const;
  // kResourceExhausted if they are not there.
  Result<Buffer> Allocate(int64_t bytes, MemoryKind kind);
  // Copies to a buffer that no command is using.
  Status Write(const Buffer& to, int64_t offset, std::span<const uint8_t> bytes);

  // The pipeline of a shader with these values for its specialization constants 0, 1, ...
  Result<VkPipeline> Pipeline(ShaderId shader, std::span<const uint32_t> constants);

  // Runs commands to their end. kUnavailable if the device is lost or does not come to an end in
  // time; from then on every call fails the same way.
  Status Run(VkCommandBuffer commands);
  Status failure() const;
  // Whether commands may still be running after a failure: then nothing may be freed.
  bool hangs() const { return hangs_; }

 private:
  Device() = default;
  Status Create(std::shared_ptr<Instance> instance, int index);
  Status CreateLogical(VkPhysicalDevice physical);
  void ReadPipelineCache();
  void WritePipelineCache();
  Result<uint32_t> MemoryType(uint32_t allowed, MemoryKind kind) const;
  Result<VkPipeline> MakePipeline(ShaderId shader, std::span<const uint32_t> constants);
  Status Fail(Error error);

  std::shared_ptr<Instance> instance_;
  Api api_;
  VkPhysicalDevice physical_ = VK_NULL_HANDLE;
  DeviceInfo info_;
  VkPhysicalDeviceMemoryProperties memory_ = {};
  bool has_budget_ = false;
  MatrixUnit matrices_;
  VkDevice handle_ = VK_NULL_HANDLE;
  uint32_t queue_family_ = 0;
  VkQueue queue_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  std::filesystem::path cache_file_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;

  std::mutex pipelines_mutex_;
  std::map<std::pair<ShaderId, std::vector<uint32_t>>, VkPipeline> pipelines_;
  bool cache_grew_ = false;

  mutable std::mutex queue_mutex_;  // held while commands run
  VkFence fence_ = VK_NULL_HANDLE;
  bool hangs_ = false;
  Status failure_;

  std::mutex staging_mutex_;
  Buffer staging_;  // without its device, which would keep itself alive
  VkCommandPool staging_pool_ = VK_NULL_HANDLE;
};

// Describes a physical device, and says in `unfit` what it lacks.
DeviceInfo Describe(const Api& api, VkPhysicalDevice physical, int index);

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_DEVICE_H_
