#include "backend/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tiny_plan.h"

namespace puna::backend {
namespace {

using ::testing::HasSubstr;
using testing::TinyPlan;

TEST(Backend, NamesOfCacheTypesGoBothWays) {
  for (const char* name : {"f32", "f16", "q8_0"}) EXPECT_EQ(KvTypeName(*ParseKvType(name)), name);
  const Result<KvType> wrong = ParseKvType("q4_0");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(wrong.error().message, HasSubstr("f32, f16, q8_0"));
}

TEST(Backend, CreatesByNameAndNamesTheChoices) {
  EXPECT_EQ((*CreateBackend({.name = "reference"}))->name(), "reference");
  const auto wrong = CreateBackend({.name = "abacus"});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, HasSubstr("\"abacus\""));
  EXPECT_THAT(wrong.error().message, HasSubstr("reference"));
}

TEST(Backend, ReportsMemoryAndCanBeCancelled) {
  TinyPlan tiny(4, std::vector<float>(12, 1));
  tiny.plan().cache_layers.push_back({1, 4, 4, 0});
  const auto plan = std::make_shared<Plan>(tiny.plan());
  const auto backend = *CreateBackend({.name = "reference"});
  CompileOptions options{.kv_type = KvType::kF32, .kv_pages = 2, .max_batch_tokens = 8};
  const MemoryUse use = backend->Predict(*plan, options);
  EXPECT_EQ(use.weights, 12 * 4);
  EXPECT_EQ(use.kv_page, kPageTokens * 8 * 4);
  EXPECT_EQ(use.activations, 8 * 4 * 4);
  EXPECT_EQ((*backend->Compile(plan, options))->memory_use().weights, use.weights);

  int64_t seen = 0;
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_LE(done, total);
    seen = done;
    return false;
  };
  const auto cancelled = backend->Compile(plan, options);
  ASSERT_FALSE(cancelled.has_value());
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(seen, 12 * 4);
}

// Each of these plans breaks one rule; the message says which.
struct BrokenPlan {
  const char* message;
  void (*break_it)(TinyPlan& plan, View other);
};

const BrokenPlan kBrokenPlans[] = {
    {"outside its buffer",
     [](TinyPlan& plan, View) {
       plan.Add(ScaleOp{.inout = {0, 2, 3}});
     }},
    {"outside its buffer",
     [](TinyPlan& plan, View) {
       plan.Add(ScaleOp{.inout = {7, 0, 1}});
     }},
    {"outside its buffer",
     [](TinyPlan& plan, View) {
       plan.Add(ScaleOp{.inout = {0, INT64_MAX, INT64_MAX}});
     }},
    {"not written", [](TinyPlan& plan, View other) { plan.Add(ScaleOp{.inout = other}); }},
    {"not written, or not in these rows",
     [](TinyPlan& plan, View other) {
       plan.Add(SelectRowsOp{.in = plan.Input(), .out = other}).Add(ScaleOp{.inout = plan.Input()});
     }},
    {"selected already",
     [](TinyPlan& plan, View other) {
       plan.Add(SelectRowsOp{.in = plan.Input(), .out = other})
           .Add(SelectRowsOp{.in = other, .out = other});
     }},
    {"a weight is missing",
     [](TinyPlan& plan, View other) { plan.Add(MatMulOp{.in = plan.Input(), .out = other}); }},
    {"wrong shape",
     [](TinyPlan& plan, View other) {
       plan.Add(MatMulOp{.in = plan.Input(), .out = other, .weight = plan.Vector({1, 2, 3, 4})});
     }},
    {"overlap",
     [](TinyPlan& plan, View) {
       plan.Add(MatMulOp{.in = plan.Input(),
                         .out = plan.Input(),
                         .weight = plan.Weight(4, 4, 1, std::vector<float>(16))});
     }},
    {"overlap",
     [](TinyPlan& plan, View) {
       plan.Add(UnaryOp{.in = {0, 0, 2}, .out = {0, 1, 2}});
     }},
    {"groups do not fit",
     [](TinyPlan& plan, View other) {
       plan.Add(NormOp{.in = plan.Input(), .out = other, .group = 3});
     }},
    {"more pairs",
     [](TinyPlan& plan, View) {
       plan.Add(RopeOp{
           .inout = plan.Input(), .head_size = 2, .head_offset = 1, .inverse_frequency = {1}});
     }},
    {"heads do not share evenly",
     [](TinyPlan& plan, View other) {
       AttentionOp op{.q = {0, 0, 1}, .k = {0, 1, 1}, .v = {0, 2, 1}, .out = other};
       op.heads = 3;
       op.kv_heads = 2;
       op.k_size = op.v_size = 1;
       plan.Add(op);
     }},
    {"cache layer out of range",
     [](TinyPlan& plan, View) {
       AttentionOp op{.q = {0, 0, 1}, .k = {0, 1, 1}, .v = {0, 2, 1}, .out = {0, 3, 1}, .cache = 0};
       op.heads = op.kv_heads = op.k_size = op.v_size = 1;
       plan.Add(op);
     }},
    {"route slot",
     [](TinyPlan& plan, View) {
       plan.Add(RouteOp{.logits = plan.Input(), .experts = 4, .used = 2});
     }},
    {"row outside the table",
     [](TinyPlan& plan, View) {
       plan.Add(
           AddRowOp{.table = plan.Vector({1, 2, 3, 4}), .inout = plan.Input(), .fixed_row = 1});
     }},
    {"positions outside the table",
     [](TinyPlan& plan, View) {
       plan.plan().positions = 2;
       plan.Add(AddRowOp{.table = plan.Vector({1, 2, 3, 4}), .inout = plan.Input()});
     }},
    {"stores keys outside an encoder",
     [](TinyPlan& plan, View) {
       plan.plan().cache_layers.push_back({1, 1, 1, 0});
       plan.Add(StoreOp{.k = {0, 0, 1}, .v = {0, 1, 1}, .cache = 0});
     }},
    {"cross attention",
     [](TinyPlan& plan, View other) {
       plan.plan().cache_layers.push_back({1, 4, 4, 0});
       AttentionOp op{.q = plan.Input(), .out = other, .cache = 0, .heads = 1, .kv_heads = 1};
       op.k_size = op.v_size = 4;
       op.causal = false;
       op.cross = true;
       plan.Add(op);
     }},
    {"not written",
     [](TinyPlan& plan, View) {  // by the decoder
       plan.plan().encoder_ops = plan.plan().ops.size();
       plan.Add(ScaleOp{.inout = plan.Input()});
     }},
    {"nothing behind an encoder",
     [](TinyPlan& plan, View) { plan.plan().encoder_ops = plan.plan().ops.size(); }},
    {"pooled does not fit", [](TinyPlan& plan, View) { plan.plan().pooled = true; }},
};

