// Each op against values worked out by hand from its definition in plan.h.
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

class ReferenceOps : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = CreateReferenceBackend();
};

auto Near(const std::vector<float>& expected) {
  return Pointwise(::testing::FloatNear(1e-6f), expected);
}

TEST_F(ReferenceOps, EmbedScalesTheRow) {
  TinyPlan plan(2, {1, 2, 3, 4});
  std::get<EmbedOp>(plan.plan().ops[0]).scale = 10;
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), ElementsAre(10, 20, 30, 40));
}

TEST_F(ReferenceOps, AddRowAddsThePositionOrAFixedRow) {
  TinyPlan plan(1, {0, 0});
  const WeightId table = plan.Weight(1, 4, 1, {1, 2, 3, 4});
  plan.plan().positions = 4;
  plan.Add(AddRowOp{.table = table, .inout = plan.Input()});
  plan.Add(AddRowOp{.table = table, .inout = plan.Input(), .fixed_row = 0});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input(), 2), ElementsAre(4, 5));
}

TEST_F(ReferenceOps, RmsNorm) {
  TinyPlan plan(2, {3, 4});
  const View out = plan.Buffer(2);
  plan.Add(NormOp{.kind = NormKind::kRms,
                  .in = plan.Input(),
                  .out = out,
                  .group = 2,
                  .weight = plan.Vector({1, 2})});
  const float rms = std::sqrt(12.5f);
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({3 / rms, 8 / rms}));
}

TEST_F(ReferenceOps, LayerNormWithBias) {
  TinyPlan plan(2, {1, 5});
  plan.Add(NormOp{.kind = NormKind::kLayer,
                  .in = plan.Input(),
                  .out = plan.Input(),
                  .group = 2,
                  .weight = plan.Vector({1, 3}),
                  .bias = plan.Vector({0.5, 0})});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({-0.5, 3}));
}

TEST_F(ReferenceOps, L2Norm) {
  TinyPlan plan(2, {3, 4, 0, 0});
  plan.Add(NormOp{
      .kind = NormKind::kL2, .in = plan.Input(), .out = plan.Input(), .group = 2, .epsilon = 0.5f});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({0.6f, 0.8f, 0, 0}));
}

TEST_F(ReferenceOps, NormPerGroupWithSharedAndWholeWeights) {
  TinyPlan shared(4, {2, 2, -3, 3});
  shared.Add(NormOp{
      .in = shared.Input(), .out = shared.Input(), .group = 2, .weight = shared.Vector({1, 2})});
  EXPECT_THAT(shared.Run(backend_.get(), shared.Input()), Near({1, 2, -1, 2}));
  TinyPlan whole(4, {2, 2, -3, 3});
  whole.Add(NormOp{
      .in = whole.Input(), .out = whole.Input(), .group = 2, .weight = whole.Vector({1, 2, 3, 4})});
  EXPECT_THAT(whole.Run(backend_.get(), whole.Input()), Near({1, 2, -3, 4}));
}

TEST_F(ReferenceOps, MatMulOfAColumnRangeWithBias) {
  TinyPlan plan(3, {9, 1, 2});
  const View out = plan.Buffer(3);
  plan.Add(MatMulOp{
      .in = plan.Input(), .out = out, .weight = plan.Weight(3, 3, 1, std::vector<float>(9, 0))});
  plan.Add(MatMulOp{.in = {0, 1, 2},
                    .out = {out.buffer, 1, 2},
                    .weight = plan.Weight(2, 2, 1, {1, 10, 100, 1000}),
                    .bias = plan.Vector({0.5, 0})});
  EXPECT_THAT(plan.Run(backend_.get(), out), ElementsAre(0, 21.5, 2100));
}

TEST_F(ReferenceOps, RopeInterleavedAndHalves) {
  constexpr float kQuarter = 1.5707963267948966f;
  const std::vector<float> frequencies = {kQuarter, 0};
  TinyPlan interleaved(5, {1, 2, 3, 4, 5});
  interleaved.Add(RopeOp{.kind = RopeKind::kInterleaved,
                         .inout = interleaved.Input(),
                         .head_size = 5,
                         .inverse_frequency = frequencies,
                         .magnitude = 2});
  EXPECT_THAT(interleaved.Run(backend_.get(), interleaved.Input(), 1), Near({-4, 2, 6, 8, 5}));
  TinyPlan halves(5, {1, 2, 3, 4, 5});
  halves.Add(RopeOp{.kind = RopeKind::kHalves,
                    .inout = halves.Input(),
                    .head_size = 5,
                    .inverse_frequency = frequencies});
  EXPECT_THAT(halves.Run(backend_.get(), halves.Input(), 1), Near({-3, 2, 1, 4, 5}));
}

