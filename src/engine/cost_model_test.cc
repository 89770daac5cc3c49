#include "engine/cost_model.h"

#include <gtest/gtest.h>

#include <random>

namespace puna::engine {
namespace {

double Truth(const StepWork& work) {
  return 0.018 + 0.0015 * static_cast<double>(work.rows) + 4e-7 * work.attended;
}

TEST(CostModel, KnowsNothingAtFirst) {
  CostModel cost;
  EXPECT_EQ(cost.Seconds({100, 1000}), 0);
  EXPECT_EQ(cost.RowsWithin(0.1, {}, 300, 0), 300);
  cost.Observe({0, 0}, 1);
  cost.Observe({5, 0}, 0);
  cost.Observe({5, 0}, -1);
  EXPECT_EQ(cost.Seconds({100, 1000}), 0);
}

TEST(CostModel, LearnsTheThreePartsFromNoisySteps) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> noise(0.9, 1.1);
  CostModel cost;
  for (int i = 0; i < 400; ++i) {
    const StepWork work = StepWork().Plus(1 + random() % (i % 3 == 0 ? 400 : 8), random() % 6000);
    cost.Observe(work, Truth(work) * noise(random));
  }
  for (const int64_t rows : {1, 4, 30, 100, 500}) {
    for (const int64_t depth : {0, 1000, 4000}) {
      const StepWork work = StepWork().Plus(rows, depth);
      EXPECT_NEAR(cost.Seconds(work) / Truth(work), 1, 0.15) << rows << " at " << depth;
    }
  }
}

TEST(CostModel, ALongAnswerDoesNotMakeItForgetWhatPromptsCost) {
  CostModel cost;
  for (const int64_t rows : {64, 200, 400}) cost.Observe({rows, 0}, Truth({rows, 0}));
  for (int64_t depth = 0; depth < 20000; ++depth) {
    const StepWork work = StepWork().Plus(1, depth / 10);
    cost.Observe(work, Truth(work));
  }
  EXPECT_NEAR(cost.Seconds({100, 0}) / Truth({100, 0}), 1, 0.1);
}

TEST(CostModel, OneInterruptedStepIsNotBelieved) {
  CostModel cost;
  for (int i = 0; i < 20; ++i) cost.Observe({1, 0}, 0.02);
  cost.Observe({1, 0}, 30);
  EXPECT_LT(cost.Seconds({1, 0}), 0.03);
  for (int i = 0; i < 60; ++i) cost.Observe({1, 0}, 0.08);  // a change that stays is
  EXPECT_NEAR(cost.Seconds({1, 0}), 0.08, 0.01);
}

TEST(CostModel, OverrunIsWhatPlannedStepsTookLonger) {
  CostModel cost;
  const auto teach = [&] {
    for (const int64_t rows : {1, 2, 8, 100, 400}) cost.Observe({rows, 0}, Truth({rows, 0}));
  };
  teach();
  EXPECT_EQ(cost.Overrun(), 1);
  cost.ObservePlanned({40, 0}, 0.8 * Truth({40, 0}));  // sooner than foretold is no reason
  EXPECT_EQ(cost.Overrun(), 1);
  std::mt19937 random(5);
  std::uniform_real_distribution<double> noise(0.95, 1.05);
  int later = 0;
  for (int i = 0; i < 640; ++i) {
    const double seconds = Truth({40, 0}) * noise(random);
    later += i >= 64 && seconds > cost.Seconds({40, 0}) * cost.Overrun();
    cost.ObservePlanned({40, 0}, seconds);
  }
  EXPECT_NEAR(cost.Overrun(), 1.05, 0.03);
  EXPECT_LT(later, 576 / 10);                                    // about one in 16
  for (int i = 0; i < 2; ++i) cost.ObservePlanned({40, 0}, 30);  // interruptions
  EXPECT_NEAR(cost.Overrun(), 1.05, 0.03);
  for (int i = 0; i < 3; ++i) cost.ObservePlanned({40, 0}, 1.3 * cost.Seconds({40, 0}));
  EXPECT_NEAR(cost.Overrun(), 1.3, 0.03);
  for (int i = 0; i < 64; ++i) cost.ObservePlanned({40, 0}, 30 + i * 30);
  EXPECT_LE(cost.Overrun(), 2);
}

TEST(CostModel, OneInterruptionAmongTheFirstPlannedStepsIsNoOverrun) {
  CostModel cost;
  for (const int64_t rows : {1, 2, 8, 100, 400}) cost.Observe({rows, 0}, Truth({rows, 0}));
  cost.ObservePlanned({40, 0}, 10 * Truth({40, 0}));
  EXPECT_EQ(cost.Overrun(), 1);
  cost.ObservePlanned({40, 0}, cost.Seconds({40, 0}));
  EXPECT_EQ(cost.Overrun(), 1);
}

TEST(CostModel, WhatIsNotKnownIsTakenForTheCostOfRows) {
  CostModel cost;
  cost.Observe({300, 300 * 150}, 1.2);
  EXPECT_NEAR(cost.Seconds({3, 3}), 0.012, 0.001);
  EXPECT_EQ(cost.most_rows(), 300);
  CostModel plain;
  for (const double depth : {10.0, 600.0, 3000.0}) plain.Observe({1, depth}, 0.02 + 1e-6 * depth);
  EXPECT_NEAR(plain.Seconds({10, 0}), 0.2, 0.01);
}

TEST(CostModel, AfterARestartOnlyTheWidestStepBoundsRows) {
  const auto slow = [](double rows) { return 0.5 + 0.004 * rows; };
  CostModel cost;
  cost.Restart();
  EXPECT_EQ(cost.Seconds({100, 0}), 0);
  cost.Observe({300, 0}, slow(300));
  for (int i = 0; i < 9; ++i) {
    cost.Observe({1, 0}, slow(1));
    cost.ObservePlanned({40, 0}, slow(40));
  }
  cost.Restart();
  EXPECT_EQ(cost.most_rows(), 0);
  EXPECT_EQ(cost.Overrun(), 1);
  EXPECT_LT(cost.Seconds({8, 0}), 0.05);
  EXPECT_NEAR(cost.Seconds({100, 0}), slow(300) / 3, 0.01);
  for (int i = 0; i < 30; ++i) cost.Observe({1, 0}, 0.02);  // nothing yet about rows
  EXPECT_NEAR(cost.Seconds({1, 0}), 0.02, 0.001);
  EXPECT_NEAR(cost.Seconds({100, 0}), slow(300) / 3, 0.05);
  cost.Observe({20, 0}, 0.1);
  EXPECT_NEAR(cost.Seconds({100, 0}), 0.42, 0.02);
}

TEST(CostModel, RowsWithinIsTheMostThatFit) {
  CostModel cost;
  for (const int64_t rows : {1, 2, 8, 100, 400}) {
    const StepWork work = StepWork().Plus(rows, rows * 7);
    cost.Observe(work, Truth(work));
  }
  const StepWork plain = StepWork().Plus(3, 500);
  for (const double seconds : {0.0, 0.01, 0.05, 0.15, 0.4}) {
    const int64_t rows = cost.RowsWithin(seconds, plain, 300, 900);
    EXPECT_TRUE(rows == 0 || cost.Seconds(plain.Plus(rows, 900)) <= seconds);
    EXPECT_TRUE(rows == 300 || cost.Seconds(plain.Plus(rows + 1, 900)) > seconds);
  }
}

}  // namespace
}  // namespace puna::engine
