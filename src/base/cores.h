// How many cores there are for this process.
#ifndef PUNA_BASE_CORES_H_
#define PUNA_BASE_CORES_H_

#include <string_view>

namespace puna {

// Cores that this process may use at once: its affinity mask, cut by the quotas of its cgroup (v2)
// and of the groups above.
int UsableCores();
// Whole cores, rounded up, in the text of a cgroup's cpu.max ("max 100000", "150000 100000"); 0: no
// limit or not readable.
int CoresOfQuota(std::string_view cpu_max);

}  // namespace puna

#endif  // PUNA_BASE_CORES_H_