TEST(ValidatePlan, FindsEveryBrokenRule) {
  for (const BrokenPlan& broken : kBrokenPlans) {
    TinyPlan tiny(4, {1, 2, 3, 4});
    const View other = tiny.Buffer(4);
    tiny.plan().output = tiny.Input();
    ASSERT_TRUE(ValidatePlan(tiny.plan()).has_value());
    broken.break_it(tiny, other);
    const Status status = ValidatePlan(tiny.plan());
    ASSERT_FALSE(status.has_value()) << broken.message;
    EXPECT_THAT(status.error().message, HasSubstr(broken.message));
    EXPECT_EQ(status.error().code, ErrorCode::kInternal);
  }
}

// Scores are 0, so what is seen counts alike: all of the encoder's tokens by cross attention, the
// decoder's own up to the token by the other.
TEST(Encoder, IsSeenByCrossAttentionAlone) {
  TinyPlan tiny(1, {1, 2, 6});
  Plan& plan = tiny.plan();
  plan.cache_layers = {{1, 1, 1, 0}, {1, 1, 1, 0}};
  tiny.Add(StoreOp{.k = tiny.Input(), .v = tiny.Input(), .cache = 0});
  plan.encoder_ops = plan.ops.size();
  const View zero = tiny.Buffer(1), own = tiny.Buffer(1), out = tiny.Buffer(1),
             seen = tiny.Buffer(1);
  tiny.Add(EmbedOp{.table = 0, .out = zero, .scale = 0}).Add(EmbedOp{.table = 0, .out = own});
  AttentionOp cross{.q = zero, .out = out, .cache = 0, .heads = 1, .kv_heads = 1};
  cross.k_size = cross.v_size = 1;
  AttentionOp self = cross;
  cross.causal = false;
  cross.cross = true;
  self.k = self.v = own;
  self.out = seen;
  self.cache = 1;
  tiny.Add(cross).Add(self).Add(AddOp{.a = out, .b = seen, .out = out, .scale = 100});
  plan.output = out;
  ASSERT_TRUE(ValidatePlan(plan).has_value());
  for (const char* name : {"reference", "cpu"}) {
    const auto backend = *CreateBackend({.name = name});
    const auto program =
        *backend->Compile(std::make_shared<Plan>(plan), {.kv_type = KvType::kF32, .kv_pages = 4});
    const std::vector<int32_t> text = {0, 1, 2, 0, 1}, pages = {3, 1}, other_pages = {0};
    const Segment texts[] = {{.tokens = 3, .pages = pages},
                             {.first_row = 3, .tokens = 2, .pages = other_pages}};
    program->Run({.tokens = text, .segments = texts, .output_rows = {}, .encodes = true}, {});
    const std::vector<int32_t> tokens = {2, 1, 0}, rows = {0, 1, 2};
    const Segment segments[] = {
        {.tokens = 2, .start_position = 3, .pages = pages, .encoded = 3},
        {.first_row = 2, .tokens = 1, .start_position = 2, .pages = other_pages, .encoded = 2}};
    std::vector<float> values(3);
    program->Run({.tokens = tokens, .segments = segments, .output_rows = rows}, values);
    EXPECT_THAT(values, ::testing::Pointwise(::testing::FloatNear(1e-3f),
                                             std::vector<float>{603, 403, 101.5}))
        << name;
  }
}

}  // namespace
}  // namespace puna::backend
