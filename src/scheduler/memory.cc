#include "scheduler/memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>

#include "base/control_groups.h"

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

// A thread reserves 8 MiB for its stack and up to 64 MiB for a heap of its own.
constexpr int64_t kThreadsSpace = int64_t{256} << 20;

std::optional<int64_t> AddressSpaceLimit(const fs::path& root) {
  constexpr std::string_view kName = "Max address space";
  std::ifstream in(root / "proc/self/limits");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(kName)) continue;
    std::istringstream fields(line.substr(kName.size()));
    int64_t bytes = 0;
    if (fields >> bytes) return bytes;  // else it is "unlimited"
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

}  // namespace

std::optional<int64_t> AvailableMemory(const fs::path& root) {
  constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();
  int64_t least = MemAvailable(root).value_or(kUnknown);
  for (const ControlGroup& group : ControlGroups("memory", root)) {
    const auto left = LeftInGroup(group.folder, group.version == 1 ? kVersion1 : kVersion2);
    if (left) least = std::min(least, *left);
  }
  if (least == kUnknown) return std::nullopt;
  return least;
}

std::optional<int64_t> AvailableAddressSpace(const fs::path& root) {
  const std::optional<int64_t> limit = AddressSpaceLimit(root);
  const std::optional<int64_t> pages_used = ReadNumber(root / "proc/self/statm");
  if (!limit || !pages_used) return std::nullopt;
  return std::max<int64_t>(0, *limit - *pages_used * ::sysconf(_SC_PAGESIZE) - kThreadsSpace);
}

}  // namespace puna::scheduler