TEST_F(ReferenceOps, RopeWithOffsetInEveryHead) {
  constexpr float kHalf = 3.14159265358979f;
  TinyPlan plan(6, {1, 2, 3, 4, 5, 6});
  plan.Add(RopeOp{
      .inout = plan.Input(), .head_size = 3, .head_offset = 1, .inverse_frequency = {kHalf}});
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input(), 1), Near({1, -2, -3, 4, -5, -6}));
}

TEST_F(ReferenceOps, Activations) {
  const auto run = [&](Activation activation) {
    TinyPlan plan(3, {-2, 0, 1});
    plan.Add(UnaryOp{.activation = activation, .in = plan.Input(), .out = plan.Input()});
    return plan.Run(backend_.get(), plan.Input());
  };
  EXPECT_THAT(run(Activation::kIdentity), ElementsAre(-2, 0, 1));
  EXPECT_THAT(run(Activation::kRelu), ElementsAre(0, 0, 1));
  EXPECT_THAT(run(Activation::kReluSquared), ElementsAre(0, 0, 1));
  EXPECT_THAT(run(Activation::kSigmoid), Near({0.11920292f, 0.5f, 0.73105858f}));
  EXPECT_THAT(run(Activation::kTanh), Near({-0.96402758f, 0, 0.76159416f}));
  EXPECT_THAT(run(Activation::kSilu), Near({-0.23840584f, 0, 0.73105858f}));
  EXPECT_THAT(run(Activation::kGeluErf), Near({-0.04550026f, 0, 0.84134475f}));
  EXPECT_THAT(run(Activation::kGeluTanh), Near({-0.04540231f, 0, 0.84119199f}));
  EXPECT_THAT(run(Activation::kGeluQuick), Near({-0.06434138f, 0, 0.84579577f}));
  EXPECT_THAT(run(Activation::kSoftplus), Near({0.12692801f, 0.69314718f, 1.31326169f}));
}

TEST_F(ReferenceOps, GatedPlainAndClamped) {
  TinyPlan plain(2, {2, 3});
  const View out = plain.Buffer(1);
  plain.Add(
      GatedOp{.activation = Activation::kRelu, .gate = {0, 0, 1}, .up = {0, 1, 1}, .out = out});
  EXPECT_THAT(plain.Run(backend_.get(), out), ElementsAre(6));

  TinyPlan clamped(2, {9, -9});  // gate is cut to 7, up to -7
  clamped.Add(
      GatedOp{.gate = {0, 0, 1}, .up = {0, 1, 1}, .out = {0, 1, 1}, .limit = 7, .alpha = 1.702f});
  const double expected = 7 / (1 + std::exp(-1.702 * 7)) * (-7 + 1);
  EXPECT_THAT(clamped.Run(backend_.get(), {0, 1, 1}), Near({static_cast<float>(expected)}));
}

TEST_F(ReferenceOps, AddMulScale) {
  TinyPlan plan(4, {1, 2, 3, 4});
  plan.Add(AddOp{.a = {0, 0, 2}, .b = {0, 2, 2}, .out = {0, 0, 2}, .scale = 2});  // 7, 10
  plan.Add(MulOp{.a = {0, 0, 2}, .b = {0, 2, 1}, .out = {0, 0, 2}});              // 21, 30
  plan.Add(MulOp{.a = {0, 0, 2}, .b = {0, 2, 2}, .out = {0, 0, 2}});              // 63, 120
  plan.Add(ScaleOp{.inout = {0, 0, 1}, .scale = 2});                              // 126
  plan.Add(ScaleOp{.inout = {0, 1, 1}, .softcap = 60});                           // 60 tanh 2
  plan.Add(ScaleOp{.inout = {0, 2, 2}, .scale = -2, .clamp = 7});                 // -6, -7
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input()), Near({126, 60 * std::tanh(2.0f), -6, -7}));
}

