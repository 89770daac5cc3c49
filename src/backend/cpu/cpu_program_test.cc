// The cpu backend against the reference backend, on random plans, for every instruction set of this
// machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "backend/cpu/gemm.h"
#include "backend/cpu/test_networks.h"

namespace puna::backend::cpu {
namespace {

using ::testing::HasSubstr;

// Float32 sums in another order: a few hundred roundings of 2^-24 each, squared.
constexpr double kFloatTolerance = 1e-11;

class PerIsa : public ::testing::TestWithParam<std::string> {
 protected:
  // NMSE between both backends over the batches.
  double Compare(const std::shared_ptr<const Plan>& plan,
                 const std::vector<std::vector<Piece>>& batches, const CompileOptions& options,
                 int threads = 2, int64_t stride = 1) {
    const auto reference = MakeBackend("reference");
    const auto cpu = MakeBackend("cpu", GetParam(), threads);
    Runner expected(reference.get(), plan, options), actual(cpu.get(), plan, options);
    EXPECT_THAT(actual.program().Describe(), HasSubstr("cpu " + GetParam() + ","));
    const MemoryUse predicted = cpu->Predict(*plan, options), used = actual.program().memory_use();
    EXPECT_EQ(predicted.weights, used.weights);
    EXPECT_EQ(predicted.kv_page, used.kv_page);
    EXPECT_EQ(predicted.activations, used.activations);
    double worst = 0;
    for (const std::vector<Piece>& batch : batches) {
      const std::vector<float> want = expected.Run(batch, stride), got = actual.Run(batch, stride);
      worst = std::max(worst, Nmse(got, want));
    }
    return worst;
  }
};
INSTANTIATE_TEST_SUITE_P(Isas, PerIsa, ::testing::ValuesIn(AvailableIsaNames()),
                         [](const auto& info) { return info.param; });

constexpr Activation kActivations[] = {
    Activation::kIdentity,  Activation::kSilu,     Activation::kGeluTanh,    Activation::kGeluErf,
    Activation::kGeluQuick, Activation::kRelu,     Activation::kReluSquared, Activation::kSigmoid,
    Activation::kTanh,      Activation::kSoftplus, Activation::kExp};

TEST_P(PerIsa, Elementwise) {
  for (const int64_t width : kWidths) {
    for (const Activation activation : kActivations) {
      auto unary = ElementPlan(width, [&](PlanBuilder* b, View x, View, View out) {
        b->Do(UnaryOp{activation, x, out});
      });
      EXPECT_LT(Compare(unary, {{{0, 5}}}, {}), kFloatTolerance)
          << width << " activation " << int(activation);
      auto gated = ElementPlan(width, [&](PlanBuilder* b, View x, View y, View out) {
        b->Do(GatedOp{activation, x, y, x});
        b->Do(AddOp{x, y, out, -0.25f});
      });
      EXPECT_LT(Compare(gated, {{{0, 5}}}, {}), kFloatTolerance)
          << width << " activation " << int(activation);
    }
    auto others = ElementPlan(width, [&](PlanBuilder* b, View x, View y, View out) {
      b->Do(GatedOp{Activation::kSilu, x, y, out, 1.5f, 1.702f});
      b->Do(MulOp{out, y, out});
      b->Do(MulOp{out, {y.buffer, width / 2, 1}, x});
      b->Do(ScaleOp{x, 0.7f, 3.0f, 2.5f});
      b->Do(ScaleOp{y, 0.01f, 30.0f});
      b->Do(AddOp{x, y, out});
    });
    EXPECT_LT(Compare(others, {{{0, 5}}}, {}), kFloatTolerance) << width;
  }
}

TEST_P(PerIsa, NormsAndRope) {
  for (const int64_t head : {2, 8, 12, 34, 40, 64, 100}) {
    for (const NormKind kind : {NormKind::kRms, NormKind::kLayer, NormKind::kL2}) {
      for (const bool whole_weight : {false, true}) {
        auto plan = ElementPlan(3 * head, [&](PlanBuilder* b, View x, View y, View out) {
          const WeightId weight = b->Vector(whole_weight ? 3 * head : head, 1),
                         bias = b->Vector(head);
          b->Do(NormOp{kind, x, x, head, 1e-5f, weight, whole_weight ? bias : kNoWeight});
          b->Do(NormOp{kind, y, y, 3 * head, 1e-3f, kNoWeight,
                       whole_weight ? kNoWeight : b->Vector(3 * head)});
          b->Do(AddOp{x, y, out});
        });
        EXPECT_LT(Compare(plan, {{{0, 5}}}, {}), kFloatTolerance) << head << " kind " << int(kind);
      }
    }
    for (const RopeKind kind : {RopeKind::kInterleaved, RopeKind::kHalves}) {
      auto plan = ElementPlan(3 * head, [&](PlanBuilder* b, View x, View y, View out) {
        b->Do(RopeOp{kind, x, head, 0, b->Frequencies(head / 2), 1.2f});
        b->Do(RopeOp{kind, y, head, head / 2, b->Frequencies(head / 4)});
        b->Do(AddOp{x, y, out});
      });
      EXPECT_LT(Compare(plan, {{{0, 25}, {1, 3}}}, {}), kFloatTolerance)
          << head << " kind " << int(kind);
    }
  }
}

CompileOptions Options(KvType kv = KvType::kF32) {
  CompileOptions options;
  options.exact_below_bytes = 0;  // the plans here are tiny, and the int8 kernels are to run
  options.kv_type = kv;
  options.kv_pages = 101;
  options.max_batch_tokens = 200;
  return options;
}

TEST_P(PerIsa, HeadSizes) {
  for (const int64_t size : {8, 12, 40, 64, 80, 96, 128, 256}) {
    Shape s;
    s.k_size = s.v_size = size;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance) << size;
  }
  Shape s;
  s.k_size = 24;
  s.v_size = 20;
  EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance);
}

