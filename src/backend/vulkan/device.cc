// Memory: each Buffer is an allocation of its own; those who need many small pieces cut them
// themselves (weights, pages), because they know sizes and lifetimes. Where a memory type is both
// local to the device and mapped (integrated and software devices), weights are written in place,
// else through a staging buffer.
//
// One queue and one fence: the worker of a model waits for its pass anyway, and passes of two
// models on one device would only share its bandwidth. Waiting has an end. When it is reached,
// commands may still be running and use any memory of the device, so everything is left as it is,
// for good.
#include "backend/vulkan/device.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "backend/vulkan/op_params.h"
#include "backend/vulkan/shaders.h"
#include "base/check.h"
#include "base/file.h"
#include "base/log.h"

namespace puna::backend::vulkan {
namespace {

constexpr int64_t kStagingBytes = int64_t{16} << 20;
// Left to the desktop and to other programs.
constexpr int64_t kHeadroomBytes = int64_t{256} << 20;
// A pass that takes longer hangs. A software device may need minutes for one.
constexpr std::chrono::seconds kLongestRun{120}, kLongestSoftwareRun{3600};

// Waits in slices, because some drivers take very long times for forever.
VkResult WaitFor(const Api& api, VkDevice device, VkFence fence, std::chrono::seconds most) {
  const auto end = std::chrono::steady_clock::now() + most;
  VkResult result = VK_TIMEOUT;
  while (result == VK_TIMEOUT && std::chrono::steady_clock::now() < end)
    result = api.WaitForFences(device, 1, &fence, VK_TRUE, 1'000'000'000);
  return result;
}

}  // namespace

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  std::swap(memory_, other.memory_);
  std::swap(address_, other.address_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

Buffer::~Buffer() {
  if (device_ == nullptr || device_->hangs()) return;
  const Api& api = device_->api();
  if (handle_ != VK_NULL_HANDLE) api.DestroyBuffer(device_->handle(), handle_, nullptr);
  if (memory_ != VK_NULL_HANDLE) api.FreeMemory(device_->handle(), memory_, nullptr);
}

Result<std::shared_ptr<Device>> Device::Open(int index, const std::filesystem::path& cache_folder) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<Instance> instance, Instance::Get());
  const auto count = static_cast<int>(instance->devices.size());
  if (index < 0) {
    for (int i = 0; i < count && index < 0; ++i) {
      const DeviceInfo info = Describe(instance->api, instance->devices[static_cast<size_t>(i)], i);
      if (!info.software && info.unfit.empty()) index = i;
    }
    if (index < 0) {
      return MakeError(
          ErrorCode::kNotFound,
          "no GPU that can run the shaders among {} Vulkan devices; `puna doctor` lists them",
          count);
    }
  }
  if (index >= count) {
    return MakeError(ErrorCode::kNotFound, "there is no device vulkan:{}, {} devices are there",
                     index, count);
  }
  std::shared_ptr<Device> device(new Device);
  PUNA_RETURN_IF_ERROR(device->Create(std::move(instance), index));
  if (!cache_folder.empty()) {
    const std::string id = fmt::format("{}-{}", device->info_.name, device->info_.driver);
    std::string file = "vulkan-";
    for (const char c : id) file += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    device->cache_file_ = cache_folder / (file + ".pipelines");
  }
  device->ReadPipelineCache();
  return device;
}

Status Device::Create(std::shared_ptr<Instance> instance, int index) {
  instance_ = std::move(instance);
  api_ = instance_->api;
  physical_ = instance_->devices[static_cast<size_t>(index)];
  info_ = Describe(api_, physical_, index);
  if (!info_.unfit.empty()) {
    return MakeError(ErrorCode::kUnsupported, "device vulkan:{} ({}) cannot run the shaders: {}",
                     index, info_.name, info_.unfit);
  }
  PUNA_RETURN_IF_ERROR(CreateLogical(physical_));
  const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(Push)};
  const VkPipelineLayoutCreateInfo layout{.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                          .pushConstantRangeCount = 1,
                                          .pPushConstantRanges = &push};
  VkResult result = api_.CreatePipelineLayout(handle_, &layout, nullptr, &layout_);
  if (result != VK_SUCCESS) return VulkanError(result, "creating a pipeline layout");
  const VkFenceCreateInfo fence{.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  result = api_.CreateFence(handle_, &fence, nullptr, &fence_);
  if (result != VK_SUCCESS) return VulkanError(result, "creating a fence");
  const VkCommandPoolCreateInfo pool{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .queueFamilyIndex = queue_family_};
  result = api_.CreateCommandPool(handle_, &pool, nullptr, &staging_pool_);
  if (result != VK_SUCCESS) return VulkanError(result, "creating a command pool");
  return {};
}

Status Device::CreateLogical(VkPhysicalDevice physical) {
  uint32_t count = 0;
  api_.GetPhysicalDeviceQueueFamilyProperties(physical, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  api_.GetPhysicalDeviceQueueFamilyProperties(physical, &count, families.data());
  const auto found = std::find_if(families.begin(), families.end(), [](const auto& family) {
    return (family.queueFlags & VK_QUEUE_COMPUTE_BIT) != 0;
  });
  if (found == families.end())
    return MakeError(ErrorCode::kUnsupported, "device {} has no compute queue", info_.name);
  queue_family_ = static_cast<uint32_t>(found - families.begin());

  api_.EnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  api_.EnumerateDeviceExtensionProperties(physical, nullptr, &count, extensions.data());
  std::vector<const char*> wanted;
  for (const VkExtensionProperties& extension : extensions) {
    const std::string_view name = extension.extensionName;
    if (name == VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) {
      has_budget_ = true;
      wanted.push_back(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    }
    // To be enabled where it exists (MoltenVK).
    if (name == "VK_KHR_portability_subset") wanted.push_back("VK_KHR_portability_subset");
  }
  matrices_ = FindMatrixUnit(api_, physical);
  FindInt8Dots(api_, physical, &info_);
  const MatrixFeatures matrix_features(matrices_, info_.int8_dots);
  wanted.insert(wanted.end(), matrix_features.extensions.begin(), matrix_features.extensions.end());
  VkPhysicalDeviceVulkan11Features features11{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
      .pNext = matrix_features.chain,
      .storageBuffer16BitAccess = VK_TRUE};
  VkPhysicalDeviceVulkan12Features features12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
      .pNext = &features11,
      .storageBuffer8BitAccess = VK_TRUE,
      .shaderFloat16 = matrices_ ? VK_TRUE : VK_FALSE,
      .scalarBlockLayout = VK_TRUE,
      .bufferDeviceAddress = VK_TRUE,
      .vulkanMemoryModel = matrices_ ? VK_TRUE : VK_FALSE};
  const VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                           .pNext = &features12,
                                           .features = {.shaderInt64 = VK_TRUE}};
  const float priority = 1;
  const VkDeviceQueueCreateInfo queue{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = queue_family_,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority};
  const VkDeviceCreateInfo create{.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                  .pNext = &features,
                                  .queueCreateInfoCount = 1,
                                  .pQueueCreateInfos = &queue,
                                  .enabledExtensionCount = static_cast<uint32_t>(wanted.size()),
                                  .ppEnabledExtensionNames = wanted.data()};
  const VkResult result = api_.CreateDevice(physical, &create, nullptr, &handle_);
  if (result != VK_SUCCESS) return VulkanError(result, "opening the device " + info_.name);
  LoadDevice(handle_, &api_);
  api_.GetDeviceQueue(handle_, queue_family_, 0, &queue_);
  VkPhysicalDeviceMemoryProperties2 memory{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  api_.GetPhysicalDeviceMemoryProperties2(physical, &memory);
  memory_ = memory.memoryProperties;
  return {};
}

Device::~Device() {
  if (handle_ == VK_NULL_HANDLE || hangs_) return;
  WritePipelineCache();
  api_.DestroyBuffer(handle_, staging_.handle_, nullptr);
  api_.FreeMemory(handle_, staging_.memory_, nullptr);
  for (const auto& [key, pipeline] : pipelines_) api_.DestroyPipeline(handle_, pipeline, nullptr);
  api_.DestroyPipelineCache(handle_, cache_, nullptr);
  api_.DestroyCommandPool(handle_, staging_pool_, nullptr);
  api_.DestroyFence(handle_, fence_, nullptr);
  api_.DestroyPipelineLayout(handle_, layout_, nullptr);
  api_.DestroyDevice(handle_, nullptr);
}

Result<uint32_t> Device::MemoryType(uint32_t allowed, MemoryKind kind) const {
  constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                  kMapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                            VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                  kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  const bool shared = info_.kind == "integrated" || info_.software;
  std::vector<VkMemoryPropertyFlags> wishes;
  if (kind == MemoryKind::kDevice) {
    if (shared) wishes.push_back(kLocal | kMapped);
    wishes.push_back(kLocal);
    wishes.push_back(0);
  } else {
    if (kind == MemoryKind::kAnswer) wishes.push_back(kMapped | kCached);
    wishes.push_back(kMapped);
  }
  for (const VkMemoryPropertyFlags wish : wishes) {
    for (uint32_t i = 0; i < memory_.memoryTypeCount; ++i) {
      const bool fits = (memory_.memoryTypes[i].propertyFlags & wish) == wish;
      if ((allowed >> i & 1) != 0 && fits) return i;
    }
  }
  return MakeError(ErrorCode::kInternal, "device {} has no memory type for a buffer", info_.name);
}

int64_t Device::AvailableBytes() const {
  return std::max<int64_t>(
      0, Describe(instance_->api, physical_, info_.index).available_bytes - kHeadroomBytes);
}

Result<Buffer> Device::Allocate(int64_t bytes, MemoryKind kind) {
  PUNA_RETURN_IF_ERROR(failure());
  Buffer buffer;
  buffer.device_ = shared_from_this();
  buffer.size_bytes_ = std::max<int64_t>(bytes, 16);
  const VkBufferCreateInfo create{
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .size = static_cast<VkDeviceSize>(buffer.size_bytes_),
      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
  const std::string what = fmt::format("taking {} bytes on {}", bytes, info_.name);
  VkResult result = api_.CreateBuffer(handle_, &create, nullptr, &buffer.handle_);
  if (result != VK_SUCCESS) return VulkanError(result, what);
  VkMemoryRequirements needs;
  api_.GetBufferMemoryRequirements(handle_, buffer.handle_, &needs);
  if (needs.size > static_cast<VkDeviceSize>(info_.largest_allocation_bytes)) {
    return MakeError(ErrorCode::kResourceExhausted, "{}: its driver gives at most {} at once", what,
                     info_.largest_allocation_bytes);
  }
  PUNA_ASSIGN_OR_RETURN(const uint32_t type, MemoryType(needs.memoryTypeBits, kind));
  const VkMemoryAllocateFlagsInfo flags{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
  const VkMemoryAllocateInfo allocate{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                      .pNext = &flags,
                                      .allocationSize = needs.size,
                                      .memoryTypeIndex = type};
  result = api_.AllocateMemory(handle_, &allocate, nullptr, &buffer.memory_);
  if (result != VK_SUCCESS) return VulkanError(result, what);
  result = api_.BindBufferMemory(handle_, buffer.handle_, buffer.memory_, 0);
  if (result != VK_SUCCESS) return VulkanError(result, what);
  const VkBufferDeviceAddressInfo address{.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                          .buffer = buffer.handle_};
  buffer.address_ = api_.GetBufferDeviceAddress(handle_, &address);
  constexpr VkMemoryPropertyFlags kMapped =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  if ((memory_.memoryTypes[type].propertyFlags & kMapped) == kMapped) {
    void* mapped = nullptr;
    result = api_.MapMemory(handle_, buffer.memory_, 0, VK_WHOLE_SIZE, 0, &mapped);
    if (result != VK_SUCCESS) return VulkanError(result, what);
    buffer.mapped_ = static_cast<uint8_t*>(mapped);
  }
  return buffer;
}

Status Device::Write(const Buffer& to, int64_t offset, std::span<const uint8_t> bytes) {
  CHECK(offset >= 0 && offset + static_cast<int64_t>(bytes.size()) <= to.size_bytes());
  if (to.mapped() != nullptr) {
    std::memcpy(to.mapped() + offset, bytes.data(), bytes.size());
    return {};
  }
  const std::lock_guard lock(staging_mutex_);
  if (!staging_) {
    PUNA_ASSIGN_OR_RETURN(staging_, Allocate(kStagingBytes, MemoryKind::kUpload));
    staging_.device_.reset();
  }
  VkCommandBuffer commands = VK_NULL_HANDLE;
  const VkCommandBufferAllocateInfo allocate{
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
      .commandPool = staging_pool_,
      .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
      .commandBufferCount = 1};
  VkResult result = api_.AllocateCommandBuffers(handle_, &allocate, &commands);
  if (result != VK_SUCCESS) return VulkanError(result, "copying to the device");
  Status status;
  for (size_t done = 0; done < bytes.size() && status;) {
    const size_t count = std::min<size_t>(bytes.size() - done, kStagingBytes);
    std::memcpy(staging_.mapped(), bytes.data() + done, count);
    const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                         .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    api_.BeginCommandBuffer(commands, &begin);
    const VkBufferCopy copy{0, static_cast<VkDeviceSize>(offset) + done, count};
    api_.CmdCopyBuffer(commands, staging_.handle(), to.handle(), 1, &copy);
    api_.EndCommandBuffer(commands);
    status = Run(commands);
    done += count;
  }
  if (!hangs_) api_.FreeCommandBuffers(handle_, staging_pool_, 1, &commands);
  return status;
}

Status Device::failure() const {
  const std::lock_guard lock(queue_mutex_);
  return failure_;
}

Status Device::Fail(Error error) {
  LogError("{}", error.message);
  failure_ = tl::unexpected<Error>(std::move(error));
  return failure_;
}

Status Device::Run(VkCommandBuffer commands) {
  const std::lock_guard lock(queue_mutex_);
  PUNA_RETURN_IF_ERROR(failure_);
  const VkSubmitInfo submit{.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                            .commandBufferCount = 1,
                            .pCommandBuffers = &commands};
  VkResult result = api_.QueueSubmit(queue_, 1, &submit, fence_);
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
    return VulkanError(result, "computing on " + info_.name);
  const auto most = info_.software ? kLongestSoftwareRun : kLongestRun;
  if (result == VK_SUCCESS) result = WaitFor(api_, handle_, fence_, most);
  if (result == VK_TIMEOUT) {
    hangs_ = true;
    return Fail({ErrorCode::kUnavailable,
                 fmt::format("{} has not answered for {} seconds", info_.name, most.count())});
  }
  if (result != VK_SUCCESS) return Fail(VulkanError(result, "computing on " + info_.name).value());
  api_.ResetFences(handle_, 1, &fence_);
  return {};
}

Result<VkPipeline> Device::Pipeline(ShaderId shader, std::span<const uint32_t> constants) {
  const std::lock_guard lock(pipelines_mutex_);
  auto key = std::pair(shader, std::vector<uint32_t>(constants.begin(), constants.end()));
  const auto found = pipelines_.find(key);
  if (found != pipelines_.end()) return found->second;
  PUNA_ASSIGN_OR_RETURN(const VkPipeline made, MakePipeline(shader, constants));
  pipelines_.emplace(std::move(key), made);
  cache_grew_ = true;
  return made;
}

Result<VkPipeline> Device::MakePipeline(ShaderId id, std::span<const uint32_t> constants) {
  const Shader& shader = Shaders()[static_cast<size_t>(id)];
  const std::string what = fmt::format("compiling the shader {} on {}", shader.name, info_.name);
  const VkShaderModuleCreateInfo create{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                        .codeSize = shader.words.size_bytes(),
                                        .pCode = shader.words.data()};
  VkShaderModule module = VK_NULL_HANDLE;
  VkResult result = api_.CreateShaderModule(handle_, &create, nullptr, &module);
  if (result != VK_SUCCESS) return VulkanError(result, what);
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < constants.size(); ++i)
    entries.push_back({i, i * static_cast<uint32_t>(sizeof(uint32_t)), sizeof(uint32_t)});
  const VkSpecializationInfo values{static_cast<uint32_t>(entries.size()), entries.data(),
                                    constants.size_bytes(), constants.data()};
  const bool sized = matrices_.requires_subgroup && shader.name.starts_with("matmul_matrix");
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
      .requiredSubgroupSize = matrices_.subgroup};
  const VkComputePipelineCreateInfo pipeline{
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage =
          {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
           .pNext = sized ? &subgroup : nullptr,
           .flags =
               sized
                   ? VkPipelineShaderStageCreateFlags{VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT}
                   : 0,
           .stage = VK_SHADER_STAGE_COMPUTE_BIT,
           .module = module,
           .pName = "main",
           .pSpecializationInfo = &values},
      .layout = layout_};
  VkPipeline made = VK_NULL_HANDLE;
  result = api_.CreateComputePipelines(handle_, cache_, 1, &pipeline, nullptr, &made);
  api_.DestroyShaderModule(handle_, module, nullptr);
  if (result != VK_SUCCESS) return VulkanError(result, what);
  return made;
}

// A driver checks whether what it is given is its own (the header holds its identity).
void Device::ReadPipelineCache() {
  std::string bytes;
  if (!cache_file_.empty()) {
    std::ifstream file(cache_file_, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  VkPipelineCacheCreateInfo create{.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                   .initialDataSize = bytes.size(),
                                   .pInitialData = bytes.data()};
  if (api_.CreatePipelineCache(handle_, &create, nullptr, &cache_) == VK_SUCCESS) return;
  create.initialDataSize = 0;
  if (api_.CreatePipelineCache(handle_, &create, nullptr, &cache_) != VK_SUCCESS)
    cache_ = VK_NULL_HANDLE;
}

void Device::WritePipelineCache() {
  if (cache_file_.empty() || cache_ == VK_NULL_HANDLE || !cache_grew_) return;
  size_t size = 0;
  if (api_.GetPipelineCacheData(handle_, cache_, &size, nullptr) != VK_SUCCESS) return;
  std::string bytes(size, '\0');
  if (api_.GetPipelineCacheData(handle_, cache_, &size, bytes.data()) != VK_SUCCESS) return;
  bytes.resize(size);
  std::error_code ignored;
  std::filesystem::create_directories(cache_file_.parent_path(), ignored);
  const Status written = WriteFileAtomically(cache_file_, bytes);
  if (!written) LogWarning("the pipeline cache is not kept: {}", written.error().message);
}

}  // namespace puna::backend::vulkan