// One head of size 1, scores are products, values are 1, 10, 100.
class ReferenceAttention : public ReferenceOps {
 protected:
  // rows of q, k, v
  std::vector<float> Attend(AttentionOp op, std::vector<float> rows, int64_t start = 0,
                            bool cached = true) {
    TinyPlan plan(3, std::move(rows));
    op.q = {0, 0, 1};
    op.k = {0, 1, 1};
    op.v = {0, 2, 1};
    op.out = plan.Buffer(1);
    op.heads = op.kv_heads = op.k_size = op.v_size = 1;
    if (sink_ != 0) op.sinks = plan.Vector({sink_});
    if (cached) {
      op.cache = 0;
      plan.plan().cache_layers.push_back({1, 1, 1, op.window});
    }
    plan.Add(op);
    return plan.Run(backend_.get(), op.out, start);
  }
  float sink_ = 0;
};

TEST_F(ReferenceAttention, CausalMeanOfEqualScores) {
  const std::vector<float> rows = {0, 1, 3, 0, 1, 6, 0, 1, 9};
  for (const bool cached : {true, false}) {
    EXPECT_THAT(Attend({}, rows, 0, cached), Near({3, 4.5, 6}));
    EXPECT_THAT(Attend({.window = 2}, rows, 0, cached), Near({3, 4.5, 7.5}));
    EXPECT_THAT(Attend({.causal = false}, rows, 0, cached), Near({6, 6, 6}));
    EXPECT_THAT(Attend({.window = 2, .causal = false}, rows, 0, cached), Near({4.5, 6, 7.5}));
  }
}

TEST_F(ReferenceAttention, ScoresSoftcapAndSinks) {
  const std::vector<float> rows = {0, 0, 1, 2, 3, 11};  // scores of token 1: 0 and 6
  const auto expected = [](double score) {
    return static_cast<float>(1 + 10 / (1 + std::exp(-score)));
  };
  EXPECT_THAT(Attend({}, rows), Near({1, expected(6)}));
  EXPECT_THAT(Attend({.scale = 0.5f}, rows), Near({1, expected(3)}));
  EXPECT_THAT(Attend({.softcap = 2}, rows), Near({1, expected(2 * std::tanh(3.0))}));
  EXPECT_THAT(Attend({.alibi_max_bias = 8}, rows), Near({1, expected(6 + 1.0 / 256)}));
  sink_ = 1;
  const double e0 = 1, e6 = std::exp(6), sink = std::exp(1);
  EXPECT_THAT(Attend({}, rows), Near({static_cast<float>(1 / (1 + sink)),
                                      static_cast<float>((e0 + 11 * e6) / (e0 + e6 + sink))}));
}

TEST_F(ReferenceAttention, AlibiSlopesOfHeadCountsThatAreNoPowerOfTwo) {
  // 3 heads: slopes 2^-4, 2^-8 and 2^-2 for a bias of 8.
  TinyPlan plan(5, {0, 0, 0, 1, 1, 0, 0, 0, 1, 2});  // q of 3 heads, k, v of one
  AttentionOp op{.q = {0, 0, 3}, .k = {0, 3, 1}, .v = {0, 4, 1}, .out = plan.Buffer(3)};
  op.heads = 3;
  op.kv_heads = op.k_size = op.v_size = 1;
  op.alibi_max_bias = 8;
  plan.Add(op);
  const auto expected = [](double slope) {
    return static_cast<float>(1 + 1 / (1 + std::exp(-slope)));
  };
  EXPECT_THAT(plan.Run(backend_.get(), op.out),
              Near({1, 1, 1, expected(1.0 / 16), expected(1.0 / 256), expected(1.0 / 4)}));
}

