#include "base/cores.h"

#include <gtest/gtest.h>

#include "tests/support/system_files.h"

namespace puna {
namespace {

TEST(UsableCores, ThereIsOne) { EXPECT_GE(UsableCores(), 1); }

TEST(CoresOfQuota, Version2) {
  testing::SystemFiles system;
  EXPECT_EQ(CoresOfQuota(system.root()), 0);
  system.Write("proc/self/cgroup", "0::/outer/inner\n");
  system.Write("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  EXPECT_EQ(CoresOfQuota(system.root()), 0);
  system.Write("sys/fs/cgroup/outer/cpu.max", "350000 100000\n");
  EXPECT_EQ(CoresOfQuota(system.root()), 3.5);
  system.Write("sys/fs/cgroup/outer/inner/cpu.max", "50000 100000\n");
  EXPECT_EQ(CoresOfQuota(system.root()), 0.5);
}

TEST(CoresOfQuota, Version1) {
  testing::SystemFiles system;
  system.Write("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a\n1:cpuset:/\n0::/\n");
  system.Write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  system.Write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(CoresOfQuota(system.root()), 0);
  system.Write("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "150000\n");
  EXPECT_EQ(CoresOfQuota(system.root()), 1.5);
}

// Where the path is that of the host, the mount point is the container's own group.
TEST(CoresOfQuota, OfAContainer) {
  testing::SystemFiles system;
  system.Write("proc/self/cgroup", "4:cpu:/on/the/host\n");
  system.Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  system.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  EXPECT_EQ(CoresOfQuota(system.root()), 2);
}

TEST(CoresOfQuota, NonsenseIsIgnored) {
  testing::SystemFiles system;
  system.Write("proc/self/cgroup", "\n::\n0::/a/../../..\nx\n");
  for (const char* text : {"", "100000", "100000 0", "-1 100000", "x y"}) {
    system.Write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(CoresOfQuota(system.root()), 0) << text;
  }
}

}  // namespace
}  // namespace puna
