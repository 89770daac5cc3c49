#include "cli/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/system_files.h"

namespace puna::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Machine, LimitsOfControlGroups) {
  puna::testing::SystemFiles system;
  system.Write("proc/meminfo", "MemTotal:     1000000 kB\nMemAvailable: 800000 kB\n");
  system.Write("proc/self/cgroup", "4:memory:/a\n1:cpu:/a\n0::/\n");
  system.Write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  system.Write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "150000\n");
  system.Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(ReadMachine(system.root()).cpu_quota, 1.5);
  EXPECT_EQ(ReadMachine(system.root()).memory_limit, 0);
  system.Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "500000000\n");
  EXPECT_EQ(ReadMachine(system.root()).memory_limit, 500000000);

  system.Write("proc/self/cgroup", "0::/b/c\n");
  system.Write("sys/fs/cgroup/b/memory.max", "400000000\n");
  system.Write("sys/fs/cgroup/b/c/memory.max", "max\n");
  EXPECT_EQ(ReadMachine(system.root()).cpu_quota, 0);
  EXPECT_EQ(ReadMachine(system.root()).memory_limit, 400000000);
}

TEST(Machine, AdviceOnThreads) {
  Machine machine;
  machine.cores = 4;
  EXPECT_THAT(Advice(machine, "avx512vnni", 0), Not(Contains(HasSubstr("PUNA_THREADS"))));
  EXPECT_THAT(Advice(machine, "avx512vnni", 2), Contains(HasSubstr("2 of 4 cores")));
  EXPECT_THAT(Advice(machine, "avx512vnni", 5), Contains(HasSubstr("more than the 4 cores")));
  machine.cpu_quota = 1.5;
  EXPECT_THAT(Advice(machine, "avx512vnni", 0), Contains(HasSubstr("1.5 cores' worth of time")));
  EXPECT_THAT(Advice(machine, "avx512vnni", 2), Not(Contains(HasSubstr("PUNA_THREADS"))));
  EXPECT_THAT(Advice(machine, "avx512vnni", 4), Contains(HasSubstr("more than the 2 cores")));
}

}  // namespace
}  // namespace puna::cli
