#include "backend/cpu/turn_mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace puna::backend::cpu {
namespace {

TEST(TurnMutex, ExcludesAndLosesNothing) {
  TurnMutex mutex;
  int64_t count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 2000; ++n) {
        const std::lock_guard lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
}

TEST(TurnMutex, WhoTakesItAgainWaitsBehindWhoWaited) {
  TurnMutex mutex;
  std::atomic<bool> stop = false;
  std::atomic<int64_t> hoarded = 0;
  std::thread hoarder([&] {
    while (!stop) {
      const std::lock_guard lock(mutex);
      ++hoarded;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int turn = 0; turn < 20; ++turn) {
    const int64_t before = hoarded;
    const std::lock_guard lock(mutex);
    EXPECT_LE(hoarded - before, 2) << turn;  // the one under way, and one that had queued before
  }
  stop = true;
  hoarder.join();
}

}  // namespace
}  // namespace puna::backend::cpu
