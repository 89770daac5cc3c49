// Both kinds of threads that requests are worked on with, where the system has no more of them.
#include "api/transfer_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <future>

#include "api/blocking_pool.h"
#include "tests/support/no_threads.h"

namespace puna::api {
namespace {

TEST(TransferThreads, WithoutAThreadNothingIsPosted) {
  std::atomic<int> done = 0;
  TransferThreads threads(2);
  {
    const NoThreads limit;
    const Status posted = threads.Post([&] { ++done; });
    ASSERT_FALSE(posted);
    EXPECT_EQ(posted.error().code, ErrorCode::kResourceExhausted);
  }
  EXPECT_EQ(threads.started(), 0u);
  ASSERT_TRUE(threads.Post([&] { done += 10; }));
  threads.Join();
  EXPECT_EQ(done, 10);
}

TEST(TransferThreads, WithOneThreadWorkWaitsForIt) {
  std::promise<void> started, release;
  std::atomic<int> done = 0;
  TransferThreads threads(2);
  ASSERT_TRUE(threads.Post([&] {
    started.set_value();
    release.get_future().wait();
    ++done;
  }));
  started.get_future().wait();
  {
    const NoThreads limit;
    ASSERT_TRUE(threads.Post([&] { done = done * 10; }));
  }
  EXPECT_EQ(threads.started(), 1u);
  release.set_value();
  threads.Join();
  EXPECT_EQ(done, 10);
}

TEST(BlockingPool, WithoutAThreadDoesNotStart) {
  BlockingPool none;
  {
    const NoThreads limit;
    EXPECT_FALSE(none.Start(2));
  }
  std::atomic<int> done = 0;
  BlockingPool pool;
  ASSERT_TRUE(pool.Start(2));
  for (int i = 0; i < 100; ++i) boost::asio::post(pool.executor(), [&] { ++done; });
  pool.Join();
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace puna::api
