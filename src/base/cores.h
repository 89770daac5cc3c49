// How many cores there are for this process.
#ifndef PUNA_BASE_CORES_H_
#define PUNA_BASE_CORES_H_

#include <filesystem>

namespace puna {

// Cores that this process may use at once: those of its affinity mask, cut by the quotas of its
// control groups, rounded up.
int UsableCores();
int CoresOfMask();
// How many cores' worth of time the tightest of these quotas allows (--cpus of a container,
// CPUQuota of systemd); 0: there is none. `root` as in ControlGroups.
double CoresOfQuota(const std::filesystem::path& root = "/");

}  // namespace puna

#endif  // PUNA_BASE_CORES_H_
