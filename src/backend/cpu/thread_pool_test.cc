#include "backend/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <vector>

namespace puna::backend::cpu {
namespace {

TEST(ThreadPool, RunsEveryChunkOnce) {
  for (int threads : {1, 2, 4, 7}) {
    ThreadPool pool(threads);
    std::vector<int> hits(1000);
    pool.Run([&](Worker& worker) { worker.For(1000, [&](int64_t i) { ++hits[i]; }); });
    EXPECT_EQ(hits, std::vector<int>(1000, 1)) << threads;
  }
}

TEST(ThreadPool, StreamsRunEveryChunkOnce) {
  for (int threads : {1, 2, 4, 7}) {
    ThreadPool pool(threads);
    for (const int64_t chunks : {0, 1, 3, 6, 8, 1000}) {
      std::vector<int> hits(static_cast<size_t>(chunks));
      pool.Run([&](Worker& worker) {
        worker.ForStreams(chunks, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
        worker.ForStreams(chunks, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
      });
      EXPECT_EQ(hits, std::vector<int>(static_cast<size_t>(chunks), 2)) << threads;
    }
  }
}

// The one that waits can only go on when the other has done all the rest of its share.
TEST(ThreadPool, StreamsHelpAWorkerThatIsLate) {
  ThreadPool pool(2);
  std::atomic<int64_t> done{0};
  pool.Run([&](Worker& worker) {
    worker.ForStreams(20, [&](int64_t chunk) {
      if (chunk == 0) {
        while (done.load() < 19) std::this_thread::yield();
      }
      ++done;
    });
  });
  EXPECT_EQ(done, 20);
}

TEST(ThreadPool, EveryWorkerRunsTheJob) {
  ThreadPool pool(4);
  std::vector<int> seen(4);
  pool.Run([&](Worker& worker) {
    EXPECT_EQ(worker.count(), 4);
    ++seen[worker.index()];
  });
  EXPECT_EQ(seen, std::vector<int>(4, 1));
}

// What one loop wrote is there for the next: the barrier orders plain memory. Sums double from loop
// to loop.
TEST(ThreadPool, LoopsSeeWhatEarlierLoopsWrote) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    constexpr int kSize = 64, kLoops = 300;
    std::vector<uint32_t> a(kSize, 1), b(kSize);
    pool.Run([&](Worker& worker) {
      for (int loop = 0; loop < kLoops; ++loop) {
        std::vector<uint32_t>& from = loop % 2 == 0 ? a : b;
        std::vector<uint32_t>& to = loop % 2 == 0 ? b : a;
        worker.For(kSize, [&](int64_t i) { to[i] = from[i] + from[kSize - 1 - i]; });
      }
    });
    uint32_t expected = 1;
    for (int loop = 0; loop < kLoops; ++loop) expected *= 2;
    EXPECT_EQ(a, std::vector<uint32_t>(kSize, expected));
  }
}

TEST(ThreadPool, ManyJobsWithPausesBetween) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  for (int job = 0; job < 200; ++job) {
    pool.Run([&](Worker& worker) {
      worker.For(job % 5, [&](int64_t i) { sum += i; });
      worker.Once([&] { sum += 1000; });
    });
    if (job % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(sum.load(), 200 * 1000 + 40 * (0 + 0 + 1 + 3 + 6));
}

// Two pools with twice as many threads as cores each must still finish soon.
TEST(ThreadPool, SurvivesMoreThreadsThanCores) {
  const int threads = 2 * UsableCores() + 1;
  std::atomic<int64_t> total{0};
  auto work = [&] {
    ThreadPool pool(threads);
    pool.Run([&](Worker& worker) {
      for (int loop = 0; loop < 200; ++loop) worker.For(8, [&](int64_t) { ++total; });
    });
  };
  const auto start = std::chrono::steady_clock::now();
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(total.load(), 2 * 200 * 8);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

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
}  // namespace puna::backend::cpu
