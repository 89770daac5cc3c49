#include "backend/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <random>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/cores.h"
#include "tests/support/no_threads.h"

namespace puna::backend::cpu {
namespace {

TEST(ThreadPool, ThatCannotStartAllIsAnError) {
  const NoThreads limit;
  const ThreadPool pool(3);
  ASSERT_FALSE(pool.status());
  EXPECT_EQ(pool.status().error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(ThreadPool(1).status()) << "needs no other";
  EXPECT_FALSE(CreateCpuBackend({.threads = 2}, nullptr));
}

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

// A worker that lost its core between loops holds nobody up, and does nothing twice when it is
// back.
TEST(ThreadPool, LoopsEndWithoutAWorkerThatIsAway) {
  ThreadPool pool(2);
  std::atomic<bool> away{false}, over{false};
  std::vector<int> hits(300);
  std::atomic<int> by_the_late_one{0};
  pool.Run([&](Worker& worker) {
    EXPECT_EQ(worker.count(), 2);
    if (worker.index() == 1) {
      away = true;
      while (!over) std::this_thread::yield();
    } else {
      while (!away) std::this_thread::yield();
    }
    for (int loop = 0; loop < 100; ++loop) {
      const auto count = [&](int64_t i) {
        ++hits[static_cast<size_t>(3 * loop + i)];
        by_the_late_one += worker.index();
      };
      if (loop % 2 == 0) {
        worker.For(3, count);
      } else {
        worker.ForStreams(3, count);
      }
    }
    over = true;
  });
  EXPECT_EQ(hits, std::vector<int>(300, 1));
  EXPECT_EQ(by_the_late_one, 0);
}

// Workers that are away now and then, at places that differ from run to run.
TEST(ThreadPool, WorkersComeAndGo) {
  for (int threads : {2, 3, 5}) {
    ThreadPool pool(threads);
    constexpr int kLoops = 400, kChunks = 7;
    for (int job = 0; job < 5; ++job) {
      std::vector<int64_t> sums(kChunks, 1);
      std::vector<int64_t> others(kChunks);
      pool.Run([&](Worker& worker) {
        std::minstd_rand random(static_cast<unsigned>(100 * job + worker.index() + 1));
        for (int loop = 0; loop < kLoops; ++loop) {
          if (random() % 50 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
          std::vector<int64_t>& from = loop % 2 == 0 ? sums : others;
          std::vector<int64_t>& to = loop % 2 == 0 ? others : sums;
          const auto step = [&](int64_t i) {
            const auto at = static_cast<size_t>(i);
            to[at] = from[at] + from[(at + 1) % kChunks] % 3 + i;
          };
          if (loop % 3 == 0) {
            worker.ForStreams(kChunks, step);
          } else {
            worker.For(kChunks, step);
          }
        }
      });
      std::vector<int64_t> expected(kChunks, 1), next(kChunks);
      for (int loop = 0; loop < kLoops; ++loop) {
        for (size_t i = 0; i < kChunks; ++i) {
          next[i] = expected[i] + expected[(i + 1) % kChunks] % 3 + static_cast<int64_t>(i);
        }
        std::swap(expected, next);
      }
      EXPECT_EQ(sums, expected) << threads << " threads, job " << job;
    }
  }
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

}  // namespace
}  // namespace puna::backend::cpu
