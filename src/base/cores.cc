#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

namespace puna {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The smallest quota of this process's cgroup and of those above it; 0: none.
int CgroupCores() {
  std::ifstream membership("/proc/self/cgroup");
  std::string line;
  int cores = 0;
  while (std::getline(membership, line)) {
    if (!line.starts_with("0::/")) continue;
    std::string group = line.substr(3);
    for (;;) {
      const int limit = CoresOfQuota(FirstLine("/sys/fs/cgroup" + group + "/cpu.max"));
      if (limit > 0) cores = cores == 0 ? limit : std::min(cores, limit);
      if (group.empty()) break;
      group.erase(group.rfind('/'));
    }
  }
  return cores;
}

}  // namespace

int CoresOfQuota(std::string_view cpu_max) {
  long long quota = 0, period = 0;
  if (std::sscanf(std::string(cpu_max).c_str(), "%lld %lld", &quota, &period) != 2) return 0;
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::min<long long>((quota - 1) / period + 1, 1 << 20));
}

int UsableCores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) cores = CPU_COUNT(&mask);
#endif
  const int quota = CgroupCores();
  if (quota > 0) cores = std::min(cores, quota);
  return std::max(cores, 1);
}

}  // namespace puna