TEST_F(ReferenceOps, RouterKinds) {
  const auto weights = [&](RouteOp op, std::vector<float> logits, std::vector<float> bias = {}) {
    const int64_t experts = static_cast<int64_t>(logits.size());
    TinyPlan plan(experts, std::move(logits));
    // Expert e answers e-th unit vector * 1, so the output shows the weight of each expert.
    std::vector<float> up(static_cast<size_t>(experts), 0),
        down(static_cast<size_t>(experts * experts), 0);
    const View one = plan.Buffer(1), out = plan.Buffer(experts);
    const std::vector<float> zero(static_cast<size_t>(experts), 0);
    plan.Add(MatMulOp{.in = plan.Input(),
                      .out = one,
                      .weight = plan.Weight(experts, 1, 1, zero),
                      .bias = plan.Vector({1})});
    for (int64_t e = 0; e < experts; ++e) {
      up[static_cast<size_t>(e)] = 1;
      down[static_cast<size_t>(e * experts + e)] = 1;
    }
    op.logits = plan.Input();
    op.experts = experts;
    if (!bias.empty()) op.selection_bias = plan.Vector(bias);
    plan.plan().routes = 1;
    plan.Add(op);
    plan.Add(ExpertsOp{.in = one,
                       .out = out,
                       .up = plan.Weight(1, 1, experts, up),
                       .down = plan.Weight(1, experts, experts, down),
                       .activation = Activation::kIdentity});
    return plan.Run(backend_.get(), out);
  };
  const float ln2 = std::log(2.0f), ln4 = std::log(4.0f), ln8 = std::log(8.0f);
  EXPECT_THAT(weights({.used = 2}, {0, ln4, ln8, ln2}), Near({0, 4.0f / 15, 8.0f / 15, 0}));
  EXPECT_THAT(weights({.used = 2, .normalize = true, .scale = 3}, {0, ln4, ln8, ln2}),
              Near({0, 1, 2, 0}));
  EXPECT_THAT(weights({.score = RouterScore::kSoftmaxOfSelected, .used = 2}, {0, ln4, ln8, ln2}),
              Near({0, 1.0f / 3, 2.0f / 3, 0}));
  EXPECT_THAT(weights({.score = RouterScore::kSigmoid, .used = 1}, {0, ln4}), Near({0, 0.8f}));
  // A bias chooses but does not weigh.
  EXPECT_THAT(weights({.score = RouterScore::kSigmoid, .used = 1}, {0, ln4}, {1, 0}),
              Near({0.5f, 0}));
  // Ties go to the lower index.
  EXPECT_THAT(weights({.score = RouterScore::kSigmoid, .used = 2}, {0, 0, 0}),
              Near({0.5f, 0.5f, 0}));
  // Groups by the sum of their two best: {0, 0} makes 1.0, {ln 8, -99} only 0.89.
  EXPECT_THAT(weights({.score = RouterScore::kSigmoid, .used = 2, .groups = 2, .groups_used = 1},
                      {0, 0, ln8, -99}),
              Near({0.5f, 0.5f, 0, 0}));
}

TEST_F(ReferenceOps, ExpertsGateBiasesAndInputWeights) {
  // Two experts of one hidden value; the router takes expert 1 with weight 1/2 (sigmoid of 0 after
  // bias towards it).
  TinyPlan plan(3, {0, 0, 3});
  const View out = plan.Buffer(1);
  plan.plan().routes = 1;
  plan.Add(RouteOp{.logits = {0, 0, 2},
                   .score = RouterScore::kSigmoid,
                   .experts = 2,
                   .used = 1,
                   .selection_bias = plan.Vector({0, 1})});
  ExpertsOp op{.in = {0, 2, 1}, .out = out, .activation = Activation::kRelu};
  op.gate = plan.Weight(1, 1, 2, {0, 2});
  op.up = plan.Weight(1, 1, 2, {0, 5});
  op.down = plan.Weight(1, 1, 2, {0, 10});
  op.gate_bias = plan.Weight(1, 1, 2, {9, 1});
  op.up_bias = plan.Weight(1, 1, 2, {9, -1});
  op.down_bias = plan.Weight(1, 1, 2, {9, 4});
  plan.Add(op);
  // gate 2*3+1 = 7, up 5*3-1 = 14, down 10*98+4 = 984, half of it
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({492}));
  std::get<ExpertsOp>(plan.plan().ops.back()).weigh_input = true;
  // input 1.5: gate 4, up 6.5, down 264
  EXPECT_THAT(plan.Run(backend_.get(), out), Near({264}));
}

TEST_F(ReferenceOps, StridedRowsOfAWeight) {
  TinyPlan plan(1, {2});
  const View out = plan.Buffer(2);
  const WeightId weight = plan.Weight(1, 4, 1, {1, 10, 100, 1000});
  plan.plan().weights[static_cast<size_t>(weight)].rows = 2;
  plan.plan().weights[static_cast<size_t>(weight)].row_stride_bytes = 8;
  plan.plan().weights[static_cast<size_t>(weight)].data += 4;
  plan.Add(MatMulOp{.in = plan.Input(), .out = out, .weight = weight});
  EXPECT_THAT(plan.Run(backend_.get(), out), ElementsAre(20, 2000));
}

