#include "base/cores.h"

#include <gtest/gtest.h>

namespace puna {
namespace {

TEST(UsableCores, ReadsQuotas) {
  EXPECT_EQ(CoresOfQuota("max 100000"), 0);
  EXPECT_EQ(CoresOfQuota(""), 0);
  EXPECT_EQ(CoresOfQuota("-1 100000"), 0);
  EXPECT_EQ(CoresOfQuota("100000 0"), 0);
  EXPECT_EQ(CoresOfQuota("100000 100000"), 1);
  EXPECT_EQ(CoresOfQuota("150000 100000"), 2);
  EXPECT_EQ(CoresOfQuota("50000 100000"), 1);
  EXPECT_GE(UsableCores(), 1);
}

}  // namespace
}  // namespace puna
