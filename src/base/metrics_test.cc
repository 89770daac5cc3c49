#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace puna {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, TextIsWhatPrometheusReads) {
  {
    Counter counter("test_requests_total", "Requests that came");
    counter.Add();
    counter.Add(41);
    Histogram histogram("test_seconds", "How long they took", {0.1, 1});
    for (const double seconds : {0.05, 0.1, 0.5, 7.0}) histogram.Observe(seconds);
    const std::string text = MetricsText();
    EXPECT_THAT(text, HasSubstr("# HELP test_requests_total Requests that came\n"
                                "# TYPE test_requests_total counter\n"
                                "test_requests_total 42\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE test_seconds histogram\n"
                                "test_seconds_bucket{le=\"0.1\"} 2\n"
                                "test_seconds_bucket{le=\"1\"} 3\n"
                                "test_seconds_bucket{le=\"+Inf\"} 4\n"
                                "test_seconds_sum 7.65\n"
                                "test_seconds_count 4\n"));
  }
  EXPECT_THAT(MetricsText(), Not(HasSubstr("test_requests_total")));
}

TEST(Metrics, GaugesEscapeTheirLabels) {
  std::string text;
  AppendGauge("test_pages", "Pages", "model", {{"a\"b\\c\nd", 3}, {"e", 0.5}}, &text);
  AppendGauge("test_up", "Up", "", {{"", 1}}, &text);
  EXPECT_EQ(text,
            "# HELP test_pages Pages\n# TYPE test_pages gauge\n"
            "test_pages{model=\"a\\\"b\\\\c\\nd\"} 3\ntest_pages{model=\"e\"} 0.5\n"
            "# HELP test_up Up\n# TYPE test_up gauge\ntest_up 1\n");
}

TEST(Metrics, CountFromManyThreads) {
  Counter counter("test_many_total", "Counted by many");
  Histogram histogram("test_many_seconds", "Observed by many", SecondsBounds());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5000; ++n) {
        counter.Add();
        histogram.Observe(0.001 * n);
      }
    });
  }
  for (int i = 0; i < 50; ++i) EXPECT_THAT(MetricsText(), HasSubstr("test_many_total"));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 20000);
  EXPECT_EQ(histogram.count(), 20000);
}

}  // namespace
}  // namespace puna