TEST_P(PerIsa, HeadGroups) {
  for (const auto& [heads, kv_heads] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {5, 5}, {7, 1}, {6, 2}, {71, 1}, {130, 1}}) {
    Shape s;
    s.heads = heads;
    s.kv_heads = kv_heads;
    s.layers = 1;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance) << heads << "/" << kv_heads;
  }
}

TEST_P(PerIsa, AttentionVariants) {
  Shape s;
  s.qk_norm = s.biases = s.sinks = s.post_norm = s.tied = true;
  s.softcap = 5;
  s.window = 20;
  s.width = 50;
  s.hidden = 77;
  EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance);
  s = {};
  s.alibi = 8;
  s.heads = 6;
  s.parallel = true;
  s.window = 3;
  EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance);
}

TEST_P(PerIsa, CacheTypes) {
  for (const int64_t size : {16, 40, 64}) {
    Shape s;
    s.k_size = s.v_size = size;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options(KvType::kF16)), 1e-6) << size;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options(KvType::kQ8_0)), 1e-4) << size;
  }
}

TEST_P(PerIsa, ThreadCounts) {
  Shape s;
  s.heads = 4;
  s.kv_heads = 1;
  // Long enough that few units are cut into ranges of keys.
  const std::vector<std::vector<Piece>> batches = {{{0, 200}},         {{0, 200}}, {{0, 200}},
                                                   {{0, 100}, {1, 3}}, {{0, 1}},   {{0, 2}}};
  for (const int threads : {1, 2, 4}) {
    EXPECT_LT(Compare(Decoder(s), batches, Options(), threads), kFloatTolerance) << threads;
  }
}

TEST_P(PerIsa, Outputs) {
  EXPECT_LT(Compare(Decoder({}), kMixed, Options(), 2, 5), kFloatTolerance);
  EXPECT_EQ(Compare(Decoder({}), {{{0, 20}}}, Options(), 2, 0), 0);
}

// In the last layer only rows with outputs are queries of attention. Their logits are those of a
// pass in which all rows have outputs, to the bit, and what is cached of the others is the same.
TEST_P(PerIsa, OutputsOfSomeRows) {
  const auto cpu = MakeBackend("cpu", GetParam(), 2);
  for (const int64_t window : {0, 40}) {
    Shape s;
    s.width = 64;
    s.k_size = s.v_size = 32;
    s.window = window;
    s.layers = 1;
    s.qk_norm = s.select_attended = true;
    const auto plan = Decoder(s);
    EXPECT_LT(Compare(plan, kMixed, Options(), 2, 5), kFloatTolerance);
    for (const int64_t stride : {0, 2, 9, 1000}) {
      Runner all(cpu.get(), plan, Options()), some(cpu.get(), plan, Options());
      for (const std::vector<Piece>& batch : kMixed) {
        const std::vector<float> whole = all.Run(batch), part = some.Run(batch, stride);
        for (size_t i = 0; i < part.size(); ++i) {
          const size_t row = i / 77 * static_cast<size_t>(stride);
          ASSERT_EQ(part[i], whole[row * 77 + i % 77]) << "row " << row << ", stride " << stride;
        }
      }
      EXPECT_EQ(all.Run({{0, 1}, {2, 1}}), some.Run({{0, 1}, {2, 1}})) << "stride " << stride;
    }
  }
}

