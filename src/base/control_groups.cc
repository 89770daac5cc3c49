// /proc/self/cgroup says where in the hierarchy we are: "0::/a/b" for version 2, "4:memory:/a/b"
// for version 1. Inside a container the path may be that of the host, which does not exist below
// our mount; then only the mount point itself counts, which is the container's own group.
#include "base/control_groups.h"

#include <fstream>
#include <iterator>
#include <string>

namespace puna {
namespace {

namespace fs = std::filesystem;

void AddLevels(const fs::path& mount, std::string_view path, int version,
               std::vector<ControlGroup>* groups) {
  fs::path group = mount / fs::path(path).relative_path();
  std::error_code error;
  if (!fs::is_directory(group, error)) group = mount;
  while (true) {
    groups->push_back({group, version});
    if (group == mount || !group.has_relative_path()) return;
    group = group.parent_path();
    if (std::distance(group.begin(), group.end()) < std::distance(mount.begin(), mount.end()))
      return;
  }
}

}  // namespace

std::vector<ControlGroup> ControlGroups(std::string_view controller, const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  const std::string wanted = "," + std::string(controller) + ",";
  std::vector<ControlGroup> groups;
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      AddLevels(mount, path, 2, &groups);
      AddLevels(mount / "unified", path, 2, &groups);  // where both versions are mounted
    } else if (("," + controllers + ",").find(wanted) != std::string::npos) {
      AddLevels(mount / controller, path, 1, &groups);
    }
  }
  return groups;
}

}  // namespace puna
