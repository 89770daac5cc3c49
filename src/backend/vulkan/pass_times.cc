#include "backend/vulkan/pass_times.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace puna::backend::vulkan {
namespace {

// Dispatches of a pass that are timed; further ones are not.
constexpr uint32_t kMost = 8192;

}  // namespace

bool PassTimes::wanted() { return std::getenv("PUNA_VULKAN_TIMES") != nullptr; }

PassTimes::PassTimes(Device* device) : device_(device), ns_per_tick_(device->info().timestamp_ns) {
  const VkQueryPoolCreateInfo create{.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                     .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                     .queryCount = kMost};
  if (device->api().CreateQueryPool(device->handle(), &create, nullptr, &pool_) != VK_SUCCESS)
    pool_ = VK_NULL_HANDLE;
}

PassTimes::~PassTimes() {
  if (pool_ == VK_NULL_HANDLE) return;
  device_->api().DestroyQueryPool(device_->handle(), pool_, nullptr);
  std::vector<std::pair<std::string, Sum>> all(sums_.begin(), sums_.end());
  std::ranges::sort(all, [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });
  std::fprintf(stderr, "%10s %8s %9s  dispatch\n", "total us", "count", "us each");
  for (const auto& [name, sum] : all)
    std::fprintf(stderr, "%10.0f %8lld %9.2f  %s\n", sum.ns / 1e3,
                 static_cast<long long>(sum.count), sum.ns / 1e3 / static_cast<double>(sum.count),
                 name.c_str());
}

void PassTimes::Begin(VkCommandBuffer commands) {
  names_.clear();
  if (pool_ == VK_NULL_HANDLE) return;
  device_->api().CmdResetQueryPool(commands, pool_, 0, kMost);
  device_->api().CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_, 0);
}

void PassTimes::Add(VkCommandBuffer commands, std::string name) {
  if (pool_ == VK_NULL_HANDLE || names_.size() + 1 >= kMost) return;
  names_.push_back(std::move(name));
  device_->api().CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_,
                                   static_cast<uint32_t>(names_.size()));
}

void PassTimes::Read(const std::vector<std::string>& names, uint32_t tokens) {
  if (pool_ == VK_NULL_HANDLE) return;
  std::vector<uint64_t> times(names.size() + 1);
  device_->api().GetQueryPoolResults(
      device_->handle(), pool_, 0, static_cast<uint32_t>(times.size()), times.size() * 8,
      times.data(), 8, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
  for (size_t i = 0; i < names.size(); ++i) {
    Sum& sum = sums_[fmt::format("tokens {} {}", tokens, names[i])];
    ++sum.count;
    sum.ns += static_cast<double>(times[i + 1] - times[i]) * ns_per_tick_;
  }
  Sum& pass = sums_[fmt::format("tokens {} whole pass", tokens)];
  ++pass.count;
  pass.ns += static_cast<double>(times.back() - times.front()) * ns_per_tick_;
}

}  // namespace puna::backend::vulkan
