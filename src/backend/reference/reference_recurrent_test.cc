// The recurrent ops against values worked out by hand from their definitions in plan.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/reference/reference.h"
#include "tests/support/tiny_plan.h"

namespace puna::backend {
namespace {

using ::testing::ElementsAre;
using testing::TinyPlan;

auto Near(const std::vector<float>& expected) {
  return ::testing::Pointwise(::testing::FloatNear(1e-5f), expected);
}

class ReferenceRecurrent : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = CreateReferenceBackend();
};

TEST_F(ReferenceRecurrent, ConvolutionSeesZerosBeforeTheFirstToken) {
  TinyPlan plan(2, {1, 10, 2, 20, 3, 30});
  const View out = plan.Buffer(2);
  plan.Add(ConvolutionOp{.in = plan.Input(),
                         .out = out,
                         .kernel = 3,
                         .weight = plan.Weight(3, 2, 1, {100, 10, 1, 0, 0, 1}),
                         .bias = plan.Vector({0.5, 0})});
  EXPECT_THAT(plan.Run(backend_.get(), out), ElementsAre(1.5, 10, 12.5, 20, 123.5, 30));
}

TEST_F(ReferenceRecurrent, ConvolutionWithoutWeightDelays) {
  TinyPlan plan(1, {1, 2, 3, 4});
  const View out = plan.Buffer(1);
  plan.Add(ConvolutionOp{.in = plan.Input(), .out = out, .kernel = 3});
  EXPECT_THAT(plan.Run(backend_.get(), out), ElementsAre(0, 0, 1, 2));
}

// x, dt, b[2], c[2] in one row; softplus(ln(e - 1)) = 1.
constexpr float kOne = 0.541324854612918f;

TEST_F(ReferenceRecurrent, ScanWithADecayPerValue) {
  TinyPlan plan(6, {3, kOne, 1, 2, 1, 1, 0, kOne, 0, 0, 1, 10});
  const View out = plan.Buffer(1);
  const float half = std::log(0.5f), quarter = std::log(0.25f);
  plan.Add(ScanOp{.x = {0, 0, 1},
                  .dt = {0, 1, 1},
                  .b = {0, 2, 2},
                  .c = {0, 4, 2},
                  .out = out,
                  .heads = 1,
                  .head_size = 1,
                  .state_size = 2,
                  .decay = plan.Vector({half, quarter}),
                  .skip = plan.Vector({100})});
  // The state is (3, 6) after the first token, (1.5, 1.5) after the second.
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({309, 16.5}));
}

TEST_F(ReferenceRecurrent, ScanHeadsShareWhatTheirGroupHas) {
  // Two heads of size 1 would each have a decay per value; with size 2 they have one each.
  TinyPlan plan(8, {1, 2, 3, 4, kOne, kOne, 5, 7});
  const View out = plan.Buffer(4);
  plan.Add(ScanOp{.x = {0, 0, 4},
                  .dt = {0, 4, 2},
                  .b = {0, 6, 1},
                  .c = {0, 7, 1},
                  .out = out,
                  .heads = 2,
                  .head_size = 2,
                  .state_size = 1,
                  .decay = plan.Vector({-1, -1}),
                  .skip = plan.Vector({0, 1000})});
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({35, 70, 3105, 4140}));
}

TEST_F(ReferenceRecurrent, DeltaRuleReplacesWhatTheKeyKnew) {
  // q[2], k[2], v[1], decay, beta of one head; the second token has the key of the first.
  TinyPlan plan(7, {1, 1, 1, 0, 6, kOne, 1, 1, 1, 1, 0, 10, kOne, 0.5});
  const View out = plan.Buffer(1);
  plan.Add(DeltaOp{.q = {0, 0, 2},
                   .k = {0, 2, 2},
                   .v = {0, 4, 1},
                   .decay = {0, 5, 1},
                   .beta = {0, 6, 1},
                   .out = out,
                   .heads = 1,
                   .k_heads = 1,
                   .k_size = 2,
                   .v_size = 1,
                   .scale = 2,
                   .rate = plan.Vector({std::log(0.5f)})});
  // State 6; then 3, of which half the way to 10.
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({12, 13}));
}

TEST_F(ReferenceRecurrent, DeltaHeadsReadTheirKeyHeadInTurnOrTiled) {
  for (const bool tiled : {false, true}) {
    // q and k of two key heads, v, decay and beta of four heads.
    TinyPlan plan(16, {1, 1, 1, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 1, 1, 1});
    const View out = plan.Buffer(4);
    plan.Add(DeltaOp{.q = {0, 0, 2},
                     .k = {0, 2, 2},
                     .v = {0, 4, 4},
                     .decay = {0, 8, 4},
                     .beta = {0, 12, 4},
                     .out = out,
                     .heads = 4,
                     .k_heads = 2,
                     .k_size = 1,
                     .v_size = 1,
                     .tiled = tiled,
                     .rate = plan.Vector({-1, -1, -1, -1})});
    EXPECT_THAT(plan.Run(backend_.get(), out),
                Near(tiled ? std::vector<float>{1, 20, 3, 40} : std::vector<float>{1, 2, 30, 40}));
  }
}

TEST_F(ReferenceRecurrent, WkvWithABonusReadsTheStateBefore) {
  // r, w, k, v of one head of size 1.
  TinyPlan plan(4, {1, 0.5, 2, 3, 10, 0.5, 1, 1});
  const View out = plan.Buffer(1);
  plan.Add(WkvOp{.r = {0, 0, 1},
                 .w = {0, 1, 1},
                 .k = {0, 2, 1},
                 .v = {0, 3, 1},
                 .out = out,
                 .heads = 1,
                 .size = 1,
                 .bonus = plan.Vector({100})});
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({600, 10 * (6 + 100)}));
}

TEST_F(ReferenceRecurrent, WkvErasesWithTheStateBefore) {
  // r, w, k, v, erase, write of one head of size 1.
  TinyPlan plan(6, {1, 1, 2, 3, 0, 0, 1, 0.5, 1, 1, 2, 0.25});
  const View out = plan.Buffer(1);
  plan.Add(WkvOp{.r = {0, 0, 1},
                 .w = {0, 1, 1},
                 .k = {0, 2, 1},
                 .v = {0, 3, 1},
                 .out = out,
                 .erase = {0, 4, 1},
                 .write = {0, 5, 1},
                 .heads = 1,
                 .size = 1,
                 .scale = 10});
  // 6; then 3 + 1 + 0.25 * 12.
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({60, 70}));
}

TEST_F(ReferenceRecurrent, AffineWithAndWithoutEither) {
  TinyPlan plan(2, {2, 3});
  const View scaled = plan.Buffer(2);
  plan.Add(AffineOp{.in = plan.Input(), .out = scaled, .weight = plan.Vector({10, 100})});
  plan.Add(AffineOp{.in = scaled, .out = scaled, .bias = plan.Vector({1, 2})});
  EXPECT_THAT(plan.Run(backend_.get(), scaled), ElementsAre(21, 302));
}

}  // namespace
}  // namespace puna::backend