TEST_P(PerIsa, Experts) {
  for (const int64_t experts : {3, 8, 32}) {
    Shape s;
    s.experts = experts;
    s.layers = 1;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance) << experts;
    s.shared_expert = s.experts_biased = true;
    s.limit = 2;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance) << experts;
    s.limit = 0;
    s.weigh_input = s.gateless = true;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance) << experts;
  }
}

TEST_P(PerIsa, StreamOps) {
  for (const int64_t width : kWidths) {
    EXPECT_LT(Compare(StreamPlan(width), {{{0, 5}, {1, 21}}}, {}), kFloatTolerance) << width;
  }
}

TEST_P(PerIsa, LatentAttention) {
  for (const bool cached : {true, false}) {
    for (const int64_t heads : {1, 5, 16, 70}) {
      LatentShape s{.heads = heads, .cached = cached};
      EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance) << heads;
      s.chunk = 24;
      EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance) << heads;
      s = {.heads = heads, .cached = cached, .bias = true};
      EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance) << heads;
      s.causal = false;
      EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance) << heads;
      s = {.heads = heads, .used = 9, .cached = cached};
      EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance) << heads;
    }
  }
  LatentShape s;
  EXPECT_LT(Compare(LatentPlan(s), kMixed, Options(KvType::kF16)), 1e-6);
  EXPECT_LT(Compare(LatentPlan(s), kMixed, Options(KvType::kQ8_0)), 1e-4);
  EXPECT_LT(Compare(LatentPlan(s), {{{0, 200}}, {{0, 200}}, {{0, 200}}, {{0, 1}}}, Options(), 4),
            kFloatTolerance);
}

// Encoders: no cache, attention within the segment.
TEST_P(PerIsa, WithoutCache) {
  for (const bool causal : {false, true}) {
    for (const int64_t window : {0, 12}) {
      for (const Pooling pooling : {Pooling::kMean, Pooling::kFirst, Pooling::kLast}) {
        const auto plan = PooledPlan(causal, window, pooling);
        const std::vector<std::vector<Piece>> batches = {
            {{0, 50}}, {{1, 1}, {2, 33}, {3, 16}, {4, 70}, {5, 1}}};
        CompileOptions options;
        options.max_batch_tokens = 128;
        EXPECT_LT(Compare(plan, batches, options), kFloatTolerance) << causal << " " << window;
      }
    }
  }
}

// A prompt in one piece and in many gives the same: pages, masks and positions do not depend on how
// it is cut.
TEST_P(PerIsa, ChunkedEqualsWhole) {
  const auto cpu = MakeBackend("cpu", GetParam(), 2);
  Shape s;
  s.window = 30;
  const auto plan = Decoder(s);
  Runner whole(cpu.get(), plan, Options()), chunked(cpu.get(), plan, Options());
  const std::vector<float> expected = whole.Run({{0, 100}});
  std::vector<float> actual;
  for (const int64_t tokens : {1, 15, 17, 2, 33, 32}) {
    const std::vector<float> part = chunked.Run({{0, tokens}});
    actual.insert(actual.end(), part.begin(), part.end());
  }
  EXPECT_LT(Nmse(actual, expected), kFloatTolerance);
}

