// The ops of networks that are more than attention and feed-forward in turn, against values worked
// out by hand from their definitions in plan.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/reference/reference.h"
#include "tests/support/tiny_plan.h"

namespace puna::backend {
namespace {

using ::testing::ElementsAre;
using ::testing::Pointwise;
using testing::TinyPlan;

class ReferenceStreams : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = CreateReferenceBackend();
};

auto Near(const std::vector<float>& expected) {
  return Pointwise(::testing::FloatNear(1e-5f), expected);
}

TEST_F(ReferenceStreams, HeadMatMulLeavesGapsAlone) {
  // Two heads of two values, at 0 and 3; each has a matrix of one row.
  TinyPlan plan(5, {1, 2, 9, 3, 4});
  const WeightId weight = plan.Weight(2, 1, 2, {10, 1, 100, 1});
  const View out = plan.Buffer(4);
  plan.Add(CopyHeadsOp{
      .in = {0, 2, 1}, .out = out, .heads = 4, .size = 1, .in_stride = 0, .out_stride = 1});
  plan.Add(HeadMatMulOp{.in = plan.Input(),
                        .out = {out.buffer, 1, 3},
                        .in_stride = 3,
                        .out_stride = 2,
                        .weight = weight});
  EXPECT_THAT(plan.Run(backend_.get(), out), ElementsAre(9, 12, 9, 304));
}

TEST_F(ReferenceStreams, PositionScaleGrowsInSteps) {
  TinyPlan plan(1, {1, 1, 1, 1});
  plan.Add(PositionScaleOp{.inout = plan.Input(), .scale = 0.5f, .length = 2, .offset = 1});
  const float one = 1 + 0.5f * std::log(2.0f), two = 1 + 0.5f * std::log(3.0f);
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({1, one, one, two}));
}

TEST_F(ReferenceStreams, Xielu) {
  TinyPlan plan(3, {2, -1, -0.5f});
  plan.Add(XieluOp{
      .inout = plan.Input(), .alpha_n = 3, .alpha_p = 0.5f, .beta = 0.25f, .epsilon = -0.75f});
  const auto negative = [](float x, float bent) { return 3 * (std::expm1(bent) - x) + 0.25f * x; };
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()),
              Near({0.5f * 4 + 0.25f * 2, negative(-1, -1), negative(-0.5f, -0.75f)}));
}

TEST_F(ReferenceStreams, ClampsTheActivatedGate) {
  TinyPlan plan(2, {5, -9, 1, 2});
  plan.Add(GatedOp{.activation = Activation::kIdentity,
                   .gate = {0, 0, 1},
                   .up = {0, 1, 1},
                   .out = {0, 1, 1},
                   .limit = 3,
                   .clamp_activated = true});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), ElementsAre(5, 3 * -3, 1, 2));
}

TEST_F(ReferenceStreams, ScaleByWeightAndOffset) {
  TinyPlan plan(2, {1, 2});
  plan.Add(
      ScaleOp{.inout = plan.Input(), .scale = 2, .offset = 0.5f, .weight = plan.Vector({3, -1})});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), ElementsAre(6.5f, -3.5f));
}

TEST_F(ReferenceStreams, MixesStreams) {
  TinyPlan plan(10, {1, 2, 10, 20, /* weights */ 1, 0, 0, 1, 2, 3});
  const View out = plan.Buffer(6);
  plan.Add(MixOp{.in = {0, 0, 4}, .weights = {0, 4, 6}, .out = out, .inputs = 2, .outputs = 3});
  EXPECT_THAT(plan.Run(backend_.get(), out), ElementsAre(1, 2, 10, 20, 32, 64));
}

TEST_F(ReferenceStreams, MatchesTheLengthOfEveryRun) {
  TinyPlan plan(6, {0, 10, 3, 4, 0, 0});
  plan.Add(MatchLengthOp{.inout = {0, 2, 4}, .like = {0, 0, 2}});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({0, 10, 6, 8, 0, 0}));
}

TEST_F(ReferenceStreams, CutsBelowTheMeanAndDeviations) {
  TinyPlan plan(3, {1, 2, 6});  // mean 3, deviation sqrt(14 / 2)
  plan.Add(CutBelowOp{.inout = plan.Input(), .deviations = 0.5f});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({0, 0, 3 - 0.5f * std::sqrt(7.0f)}));
}

TEST_F(ReferenceStreams, Softmax) {
  TinyPlan plan(2, {0, std::log(3.0f)});
  plan.Add(SoftmaxOp{.inout = plan.Input()});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({0.25f, 0.75f}));
}

TEST_F(ReferenceStreams, RoutesToFoldedExpertsWithScalesOfTheirOwn) {
  // Winners are experts 3 and 0 of four, which stand for 1 and 0 of two; the weights are those of
  // the logits 1 and 0.
  TinyPlan plan(5, {8, 2, 1, 9, /* input */ 1});
  plan.plan().routes = 1;
  plan.Add(RouteOp{.logits = {0, 0, 4},
                   .score = RouterScore::kSoftmaxOfSelected,
                   .experts = 4,
                   .used = 2,
                   .fold = 2,
                   .expert_scale = plan.Vector({1, 10})});
  const View out = plan.Buffer(1);
  plan.Add(ExpertsOp{.in = {0, 4, 1},
                     .out = out,
                     .up = plan.Weight(1, 1, 2, {1, 1}),
                     .down = plan.Weight(1, 1, 2, {1, 100}),
                     .activation = Activation::kIdentity});
  const double first = 1 / (1 + std::exp(2.0 - 8.0));  // of expert 0 against expert 1
  EXPECT_THAT(plan.Run(backend_.get(), out),
              Near({static_cast<float>(first + (1 - first) * 1000)}));
}

