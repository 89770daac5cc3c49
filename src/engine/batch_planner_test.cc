#include "engine/batch_planner.h"

#include <gtest/gtest.h>

#include <random>

namespace puna::engine {
namespace {

// 20 ms a step and 2 ms a row.
CostModel Taught() {
  CostModel cost;
  for (const int64_t rows : {1, 2, 8, 100, 400})
    cost.Observe({rows, 0}, 0.020 + 0.002 * static_cast<double>(rows));
  return cost;
}

TEST(StepPlan, PromptsGetWhatTheBudgetLeaves) {
  const CostModel cost = Taught();
  StepPlan plan(&cost, 512, 0.150);
  EXPECT_EQ(plan.TakeRows(1, 0), 1);
  EXPECT_EQ(plan.TakeRows(1, 0), 1);
  EXPECT_NEAR(plan.TakeChunk(1000, 0), 63, 1);  // 20 + 2 * 65 = 150
  EXPECT_EQ(plan.TakeChunk(1000, 0), 0);
  EXPECT_NEAR(cost.Seconds(plan.work()), 0.150, 0.003);
}

TEST(StepPlan, TheMarginForOverrunsDoesNotCutOffTheEndOfAPrompt) {
  CostModel cost = Taught();
  for (int i = 0; i < 32; ++i) cost.ObservePlanned({40, 0}, 1.1 * cost.Seconds({40, 0}));
  ASSERT_GT(cost.Overrun(), 1.05);
  const auto chunk = [&](int64_t remaining, int64_t most = 512) {
    StepPlan plan(&cost, 512, 0.150);
    plan.TakeRows(2, 0);
    return plan.TakeChunk(remaining, 0, most);
  };
  const int64_t with_margin = chunk(1000);
  int64_t within_budget = with_margin;
  while (cost.Seconds({within_budget + 3, 0}) <= 0.150) ++within_budget;
  ASSERT_GE(within_budget, with_margin + 2);
  EXPECT_EQ(chunk(with_margin), with_margin);
  EXPECT_EQ(chunk(within_budget), within_budget);
  EXPECT_EQ(chunk(within_budget + 1), with_margin);
  EXPECT_EQ(chunk(1000, within_budget), with_margin);  // a limit is no end
}

TEST(StepPlan, WholePromptsAreNotCut) {
  const CostModel cost = Taught();
  StepPlan plan(&cost, 512, 0.150);
  EXPECT_EQ(plan.TakeRows(1, 0), 1);
  EXPECT_EQ(plan.TakeWhole(512), 0) << "no room";
  EXPECT_EQ(plan.TakeWhole(300), 300) << "the first, though it takes 0.62 s";
  EXPECT_EQ(plan.TakeWhole(100), 0) << "no time";
  EXPECT_EQ(plan.work().rows, 301);
  EXPECT_FALSE(plan.bounded());
  StepPlan unwatched(&cost, 512, 0.150);
  EXPECT_EQ(unwatched.TakeWhole(200), 200);
  EXPECT_EQ(unwatched.TakeWhole(100), 100);
}

TEST(StepPlan, StepsThatOverranAreFollowedByShorterOnes) {
  CostModel cost = Taught();
  const StepWork planned = {65, 0};
  for (int i = 0; i < 64; ++i)  // every eighth takes a tenth longer
    cost.ObservePlanned(planned, 0.150 * (i % 8 == 0 ? 1.1 : 1));
  StepPlan plan(&cost, 512, 0.150);
  EXPECT_FALSE(plan.bounded());
  plan.TakeRows(1, 0);
  plan.TakeChunk(1000, 0);
  EXPECT_TRUE(plan.bounded());
  EXPECT_LT(1.08 * cost.Seconds(plan.work()), 0.150);
  EXPECT_GT(1.15 * cost.Seconds(plan.work()), 0.150);
  StepPlan unwatched(&cost, 512, 0.150);
  EXPECT_GT(unwatched.TakeChunk(1000, 0), 400);
  EXPECT_FALSE(unwatched.bounded());
}

TEST(StepPlan, ASlowModelGetsTwiceAPlainStep) {
  CostModel cost;
  for (const int64_t rows : {1, 2, 8, 100})
    cost.Observe({rows, 0}, 0.4 + 0.04 * static_cast<double>(rows));
  StepPlan plan(&cost, 512, 0.150);
  plan.TakeRows(1, 0);
  EXPECT_NEAR(plan.TakeChunk(1000, 0), 11, 1);  // 0.44 + 0.04 n = 0.88
}

TEST(StepPlan, DepthCounts) {
  CostModel cost;
  for (const int64_t rows : {1, 3, 8, 60, 300}) {
    for (const double depth : {0.0, 1000.0, 4000.0}) {
      const double attended = static_cast<double>(rows) * depth;
      cost.Observe({rows, attended}, 0.02 + 0.001 * static_cast<double>(rows) + 1e-6 * attended);
    }
  }
  StepPlan shallow(&cost, 512, 0.15), deep(&cost, 512, 0.15);
  shallow.TakeRows(1, 0);
  deep.TakeRows(1, 0);
  EXPECT_NEAR(shallow.TakeChunk(1000, 0), 120, 15);
  EXPECT_NEAR(deep.TakeChunk(1000, 4000), 26, 4);  // 5 ms a row
}

TEST(StepPlan, WithoutReadersStepsAreLong) {
  const CostModel cost = Taught();
  StepPlan plan(&cost, 512, 0.150);
  EXPECT_NEAR(plan.TakeChunk(1000, 0), 490, 5);  // a second
  CostModel slow;
  slow.Observe({10, 0}, 10);
  StepPlan patient(&slow, 512, 0.150);
  EXPECT_EQ(patient.TakeChunk(1000, 0), 64);
}

TEST(StepPlan, BesideWholeAnswersStepsAreLonger) {
  const CostModel cost = Taught();
  const auto chunk = [&](std::initializer_list<bool> streamed, double budget = 0.150) {
    StepPlan plan(&cost, 512, budget);
    for (const bool one : streamed) EXPECT_EQ(plan.TakeRows(1, 0, one), 1);
    return plan.TakeChunk(1000, 0);
  };
  EXPECT_NEAR(chunk({false, false}), 238, 1);  // 20 + 2 * 240 = 500
  EXPECT_NEAR(chunk({false, true}), 63, 1);    // somebody reads
  EXPECT_NEAR(chunk({true, false}), 63, 1);
  EXPECT_NEAR(chunk({false}, 0.700), 339, 1);
}

TEST(StepPlan, WhatNobodyWaitsForHoldsNobodyUp) {
  const auto rows = [](const CostModel& cost, int64_t remaining) {
    StepPlan plan(&cost, 512, 0.150);
    return plan.TakeBackground(remaining, 0);
  };
  EXPECT_NEAR(rows(Taught(), 1000), 15, 1);  // 20 + 2 * 15 = 50
  EXPECT_EQ(rows(Taught(), 3), 3);
  EXPECT_EQ(rows(CostModel(), 1000), 16) << "it is not known how long they take";
  CostModel large;  // a second a step
  for (const int64_t n : {1, 8, 100}) large.Observe({n, 0}, 1 + 0.01 * static_cast<double>(n));
  EXPECT_NEAR(rows(large, 1000), 102, 2) << "twice as long as with one";
  CostModel slow;  // as fast with one as with many
  for (const int64_t n : {1, 8, 100}) slow.Observe({n, 0}, 0.2 * static_cast<double>(n));
  EXPECT_NEAR(rows(slow, 1000), 2, 1);
}

TEST(StepPlan, SomePromptAlwaysAdvances) {
  CostModel cost;
  for (const double depth : {0.0, 1000.0, 4000.0}) cost.Observe({1, depth}, 0.01 + 1e-3 * depth);
  StepPlan plan(&cost, 4, 0.150);
  EXPECT_EQ(plan.TakeRows(1, 0), 1);
  EXPECT_EQ(plan.TakeChunk(100, 10000), 1);
  EXPECT_EQ(plan.TakeChunk(100, 10000), 0);
}

TEST(StepPlan, BesideReadersWidthGrowsByWhatWasSeen) {
  CostModel cost;
  const auto chunk = [&] {
    StepPlan plan(&cost, 512, 0.150);
    plan.TakeRows(1, 0);
    return plan.TakeChunk(1000, 0);
  };
  EXPECT_EQ(chunk(), 15);
  for (const int64_t rows : {1, 6}) cost.Observe({rows, 0}, 0.02);  // as if rows cost nothing
  EXPECT_EQ(chunk(), 23);
  cost.Observe({40, 0}, 0.02);
  EXPECT_EQ(chunk(), 159);
  StepPlan unwatched(&cost, 512, 0.150);
  EXPECT_EQ(unwatched.TakeChunk(1000, 0), 512);
}

TEST(StepPlan, NeverMoreThanItsRows) {
  std::mt19937 random(11);
  CostModel wide;  // and nearly free
  wide.Observe({64, 0}, 1e-6);
  for (int round = 0; round < 500; ++round) {
    const auto most = static_cast<int64_t>(1 + random() % 64);
    StepPlan plan(&wide, most, 0.150);
    int64_t taken = 0, wanted = 0;
    for (int i = 0; i < 12; ++i) {
      const auto rows = static_cast<int64_t>(1 + random() % 30);
      const bool reader = i < 6;
      const int64_t got = reader ? plan.TakeRows(rows, 5) : plan.TakeChunk(rows, 5);
      EXPECT_GE(got, 0);
      EXPECT_LE(got, rows);
      taken += got;
      wanted += rows;
    }
    EXPECT_EQ(taken, std::min(wanted, most));
    EXPECT_EQ(plan.work().rows, taken);
  }
}

TEST(PromptUrgency, ShortPromptsOvertakeForABoundedTime) {
  EXPECT_LT(PromptUrgency(0.1, 0), PromptUrgency(5, 0));
  EXPECT_LT(PromptUrgency(0.1, 0), PromptUrgency(5, 4.8));
  EXPECT_GT(PromptUrgency(0.1, 0), PromptUrgency(5, 5));
}

}  // namespace
}  // namespace puna::engine
