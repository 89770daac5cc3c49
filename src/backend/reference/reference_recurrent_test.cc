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

// Columns of the input.
View In(int64_t first, int64_t count = 1) { return {0, first, count}; }

class ReferenceRecurrent : public ::testing::Test {
 protected:
  // A delta rule over columns q, k, v, decay, beta.
  static DeltaOp Delta(int64_t heads, int64_t k_heads, int64_t k_size) {
    const int64_t keys = k_heads * k_size;
    DeltaOp op{.q = In(0, keys), .k = In(keys, keys), .v = In(2 * keys, heads)};
    op.decay = In(2 * keys + heads, heads);
    op.beta = In(2 * keys + 2 * heads, heads);
    op.heads = heads;
    op.k_heads = k_heads;
    op.k_size = k_size;
    op.v_size = 1;
    return op;
  }
  // One head of size 1 over columns r, w, k, v.
  static WkvOp Wkv() {
    WkvOp op{.r = In(0), .w = In(1), .k = In(2), .v = In(3)};
    op.heads = op.size = 1;
    return op;
  }
  // A scan over columns x, dt, b, c.
  static ScanOp Scan(int64_t heads, int64_t head_size, int64_t state_size) {
    const int64_t width = heads * head_size;
    ScanOp op{.x = In(0, width), .dt = In(width, heads)};
    op.b = In(width + heads, state_size);
    op.c = In(width + heads + state_size, state_size);
    op.heads = heads;
    op.head_size = head_size;
    op.state_size = state_size;
    return op;
  }
  // The rows of an op that writes to `out`.
  template <typename OpType>
  std::vector<float> Run(TinyPlan* plan, OpType op, int64_t width) {
    op.out = plan->Buffer(width);
    plan->Add(op);
    return plan->Run(backend_.get(), op.out);
  }

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

// softplus(kOne) = 1: ln(e - 1).
constexpr float kOne = 0.541324854612918f;

TEST_F(ReferenceRecurrent, ScanWithADecayPerValue) {
  TinyPlan plan(6, {3, kOne, 1, 2, 1, 1, 0, kOne, 0, 0, 1, 10});
  ScanOp op = Scan(1, 1, 2);
  op.decay = plan.Vector({std::log(0.5f), std::log(0.25f)});
  op.skip = plan.Vector({100});
  // The state is (3, 6) after the first token, (1.5, 1.5) after the second.
  EXPECT_THAT(Run(&plan, op, 1), Near({309, 16.5}));
}

TEST_F(ReferenceRecurrent, ScanHeadsShareWhatTheirGroupHas) {
  // Two heads of size 1 would each have a decay per value; with size 2 they have one each.
  TinyPlan plan(8, {1, 2, 3, 4, kOne, kOne, 5, 7});
  ScanOp op = Scan(2, 2, 1);
  op.decay = plan.Vector({-1, -1});
  op.skip = plan.Vector({0, 1000});
  EXPECT_THAT(Run(&plan, op, 4), Near({35, 70, 3105, 4140}));
}

TEST_F(ReferenceRecurrent, DeltaRuleReplacesWhatTheKeyKnew) {
  // The second token has the key of the first.
  TinyPlan plan(7, {1, 1, 1, 0, 6, kOne, 1, 1, 1, 1, 0, 10, kOne, 0.5});
  DeltaOp op = Delta(1, 1, 2);
  op.scale = 2;
  op.rate = plan.Vector({std::log(0.5f)});
  // State 6; then 3, of which half the way to 10.
  EXPECT_THAT(Run(&plan, op, 1), Near({12, 13}));
}

TEST_F(ReferenceRecurrent, DeltaHeadsReadTheirKeyHeadInTurnOrTiled) {
  for (const bool tiled : {false, true}) {
    TinyPlan plan(16, {1, 1, 1, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 1, 1, 1});
    DeltaOp op = Delta(4, 2, 1);
    op.tiled = tiled;
    op.rate = plan.Vector({-1, -1, -1, -1});
    EXPECT_THAT(Run(&plan, op, 4),
                Near(tiled ? std::vector<float>{1, 20, 3, 40} : std::vector<float>{1, 2, 30, 40}));
  }
}

TEST_F(ReferenceRecurrent, WkvWithABonusReadsTheStateBefore) {
  TinyPlan plan(4, {1, 0.5, 2, 3, 10, 0.5, 1, 1});
  WkvOp op = Wkv();
  op.bonus = plan.Vector({100});
  EXPECT_THAT(Run(&plan, op, 1), Near({600, 10 * (6 + 100)}));
}

TEST_F(ReferenceRecurrent, WkvErasesWithTheStateBefore) {
  // Behind the columns of others those of erase and write.
  TinyPlan plan(6, {1, 1, 2, 3, 0, 0, 1, 0.5, 1, 1, 2, 0.25});
  WkvOp op = Wkv();
  op.erase = In(4);
  op.write = In(5);
  op.scale = 10;
  // 6; then 3 + 1 + 0.25 * 12.
  EXPECT_THAT(Run(&plan, op, 1), Near({60, 70}));
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
