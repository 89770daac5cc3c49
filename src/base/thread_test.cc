#include "base/thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <string>

#include "tests/support/no_threads.h"

namespace puna {
namespace {

using ::testing::HasSubstr;

std::string NameInThread(const std::string& name) {
  std::string seen;
  StartThread(name, [&] {
    char buffer[64] = {};
    EXPECT_EQ(::pthread_getname_np(::pthread_self(), buffer, sizeof buffer), 0);
    seen = buffer;
  })->join();
  return seen;
}

TEST(Thread, HasItsName) {
  EXPECT_EQ(NameInThread("puna-test"), "puna-test");
  EXPECT_EQ(NameInThread("puna-compute-and-wait").substr(0, 15), "puna-compute-an");
}

TEST(Thread, ThatCannotBeStartedIsAnError) {
  const NoThreads limit;
  const auto thread = StartThread("puna-test", [] { FAIL() << "runs"; });
  ASSERT_FALSE(thread);
  EXPECT_EQ(thread.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(thread.error().message, HasSubstr("no thread puna-test: "));
}

}  // namespace
}  // namespace puna
