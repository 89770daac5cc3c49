#include "scheduler/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/support/system_files.h"

namespace puna::scheduler {
namespace {

class MemoryTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& content) { system_.Write(path, content); }
  std::optional<int64_t> Available() { return AvailableMemory(system_.root()); }

  testing::SystemFiles system_;
};

TEST_F(MemoryTest, NothingToRead) { EXPECT_EQ(Available(), std::nullopt); }

TEST_F(MemoryTest, WithoutGroupsItIsMemAvailable) {
  Write("proc/meminfo",
        "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    800 kB\n");
  EXPECT_EQ(Available(), 800 * 1024);
}

TEST_F(MemoryTest, TheTightestLevelOfVersion2Counts) {
  Write("proc/meminfo", "MemAvailable:    800 kB\n");
  Write("proc/self/cgroup", "0::/outer/inner\n");
  Write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  Write("sys/fs/cgroup/outer/inner/memory.current", "5000\n");
  Write("sys/fs/cgroup/outer/memory.max", "100000\n");
  Write("sys/fs/cgroup/outer/memory.current", "60000\n");
  Write("sys/fs/cgroup/outer/memory.stat",
        "anon 1000\ninactive_file 9000\nactive_file 1000\nshmem 7\n");
  EXPECT_EQ(Available(), 100000 - 50000);
  Write("sys/fs/cgroup/outer/inner/memory.max", "20000\n");
  EXPECT_EQ(Available(), 15000);
  Write("sys/fs/cgroup/outer/inner/memory.current", "25000\n");
  EXPECT_EQ(Available(), 0);
}

TEST_F(MemoryTest, AContainerSeesOnlyItsOwnGroup) {
  Write("proc/meminfo", "MemAvailable:    800 kB\n");
  Write("proc/self/cgroup", "0::/on/the/host\n");
  Write("sys/fs/cgroup/memory.max", "30000\n");
  Write("sys/fs/cgroup/memory.current", "10000\n");
  EXPECT_EQ(Available(), 20000);
}

TEST_F(MemoryTest, Version1) {
  Write("proc/meminfo", "MemAvailable:    800 kB\n");
  Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb,memory:/a\n0::/\n");
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  Write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "10000\n");
  EXPECT_EQ(Available(), 800 * 1024);
  Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "50000\n");
  Write("sys/fs/cgroup/memory/a/memory.stat", "total_inactive_file 3000\n");
  EXPECT_EQ(Available(), 43000);
}

TEST_F(MemoryTest, AddressSpaceIsWhatTheLimitLeaves) {
  EXPECT_EQ(AvailableAddressSpace(system_.root()), std::nullopt);
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  Write("proc/self/statm", "1000 50 20 1 0 30 0\n");
  Write("proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max resident set          5                    unlimited            bytes     \n"
        "Max address space         4096000000           unlimited            bytes     \n");
  EXPECT_EQ(AvailableAddressSpace(system_.root()), 4096000000 - 1000 * page - (256 << 20));
  Write("proc/self/limits", "Max address space         4096000              8192000   bytes\n");
  EXPECT_EQ(AvailableAddressSpace(system_.root()), 0);
  Write("proc/self/limits", "Max address space         unlimited            unlimited  bytes\n");
  EXPECT_EQ(AvailableAddressSpace(system_.root()), std::nullopt);
}

TEST_F(MemoryTest, NonsenseIsIgnored) {
  Write("proc/meminfo", "MemAvailable: lots\n");
  Write("proc/self/cgroup", "\n::\n0::/a/../../..\nx\n");
  EXPECT_EQ(Available(), std::nullopt);
}

TEST(AvailableMemoryTest, ThisMachineHasSome) { EXPECT_GT(AvailableMemory().value_or(0), 1 << 20); }

}  // namespace
}  // namespace puna::scheduler
