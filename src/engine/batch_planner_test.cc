#include "engine/batch_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

namespace puna::engine {
namespace {

using ::testing::ElementsAre;

TEST(BatchPlanner, GeneratingSequencesGoFirst) {
  EXPECT_THAT(PlanRows(std::vector<int64_t>{100, 1, 1}, 10), ElementsAre(8, 1, 1));
}

TEST(BatchPlanner, PromptsInOrderOfArrival) {
  EXPECT_THAT(PlanRows(std::vector<int64_t>{5, 100, 3}, 16), ElementsAre(5, 11, 0));
  EXPECT_THAT(PlanRows(std::vector<int64_t>{5, 2, 3}, 16), ElementsAre(5, 2, 3));
}

TEST(BatchPlanner, MoreSequencesThanRows) {
  EXPECT_THAT(PlanRows(std::vector<int64_t>{7, 1, 1, 1}, 2), ElementsAre(0, 1, 1, 0));
  EXPECT_TRUE(PlanRows({}, 2).empty());
}

TEST(BatchPlanner, NeverTooMuchAndNeverIdle) {
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int64_t> remaining(1 + random() % 12);
    for (int64_t& r : remaining)
      r = random() % 2 == 0 ? 1 : static_cast<int64_t>(1 + random() % 600);
    const auto max_rows = static_cast<int64_t>(1 + random() % 64);
    const std::vector<int64_t> rows = PlanRows(remaining, max_rows);
    const int64_t wanted = std::accumulate(remaining.begin(), remaining.end(), int64_t{0});
    EXPECT_EQ(std::accumulate(rows.begin(), rows.end(), int64_t{0}), std::min(wanted, max_rows));
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_GE(rows[i], 0);
      EXPECT_LE(rows[i], remaining[i]);
    }
  }
}

}  // namespace
}  // namespace puna::engine
