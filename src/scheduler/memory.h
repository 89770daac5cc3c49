// How much memory and address space a new model may take. Thread safe, no state.
#ifndef PUNA_SCHEDULER_MEMORY_H_
#define PUNA_SCHEDULER_MEMORY_H_

#include <cstdint>
#include <filesystem>
#include <optional>

namespace puna::scheduler {

// The least of: MemAvailable of /proc/meminfo, and what every memory control group (version 2 or 1)
// around this process has left below its limit, where page cache counts as free because the kernel
// drops it first. `root` is put before
// "/proc" and "/sys", for tests. Nullopt if nothing can be read.
std::optional<int64_t> AvailableMemory(const std::filesystem::path& root = "/");

// What the limit on this process's address space (`ulimit -v`) leaves beside what it uses, without
// what stacks and heaps of threads to come need. Nullopt without a limit.
std::optional<int64_t> AvailableAddressSpace(const std::filesystem::path& root = "/");

}  // namespace puna::scheduler

#endif  // PUNA_SCHEDULER_MEMORY_H_
