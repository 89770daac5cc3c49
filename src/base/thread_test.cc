#include "base/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <string>

namespace puna {
namespace {

std::string NameOfThisThread() {
  char name[64] = {};
  EXPECT_EQ(::pthread_getname_np(::pthread_self(), name, sizeof name), 0);
  return name;
}

TEST(Thread, HasItsNameFromTheStart) {
  std::string name;
  StartThread("puna-test", [&] { name = NameOfThisThread(); }).join();
  EXPECT_EQ(name, "puna-test");
}

TEST(Thread, NamesThatAreTooLongAreCut) {
  std::string name;
  StartThread("puna-compute-and-wait", [&] { name = NameOfThisThread(); }).join();
  EXPECT_EQ(name.substr(0, 15), "puna-compute-an");
}

}  // namespace
}  // namespace puna