TEST_F(ReferenceOps, SelectRowsAndPool) {
  TinyPlan select(1, {1, 2, 3, 4});
  const View out = select.Buffer(1);
  select.Add(SelectRowsOp{.in = select.Input(), .out = out})
      .Add(ScaleOp{.inout = out, .scale = 10});
  const std::vector<int32_t> tokens = {3, 2, 1, 0}, rows = {1, 3};
  const Segment segments[] = {{.first_row = 0, .tokens = 1}, {.first_row = 1, .tokens = 3}};
  EXPECT_THAT(select.Run(backend_.get(), out,
                         {.tokens = tokens, .segments = segments, .output_rows = rows}),
              ElementsAre(30, 10));

  for (const auto& [pooling, expected] :
       {std::pair(Pooling::kMean, 2.0f), std::pair(Pooling::kFirst, 3.0f),
        std::pair(Pooling::kLast, 1.0f)}) {
    TinyPlan pool(1, {1, 2, 3, 4});
    const View pooled = pool.Buffer(1);
    pool.Add(PoolOp{.pooling = pooling, .in = pool.Input(), .out = pooled});
    pool.plan().pooled = true;
    EXPECT_THAT(pool.Run(backend_.get(), pooled,
                         {.tokens = tokens, .segments = segments, .output_rows = rows}),
                ElementsAre(4, expected));
  }
}

TEST_F(ReferenceOps, RankedRowsAreTheLargestByValueAndColumn) {
  constexpr float kNone = -INFINITY;
  TinyPlan plan(4, {1, 7, 7, -2, 0, NAN, kNone, INFINITY, 5, 4, 3, 2});
  plan.Add(SelectRowsOp{.in = plan.Input(), .out = plan.Input()});
  const std::vector<int32_t> tokens = {0, 1, 2, 0}, whole = {2};
  const Segment segment{.tokens = 4};
  std::vector<float> values(7);
  std::vector<int32_t> columns(7);
  const auto room = [&](size_t begin, size_t count) {
    return std::pair(std::span(values).subspan(begin, count),
                     std::span(columns).subspan(begin, count));
  };
  const RankedRow ranked[] = {{0, room(0, 2).first, room(0, 2).second},
                              {1, room(2, 2).first, room(2, 2).second},
                              {3, room(4, 3).first, room(4, 3).second}};
  EXPECT_THAT(plan.Run(backend_.get(), plan.Input(),
                       {.tokens = tokens,
                        .segments = {&segment, 1},
                        .output_rows = whole,
                        .ranked_rows = ranked}),
              ElementsAre(5, 4, 3, 2));
  EXPECT_THAT(values, ElementsAre(7, 7, 0, kNone, 7, 7, 1));
  EXPECT_THAT(columns, ElementsAre(1, 2, 0, -1, 1, 2, 0));
}

TEST_F(ReferenceOps, DetoursAreComputedByTheCaller) {
  TinyPlan plan(2, {1, 2, 3, 4, 5, 6});
  const View out = plan.Buffer(1), more = plan.Buffer(1);
  plan.Add(DetourOp{.in = plan.Input(), .out = out, .detour = 4})
      .Add(SelectRowsOp{.in = out, .out = out})
      .Add(DetourOp{.in = out, .out = more, .detour = 7});
  plan.plan().output = more;
  CompileOptions options;
  options.detour = [](int detour, std::span<const float> in, std::span<float> result) -> Status {
    for (size_t row = 0; row < result.size(); ++row)
      result[row] = detour == 4 ? in[2 * row] + in[2 * row + 1] : -in[row];
    if (detour == 7 && result[0] == -11) return MakeError(ErrorCode::kUnavailable, "no way");
    return {};
  };
  const auto program = *backend_->Compile(std::make_shared<Plan>(plan.plan()), options);
  const std::vector<int32_t> tokens = {0, 1, 2};
  const Segment segment{.tokens = 3};
  std::vector<float> values(2);
  std::vector<int32_t> rows = {0, 2};
  const Batch batch{.tokens = tokens, .segments = {&segment, 1}, .output_rows = rows};
  ASSERT_TRUE(program->Run(batch, values).has_value());
  EXPECT_THAT(values, ElementsAre(-3, -11));
  rows = {2};
  const Status failed =
      program->Run({.tokens = tokens, .segments = {&segment, 1}, .output_rows = rows},
                   std::span(values).first(1));
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace puna::backend
