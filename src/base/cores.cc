#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <thread>

#include "base/control_groups.h"

namespace puna {
namespace {

// Microseconds of processor time in each period; without a quota, "max" or -1 stand for the first.
struct Quota {
  int64_t used = 0, period = 0;
};

Quota QuotaOf(const ControlGroup& group) {
  Quota quota;
  if (group.version == 2) {
    std::ifstream(group.folder / "cpu.max") >> quota.used >> quota.period;
  } else {
    std::ifstream(group.folder / "cpu.cfs_quota_us") >> quota.used;
    std::ifstream(group.folder / "cpu.cfs_period_us") >> quota.period;
  }
  return quota;
}

}  // namespace

double CoresOfQuota(const std::filesystem::path& root) {
  double cores = 0;
  for (const ControlGroup& group : ControlGroups("cpu", root)) {
    const Quota quota = QuotaOf(group);
    if (quota.used <= 0 || quota.period <= 0) continue;
    const double limit = static_cast<double>(quota.used) / static_cast<double>(quota.period);
    cores = cores == 0 ? limit : std::min(cores, limit);
  }
  return cores;
}

int CoresOfMask() {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

int UsableCores() {
  int cores = CoresOfMask();
  const double quota = std::ceil(CoresOfQuota());
  if (quota > 0 && quota < cores) cores = static_cast<int>(quota);
  return std::max(cores, 1);
}

}  // namespace puna