// Bit for bit: the logits of a sequence do not depend on how its prompt was cut, on who is beside
// it in the batch, or on how many threads computed. One of them is long enough for two ranges of
// attention.
TEST_P(PerIsa, LogitsDoNotDependOnTheBatch) {
  const auto one = MakeBackend("cpu", GetParam(), 1), two = MakeBackend("cpu", GetParam(), 2);
  for (const quant::TensorType type :
       {quant::TensorType::kF32, quant::TensorType::kQ8_0, quant::TensorType::kQ4_K}) {
    for (const KvType kv : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
      Shape s;
      s.type = type;
      s.width = s.hidden = 256;
      s.heads = 4;
      s.kv_heads = 1;
      s.k_size = s.v_size = 64;
      s.window = 150;
      CompileOptions options = Options(kv);
      options.kv_pages = 300;
      const auto plan = Decoder(s);
      Runner alone(one.get(), plan, options), beside(two.get(), plan, options);
      const bool ranges = type == quant::TensorType::kQ8_0 && kv == KvType::kF16;
      for (int64_t tokens = 0; tokens < (ranges ? 1100 : 200); tokens += 100) {
        const std::vector<float> whole = alone.Run({{0, 100}});
        std::vector<float> parts;
        const auto append = [&](const std::vector<float>& more, int64_t skip, int64_t count) {
          parts.insert(parts.end(), more.begin() + skip * 77, more.begin() + (skip + count) * 77);
        };
        append(beside.Run({{0, 1}}), 0, 1);
        append(beside.Run({{1, 3}, {0, 2}, {2, 1}}), 3, 2);
        append(beside.Run({{0, 37}, {1, 50}}), 0, 37);
        append(beside.Run({{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}, {0, 1}}), 7, 1);
        append(beside.Run({{0, 59}}), 0, 59);
        ASSERT_EQ(parts.size(), whole.size());
        EXPECT_EQ(parts, whole) << quant::TraitsOf(type).name << ", cache " << KvTypeName(kv)
                                << ", token " << tokens;
      }
    }
  }
}

// The rows of the outputs of a pass that are those of sequence 0.
std::vector<float> OutputsOfFirst(const Plan& plan, const std::vector<Piece>& pieces,
                                  const std::vector<float>& outputs) {
  auto at = outputs.begin();
  for (const Piece& piece : pieces) {
    const auto values = (plan.pooled ? 1 : piece.tokens) * plan.output.width;
    if (piece.sequence == 0) return {at, at + values};
    at += values;
  }
  return {};
}

// Bit for bit: without a cache, too, it does not matter who is before a text in the batch and who
// behind it, or whether all of their keys are in memory at once.
TEST_P(PerIsa, TextsWithoutCacheDoNotDependOnTheBatch) {
  const auto one = MakeBackend("cpu", GetParam(), 1), two = MakeBackend("cpu", GetParam(), 2);
  std::vector<std::shared_ptr<const Plan>> plans;
  for (const bool causal : {false, true}) {
    for (const int64_t window : {0, 12})
      plans.push_back(PooledPlan(causal, window, Pooling::kMean));
  }
  plans.push_back(LatentPlan({.cached = false}));
  plans.push_back(LatentPlan({.heads = 70, .cached = false}));
  plans.push_back(LatentPlan({.chunk = 24, .cached = false}));
  plans.push_back(LatentPlan({.used = 9, .cached = false}));
  plans.push_back(LatentPlan({.cached = false, .bias = true, .causal = false}));
  CompileOptions options;
  options.max_batch_tokens = 256;
  for (size_t i = 0; i < plans.size(); ++i) {
    for (const int64_t tokens : {1, 17, 70}) {
      const std::vector<float> expected = Runner(one.get(), plans[i], options).Run({{0, tokens}});
      std::vector<std::vector<Piece>> batches = {{{0, tokens}, {1, 65}}};
      for (const int64_t before : {1, 15, 16, 63, 64, 65}) {
        batches.push_back({{1, before}, {0, tokens}});
        batches.push_back({{1, before}, {2, 1}, {0, tokens}, {3, 20}});
      }
      batches.emplace_back();
      for (int other = 1; other <= 100; ++other) batches.back().push_back({other, 1});
      batches.back().push_back({0, tokens});
      batches.back().push_back({101, 50});
      for (const std::vector<Piece>& batch : batches) {
        const std::vector<float> all = Runner(two.get(), plans[i], options).Run(batch);
        ASSERT_EQ(OutputsOfFirst(*plans[i], batch, all), expected)
            << "plan " << i << ", " << tokens << " tokens, " << batch.size()
            << " texts, the first of " << batch[0].tokens;
      }
    }
  }
}

// Long enough for two ranges of attention, which are cut among threads when it is alone.
TEST_P(PerIsa, ALongTextWithoutCacheDoesNotDependOnTheBatch) {
  const auto one = MakeBackend("cpu", GetParam(), 1), many = MakeBackend("cpu", GetParam(), 16);
  const auto plan = LatentPlan({.heads = 1, .cached = false, .causal = false});
  CompileOptions options;
  options.max_batch_tokens = 1300;
  const std::vector<float> expected = Runner(one.get(), plan, options).Run({{0, 1100}});
  EXPECT_EQ(Runner(many.get(), plan, options).Run({{0, 1100}}), expected);
  const std::vector<Piece> batch = {{1, 63}, {0, 1100}, {2, 40}};
  EXPECT_EQ(OutputsOfFirst(*plan, batch, Runner(many.get(), plan, options).Run(batch)), expected);
}