TEST_F(ReferenceStreams, AttentionToAChunk) {
  TinyPlan plan(3, {0, 1, 1, 0, 1, 3, 0, 1, 5, 0, 1, 9});
  AttentionOp op{.q = {0, 0, 1}, .k = {0, 1, 1}, .v = {0, 2, 1}, .out = plan.Buffer(1)};
  op.heads = op.kv_heads = op.k_size = op.v_size = 1;
  op.chunk = 3;
  plan.Add(op);
  EXPECT_THAT(plan.Run(backend_.get(), op.out), Near({1, 2, 3, 9}));
}

TEST_F(ReferenceStreams, AttentionWithValuesInTheKeys) {
  for (const bool cached : {false, true}) {
    TinyPlan plan(3, {0, 4, 7, 0, 8, 7});
    AttentionOp op{.q = {0, 0, 2}, .k = {0, 1, 2}, .out = plan.Buffer(1)};
    op.q = plan.Buffer(2);
    op.heads = op.kv_heads = op.v_size = 1;
    op.k_size = 2;
    op.scale = 0;
    op.v_in_k = true;
    if (cached) {
      op.cache = 0;
      plan.plan().cache_layers.push_back({1, 2, 0, 0});
    }
    plan.Add(CopyHeadsOp{
        .in = {0, 0, 2}, .out = op.q, .heads = 1, .size = 2, .in_stride = 2, .out_stride = 2});
    plan.Add(op);
    EXPECT_THAT(plan.Run(backend_.get(), op.out), Near({4, 6}));
  }
}

TEST_F(ReferenceStreams, AttentionWithAPositionBias) {
  // Buckets of a causal bias: 0 for the token itself, 1 for the one before.
  const float bias = std::log(3.0f);
  TinyPlan plan(3, {0, 1, 1, 0, 1, 5});
  AttentionOp op{.q = {0, 0, 1}, .k = {0, 1, 1}, .v = {0, 2, 1}, .out = plan.Buffer(1)};
  op.heads = op.kv_heads = op.k_size = op.v_size = 1;
  op.position_bias = plan.Weight(1, 8, 1, {0, bias, 0, 0, 0, 0, 0, 0});
  plan.Add(op);
  EXPECT_THAT(plan.Run(backend_.get(), op.out), Near({1, (3 * 1 + 5) / 4.0f}));
}

// The published function of T5 for 32 buckets (Raffel et al. 2020), both ways and one way.
TEST(RelativeBucket, ExactThenLogarithmicThenAllAlike) {
  EXPECT_EQ(RelativeBucket(0, 32, true), 0);
  EXPECT_EQ(RelativeBucket(-7, 32, true), 7);
  EXPECT_EQ(RelativeBucket(7, 32, true), 16 + 7);
  EXPECT_EQ(RelativeBucket(-8, 32, true), 8);
  EXPECT_EQ(RelativeBucket(-16, 32, true), 10);
  EXPECT_EQ(RelativeBucket(-127, 32, true), 15);
  EXPECT_EQ(RelativeBucket(500, 32, true), 31);
  EXPECT_EQ(RelativeBucket(5, 32, false), 0);
  EXPECT_EQ(RelativeBucket(-15, 32, false), 15);
  EXPECT_EQ(RelativeBucket(-20, 32, false), 17);
  EXPECT_EQ(RelativeBucket(-500, 32, false), 31);
}

TEST_F(ReferenceStreams, IndexChoosesTheBestKeys) {
  // One index head of one value; index keys are 5, -1, 3, 4; the query is 1, so scores are 5, 0, 3,
  // 4. Attention is the mean of the values 1, 10, 100, 1000 of what was chosen.
  for (const bool cached : {false, true}) {
    TinyPlan plan(4, {1, 5, 2, 1, 1, -1, 2, 10, 1, 3, 2, 100, 1, 4, 2, 1000});
    plan.plan().selections = 1;
    IndexOp index{.q = {0, 0, 1}, .k = {0, 1, 1}, .weights = {0, 2, 1}};
    index.heads = index.size = 1;
    index.used = 2;
    AttentionOp op{.q = {0, 0, 1}, .k = {0, 1, 1}, .v = {0, 3, 1}, .out = plan.Buffer(1)};
    op.heads = op.kv_heads = op.k_size = op.v_size = 1;
    op.scale = 0;
    op.selection = 0;
    if (cached) {
      index.cache = 0;
      op.cache = 1;
      plan.plan().cache_layers = {{1, 1, 0, 0}, {1, 1, 1, 0}};
    }
    plan.Add(index);
    plan.Add(op);
    EXPECT_THAT(plan.Run(backend_.get(), op.out), Near({1, 5.5f, 50.5f, 500.5f}));
  }
}

}  // namespace
}  // namespace puna::backend
