// While it lives, no thread can be started, as where a limit on them is reached.
#ifndef PUNA_TESTS_SUPPORT_NO_THREADS_H_
#define PUNA_TESTS_SUPPORT_NO_THREADS_H_

#include <gtest/gtest.h>
#include <pthread.h>

namespace puna {

class NoThreads {
 public:
  NoThreads() {
    EXPECT_EQ(::pthread_getattr_default_np(&usual_), 0);
    pthread_attr_t impossible = usual_;
    // More than any address space.
    EXPECT_EQ(::pthread_attr_setstacksize(&impossible, size_t{1} << 52), 0);
    EXPECT_EQ(::pthread_setattr_default_np(&impossible), 0);
  }
  ~NoThreads() { EXPECT_EQ(::pthread_setattr_default_np(&usual_), 0); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t usual_;
};

}  // namespace puna

#endif  // PUNA_TESTS_SUPPORT_NO_THREADS_H_
