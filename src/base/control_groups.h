// The control groups (cgroups, version 2 or 1) that limit this process. Linux; elsewhere there are
// none.
#ifndef PUNA_BASE_CONTROL_GROUPS_H_
#define PUNA_BASE_CONTROL_GROUPS_H_

#include <filesystem>
#include <string_view>
#include <vector>

namespace puna {

struct ControlGroup {
  std::filesystem::path folder;  // with the files of its controllers
  int version = 2;               // 1: the files have other names
};

// The groups of this process for a controller ("memory", "cpu"), from the innermost to the
// outermost that it can see: a limit may stand at any of them. `root` is put before "/proc" and
// "/sys", for tests.
std::vector<ControlGroup> ControlGroups(std::string_view controller,
                                        const std::filesystem::path& root = "/");

}  // namespace puna

#endif  // PUNA_BASE_CONTROL_GROUPS_H_