TEST_P(PerIsa, CopiedPagesContinueAlike) {
  for (const KvType kv : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    const auto cpu = MakeBackend("cpu", GetParam(), 2);
    Runner runner(cpu.get(), Decoder({}), Options(kv));
    runner.Run({{0, 40}});
    const std::vector<float> original = runner.Run({{0, 1}});
    Runner again(cpu.get(), Decoder({}), Options(kv));
    again.Run({{0, 40}});
    again.Fork(0, 0, 40);
    EXPECT_EQ(again.Run({{0, 1}}), original);
  }
}

// Rounding errors of int8 activations, not of float sums: only that nothing is far off.
TEST_P(PerIsa, QuantizedWeights) {
  Shape s;
  s.width = 256;
  s.hidden = 512;
  s.k_size = s.v_size = 32;
  s.heads = 8;
  s.tied = true;
  for (const auto type :
       {quant::TensorType::kQ8_0, quant::TensorType::kF16, quant::TensorType::kBF16}) {
    s.type = type;
    if (quant::TraitsOf(type).encode == nullptr) continue;
    EXPECT_LT(Compare(Decoder(s), kMixed, Options()), 1e-3) << quant::TraitsOf(type).name;
  }
}

TEST(CpuProgram, NanOfOneSequenceStaysThere) {
  // A page that held another sequence's infinities is reused: what lies behind the end must not be
  // touched.
  PlanBuilder b(3);
  b.plan().vocabulary = 4;
  const View h = b.Buffer(16), out = b.Buffer(16);
  const WeightId table = b.Add(1, 4, 16, 1.0f);
  auto* values = reinterpret_cast<float*>(const_cast<uint8_t*>(b.plan().weights[0].data));
  for (int i = 0; i < 16; ++i) values[3 * 16 + i] = i % 2 == 0 ? INFINITY : NAN;
  b.Do(EmbedOp{table, h});
  AttentionOp attention{h, h, h, out, 0, 1, 1, 16, 16};
  b.plan().cache_layers.push_back({1, 16, 16, 0});
  b.Do(attention);
  const auto plan = b.Finish(out);
  for (const KvType kv : {KvType::kF32, KvType::kF16}) {
    const auto cpu = MakeBackend("cpu");
    CompileOptions options;
    options.kv_type = kv;
    options.kv_pages = 2;
    auto program = *cpu->Compile(plan, options);
    const std::vector<int32_t> pages = {1}, bad(16, 3), good = {0, 1, 2}, rows = {0, 1, 2};
    std::vector<float> result(48);
    const Segment poison{0, 16, 0, pages}, clean{0, 3, 0, pages};
    program->Run({bad, {&poison, 1}, rows}, result);
    program->Run({good, {&clean, 1}, rows}, result);
    for (const float value : result) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(CpuProgram, TwoProgramsAtOnce) {
  const auto cpu = MakeBackend("cpu", "", 2);
  const auto plan = Decoder({});
  Runner a(cpu.get(), plan, Options()), b(cpu.get(), plan, Options()),
      alone(cpu.get(), plan, Options());
  const std::vector<float> expected = alone.Run({{0, 50}});
  std::vector<float> from_a, from_b;
  std::thread other([&] {
    for (int i = 0; i < 5; ++i) from_b = b.Run({{0, 50}});
  });
  from_a = a.Run({{0, 50}});
  other.join();
  EXPECT_EQ(from_a, expected);
}

TEST(CpuProgram, CancelsWhilePacking) {
  const auto cpu = MakeBackend("cpu");
  CompileOptions options = Options();
  int64_t calls = 0, total = 0;
  options.progress = [&](int64_t done, int64_t all) {
    EXPECT_LE(done, all);
    total = all;
    return ++calls < 3;
  };
  const auto cancelled = cpu->Compile(Decoder({}), options);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  calls = INT32_MIN;
  EXPECT_TRUE(cpu->Compile(Decoder({}), options));
  EXPECT_GT(total, 0);
}

TEST(CpuProgram, RunsBeforeItsWeightsAreInPlaceOrFromTheFile) {
  for (const bool tied : {false, true}) {
    Shape s;
    s.tied = tied;
    const auto cpu = MakeBackend("cpu");
    CompileOptions options = Options();
    options.exact_below_bytes = 0;
    Runner at_once(cpu.get(), Decoder(s), options);
    options.settle_later = true;
    Runner later(cpu.get(), Decoder(s), options);
    EXPECT_EQ(later.program().memory_use().weights, at_once.program().memory_use().weights);
    EXPECT_EQ(later.Run({{0, 50}}), at_once.Run({{0, 50}}));
    EXPECT_TRUE(later.program().Settle(0));
    while (later.program().Settle(0.01)) {
    }
    EXPECT_EQ(later.Run({{0, 50}}), at_once.Run({{0, 50}}));
    EXPECT_FALSE(later.program().Settle(0));
    options.weights_in_file = true;
    Runner in_file(cpu.get(), Decoder(s), options);
    EXPECT_LT(in_file.program().memory_use().weights, later.program().memory_use().weights / 4);
    EXPECT_EQ(cpu->Predict(*Decoder(s), options).weights, in_file.program().memory_use().weights);
    EXPECT_FALSE(in_file.program().Settle(0.01));
    in_file.Run({{0, 100}});
    EXPECT_EQ(in_file.Run({{0, 1}}), at_once.Run({{0, 1}}));
  }
}

TEST(CpuProgram, TiedTableIsHeldOnce) {
  const auto cpu = MakeBackend("cpu");
  Shape s;
  s.layers = 0;
  const int64_t untied = cpu->Predict(*Decoder(s), Options()).weights;
  s.tied = true;
  EXPECT_EQ(cpu->Predict(*Decoder(s), Options()).weights, untied);
}

// Each pass lays its buffers out for its own width.
TEST(CpuProgram, WhatWiderPassesLeaveInBuffersDoesNotCount) {
  const auto cpu = MakeBackend("cpu");
  Runner fresh(cpu.get(), Decoder({}), Options()), used(cpu.get(), Decoder({}), Options());
  used.Run({{1, 100}});
  EXPECT_EQ(used.Run({{0, 3}}), fresh.Run({{0, 3}}));
  EXPECT_EQ(used.Run({{0, 50}}), fresh.Run({{0, 50}}));
}

TEST(CpuProgram, TellsHowMuchOfTheActivationsNoPassNeeded) {
  const auto cpu = MakeBackend("cpu");
  CompileOptions options = Options();
  options.max_batch_tokens = 8192;
  Runner fresh(cpu.get(), Decoder({}), options), used(cpu.get(), Decoder({}), options);
  Program& program = used.program();
  const int64_t all = program.untouched_bytes();
  EXPECT_GT(all, program.memory_use().activations * 9 / 10);
  used.Run({{1, 3}});
  const int64_t narrow = program.untouched_bytes();
  EXPECT_LT(narrow, all);
  used.Run({{1, 500}});
  EXPECT_LT(program.untouched_bytes(), narrow);
  EXPECT_GT(program.untouched_bytes(), 0);
  program.ReleaseActivations();
  EXPECT_EQ(program.untouched_bytes(), all);
  EXPECT_EQ(used.Run({{0, 50}}), fresh.Run({{0, 50}}));
}

TEST(CpuProgram, ReleasedPagesCanBeWrittenAgain) {
  Shape s;
  s.k_size = s.v_size = 128;
  const auto cpu = MakeBackend("cpu");
  Runner fresh(cpu.get(), Decoder(s), Options()), reused(cpu.get(), Decoder(s), Options());
  for (int32_t page = 0; page < 101; ++page) reused.program().ReleasePage(page);
  EXPECT_EQ(reused.Run({{0, 50}}), fresh.Run({{0, 50}}));
}

TEST(CpuBackend, RefusesWhatItCannotDo) {
  EXPECT_FALSE(CreateBackend({.name = "cpu", .threads = -1}));
  EXPECT_FALSE(CreateBackend({.name = "cpu", .isa = "quantum"}));
  const auto cpu = MakeBackend("cpu");
  CompileOptions options = Options();
  options.kv_pages = INT64_MAX / 2;
  EXPECT_FALSE(cpu->Compile(Decoder({}), options));
  options = Options();
  options.max_batch_tokens = 0;
  EXPECT_FALSE(cpu->Compile(Decoder({}), options));
}

}  // namespace
}  // namespace puna::backend::cpu
