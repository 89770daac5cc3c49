// /proc/self/cgroup says where in the hierarchy we are: "0::/a/b" for version 2, "4:memory:/a/b"
// for version 1. A limit may stand at any level, so every level up to the mount point is read.
// Inside a container the path may be that of the host, which does not exist below our mount; then
// only the mount point itself counts, which is the container's own group.
#include "scheduler/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>

namespace puna::scheduler {
namespace {

namespace fs = std::filesystem;

// The number in a file that holds one; "max" and a missing file are nullopt.
std::optional<int64_t> ReadNumber(const fs::path& path) {
  std::ifstream in(path);
  int64_t value = 0;
  if (!(in >> value)) return std::nullopt;
  return value;
}

// The sum of the values of lines "<key> <value>" for the named keys.
int64_t SumOfKeys(const fs::path& path, std::initializer_list<std::string_view> keys) {
  std::ifstream in(path);
  int64_t sum = 0;
  std::string key;
  for (int64_t value = 0; in >> key >> value;) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) sum += value;
  }
  return sum;
}

std::optional<int64_t> MemAvailable(const fs::path& root) {
  std::ifstream in(root / "proc/meminfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string key;
    int64_t kib = 0;
    if (fields >> key >> kib && key == "MemAvailable:") return kib * 1024;
  }
  return std::nullopt;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* cache_keys[2];
};
constexpr GroupFiles kVersion2 = {"memory.max", "memory.current", {"inactive_file", "active_file"}};
constexpr GroupFiles kVersion1 = {
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file", "total_active_file"}};

std::optional<int64_t> LeftInGroup(const fs::path& group, const GroupFiles& files) {
  const std::optional<int64_t> limit = ReadNumber(group / files.limit);
  const std::optional<int64_t> usage = ReadNumber(group / files.usage);
  if (!limit || !usage) return std::nullopt;
  const int64_t cache =
      SumOfKeys(group / "memory.stat", {files.cache_keys[0], files.cache_keys[1]});
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, *usage - cache));
}

void LowerToLevels(const fs::path& mount, std::string_view path, const GroupFiles& files,
                   int64_t* least) {
  fs::path group = mount / fs::path(path).relative_path();
  std::error_code error;
  if (!fs::is_directory(group, error)) group = mount;
  while (true) {
    if (const auto left = LeftInGroup(group, files)) *least = std::min(*least, *left);
    if (group == mount || !group.has_relative_path()) return;
    group = group.parent_path();
    if (std::distance(group.begin(), group.end()) < std::distance(mount.begin(), mount.end()))
      return;
  }
}

}  // namespace

std::optional<int64_t> AvailableMemory(const fs::path& root) {
  constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();
  int64_t least = MemAvailable(root).value_or(kUnknown);
  const fs::path mount = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      LowerToLevels(mount, path, kVersion2, &least);
      LowerToLevels(mount / "unified", path, kVersion2, &least);  // where both versions are mounted
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      LowerToLevels(mount / "memory", path, kVersion1, &least);
    }
  }
  if (least == kUnknown) return std::nullopt;
  return least;
}

}  // namespace puna::scheduler
