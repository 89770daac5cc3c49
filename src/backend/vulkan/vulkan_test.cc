// The vulkan backend against the reference backend, on the plans that test the cpu backend, and
// what only a device can do wrong.
#include "backend/vulkan/vulkan_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cfloat>
#include <cstring>
#include <random>

#include "backend/experts_split.h"
#include "backend/plan_split.h"
#include "backend/ranked_rows.h"
#include "backend/split_backend.h"
#include "backend/vulkan/plan_compiler.h"
#include "backend/vulkan/vulkan_fixture.h"

namespace puna::backend::vulkan {
namespace {

using ::testing::HasSubstr;

TEST_F(Vulkan, Elementwise) {
  for (const int64_t width : {1, 17, 256}) {
    for (const Activation activation :
         {Activation::kIdentity, Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf,
          Activation::kGeluQuick, Activation::kRelu, Activation::kReluSquared, Activation::kSigmoid,
          Activation::kTanh, Activation::kSoftplus, Activation::kExp}) {
      const auto plan = ElementPlan(width, [&](PlanBuilder* b, View x, View y, View out) {
        b->Do(UnaryOp{activation, x, out});
        b->Do(GatedOp{activation, x, y, x});
        b->Do(AddOp{x, out, out, -0.25f});
      });
      EXPECT_LT(Compare(plan, {{{0, 5}}}, {}), kFloatTolerance)
          << width << " activation " << int(activation);
    }
    const auto others = ElementPlan(width, [&](PlanBuilder* b, View x, View y, View out) {
      b->Do(GatedOp{Activation::kSilu, x, y, out, 1.5f, 1.702f});
      b->Do(MulOp{out, y, out});
      b->Do(MulOp{out, {y.buffer, width / 2, 1}, x});
      b->Do(ScaleOp{x, 0.7f, 3.0f, 2.5f});
      b->Do(ScaleOp{y, 0.01f, 30.0f});
      b->Do(AddOp{x, y, out});
      b->Do(
          AffineOp{.in = out, .out = out, .weight = b->Vector(width, 1), .bias = b->Vector(width)});
    });
    EXPECT_LT(Compare(others, {{{0, 5}}}, {}), kFloatTolerance) << width;
  }
}

TEST_F(Vulkan, NormsAndRope) {
  for (const int64_t head : {2, 34, 100}) {
    for (const NormKind kind : {NormKind::kRms, NormKind::kLayer, NormKind::kL2}) {
      const auto plan = ElementPlan(3 * head, [&](PlanBuilder* b, View x, View y, View out) {
        b->Do(NormOp{kind, x, x, head, 1e-5f, b->Vector(3 * head, 1), b->Vector(head)});
        b->Do(NormOp{kind, y, y, 3 * head, 1e-3f, kNoWeight, b->Vector(3 * head)});
        b->Do(AddOp{x, y, out});
      });
      EXPECT_LT(Compare(plan, {{{0, 5}}}, {}), kFloatTolerance) << head << " kind " << int(kind);
    }
    for (const RopeKind kind : {RopeKind::kInterleaved, RopeKind::kHalves}) {
      const auto plan = ElementPlan(3 * head, [&](PlanBuilder* b, View x, View y, View out) {
        b->Do(RopeOp{kind, x, head, 0, b->Frequencies(head / 2), 1.2f});
        b->Do(RopeOp{kind, y, head, head / 2, b->Frequencies(head / 4)});
        b->Do(AddOp{x, y, out});
      });
      EXPECT_LT(Compare(plan, {{{0, 25}, {1, 3}}}, {}), kFloatTolerance)
          << head << " kind " << int(kind);
    }
  }
}

TEST_F(Vulkan, StreamOps) {
  for (const int64_t width : {1, 40, 100}) {
    EXPECT_LT(Compare(StreamPlan(width), {{{0, 5}, {1, 21}}}, {}), kFloatTolerance) << width;
  }
}

// Products of every type of weights, for all numbers of rows that have a path of their own; without
// matrix units, which round.
TEST_F(Vulkan, WeightTypes) {
  const std::string device = std::to_string(testing::VulkanDeviceForTests()->index);
  const auto exact =
      CreateVulkanBackend({.name = "vulkan:" + device}, {.unit = MatrixOptions::Unit::kNone});
  ASSERT_TRUE(exact) << exact.error().message;
  backend_ = exact->get();
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (traits.decode == nullptr || traits.encode == nullptr) continue;
    PlanBuilder b(11);
    b.plan().vocabulary = 50;
    const int64_t cols = traits.block_elements == 1 ? 101 : 3 * traits.block_elements;
    const View in = b.Buffer(cols), out = b.Buffer(37), all = b.Buffer(37 + cols);
    b.Do(EmbedOp{b.Add(1, 50, cols, 1.0f, 0, traits.type), in});
    b.Do(MatMulOp{in, out, b.Matrix(37, cols, traits.type), b.Vector(37)});
    b.Do(CopyHeadsOp{out, {all.buffer, 0, 37}, 1, 37, 37, 37});
    b.Do(CopyHeadsOp{in, {all.buffer, 37, cols}, 1, cols, cols, cols});
    EXPECT_LT(Compare(b.Finish(all), {{{0, 1}}, {{0, 45}}}, Options()), kFloatTolerance)
        << traits.name;
  }
}

TEST_F(Vulkan, Networks) {
  EXPECT_LT(Compare(Decoder({}), kMixed, Options()), kFloatTolerance);
  EXPECT_LT(Compare(Decoder({}), kMixed, Options(), 5), kFloatTolerance);
  EXPECT_EQ(Compare(Decoder({}), {{{0, 20}}}, Options(), 0), 0);
  Shape s;
  s.k_size = 24;
  s.v_size = 20;
  s.heads = 7;
  s.kv_heads = 1;
  EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance);
  s = {};
  s.qk_norm = s.biases = s.sinks = s.post_norm = s.tied = true;
  s.softcap = 5;
  s.window = 20;
  s.width = 50;
  s.hidden = 77;
  s.k_size = s.v_size = 80;
  EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance);
  s = {};
  s.alibi = 8;
  s.heads = 6;
  s.parallel = true;
  s.window = 3;
  EXPECT_LT(Compare(Decoder(s), kMixed, Options()), kFloatTolerance);
  EXPECT_LT(Compare(Decoder(s), kMixed, Options(KvType::kF16)), 1e-6);
}

// Long enough that keys are split, of tokens by themselves and of a few together.
TEST_F(Vulkan, SplitKeys) {
  Shape s;
  s.sinks = true;
  s.layers = 1;
  const std::vector<std::vector<Piece>> batches = {
      {{0, 200}}, {{0, 200}}, {{0, 200}}, {{0, 100}, {1, 3}}, {{0, 1}}, {{0, 2}, {1, 1}}};
  EXPECT_LT(Compare(Decoder(s), batches, Options()), kFloatTolerance);
}

// Heads of many sizes and groups, on the fast kernels and, where a size is odd, on the general one.
TEST_F(Vulkan, AttentionShapes) {
  struct Heads {
    int64_t heads, kv_heads, k_size, v_size, window = 0;
    KvType kv = KvType::kF32;
  };
  const std::vector<std::vector<Piece>> batches = {
      {{0, 130}}, {{0, 1}, {1, 20}}, {{1, 1}, {0, 1}, {2, 1}, {3, 5}}, {{3, 5}, {0, 2}}};
  for (const Heads& h : std::initializer_list<Heads>{{4, 1, 32, 32},
                                                     {3, 3, 16, 24, 50},
                                                     {20, 2, 8, 8, 30, KvType::kF16},
                                                     {4, 2, 136, 16},
                                                     {9, 1, 24, 72, 0, KvType::kF16},
                                                     {4, 2, 12, 16, 20}}) {
    Shape s;
    s.layers = 1;
    s.heads = h.heads;
    s.kv_heads = h.kv_heads;
    s.k_size = h.k_size;
    s.v_size = h.v_size;
    s.window = h.window;
    s.softcap = h.window > 0 ? 7 : 0;
    s.sinks = h.window > 0;
    EXPECT_LT(Compare(Decoder(s), batches, Options(h.kv)),
              h.kv == KvType::kF32 ? kFloatTolerance : 1e-6)
        << h.heads << "x" << h.kv_heads << "x" << h.k_size << "/" << h.v_size;
  }
}

TEST_F(Vulkan, Experts) {
  for (const int64_t experts : {3, 32}) {
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

TEST_F(Vulkan, LatentAttention) {
  for (const bool cached : {true, false}) {
    LatentShape s{.cached = cached};
    EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance);
    s.chunk = 24;
    EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance);
    s = {.cached = cached, .bias = true};
    EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance);
    s.causal = false;
    EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance);
    s = {.used = 9, .cached = cached};
    EXPECT_LT(Compare(LatentPlan(s), kMixed, Options()), kFloatTolerance);
  }
}

TEST_F(Vulkan, WithoutCache) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kFirst, Pooling::kLast}) {
    const std::vector<std::vector<Piece>> batches = {{{0, 50}},
                                                     {{1, 1}, {2, 33}, {3, 16}, {4, 70}, {5, 1}}};
    for (const bool causal : {false, true}) {
      EXPECT_LT(Compare(PooledPlan(causal, causal ? 0 : 12, pooling), batches, Options()),
                kFloatTolerance);
    }
  }
}

TEST_F(Vulkan, CopiedAndReleasedPages) {
  for (const KvType kv : {KvType::kF32, KvType::kF16}) {
    Runner runner(backend_, Decoder({}), Options(kv));
    runner.Run({{0, 40}});
    const std::vector<float> original = runner.Run({{0, 1}});
    Runner again(backend_, Decoder({}), Options(kv));
    again.Run({{0, 40}});
    again.Fork(0, 1, 40);
    for (int32_t page = 0; page < 3; ++page) again.program().ReleasePage(again.TakePage());
    EXPECT_EQ(again.Run({{1, 1}}).size(), original.size());
    again.Fork(0, 0, 40);
    EXPECT_EQ(again.Run({{0, 1}}), original);
  }
}

// A device that has room for so many bytes.
class SmallDevice final : public Backend {
 public:
  SmallDevice(Backend* inner, int64_t bytes) : inner_(inner), bytes_(bytes) {}
  std::string_view name() const override { return "small"; }
  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    return inner_->Compile(std::move(plan), options);
  }
  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    return inner_->Predict(plan, options);
  }
  std::vector<DeviceMemory> devices() const override { return {{bytes_}}; }

 private:
  Backend* inner_;
  int64_t bytes_;
};

// Passes stop for them in the middle, and shapes change between passes.
TEST_F(Vulkan, ExpertsOnTheCpu) {
  Shape shape;
  shape.layers = 3;
  shape.experts = 4;
  shape.shared_expert = true;
  const auto plan = Decoder(shape);
  const PlanCut lookups = *FindCuts(*plan)[3];
  const Plan rest = TakeExpertsApart(SplitPlan(*plan, {&lookups, 1})[1], 3).plan;
  const MemoryUse need = backend_->Predict(rest, Options());
  std::vector<std::unique_ptr<Backend>> devices;
  devices.push_back(
      std::make_unique<SmallDevice>(backend_, need.fixed() + need.kv_page * Options().kv_pages));
  const auto split = CreateSplitBackend(std::move(devices), MakeBackend("cpu")),
             reference = MakeBackend("reference");
  Runner expected(reference.get(), plan, Options()), actual(split.get(), plan, Options());
  EXPECT_THAT(actual.program().Describe(), HasSubstr("(experts of 3 on the CPU)"));
  for (const std::vector<Piece>& batch : kMixed) {
    for (const int64_t stride : {1, 4})
      EXPECT_LT(Nmse(actual.Run(batch, stride), expected.Run(batch, stride)), kFloatTolerance);
  }
  EXPECT_TRUE(actual.Run({{0, 2}}, /*stride=*/0).empty());
}

// Rows that a test chooses, and what is wanted of each: 0 is the whole row.
void ExpectRanked(Backend* backend, int64_t width, const std::vector<float>& rows,
                  const std::vector<int64_t>& wanted) {
  auto plan = std::make_shared<Plan>();
  plan->buffer_widths = {width};
  plan->vocabulary = 1;
  plan->input = plan->output = {0, 0, width};
  plan->ops = {SelectRowsOp{plan->input, plan->input}};
  ASSERT_TRUE(ValidatePlan(*plan).has_value());
  const auto program = *backend->Compile(plan, {.max_batch_tokens = 64});
  ASSERT_GE(program->most_ranked(), 256);
  const size_t count = wanted.size() + 1;  // the last row is not wanted
  const std::vector<int32_t> tokens(count);
  const Segment segment{.tokens = static_cast<int64_t>(count)};
  std::vector<int32_t> whole;
  std::vector<float> values, expected_values, expected;
  std::vector<int32_t> columns, expected_columns;
  std::vector<RankedRow> ranked, slow;
  for (const int64_t k : wanted) values.resize(values.size() + static_cast<size_t>(k), -7);
  columns.resize(values.size(), -7);
  expected_values = values;
  expected_columns = columns;
  size_t begin = 0;
  for (size_t row = 0; row < wanted.size(); ++row) {
    const auto number = static_cast<int32_t>(row);
    const std::span<const float> given =
        std::span(rows).subspan(row * static_cast<size_t>(width), static_cast<size_t>(width));
    const auto k = static_cast<size_t>(wanted[row]);
    if (k == 0) {
      whole.push_back(number);
      expected.insert(expected.end(), given.begin(), given.end());
      continue;
    }
    ranked.push_back(
        {number, std::span(values).subspan(begin, k), std::span(columns).subspan(begin, k)});
    RankRow(given, {number, std::span(expected_values).subspan(begin, k),
                    std::span(expected_columns).subspan(begin, k)});
    begin += k;
  }
  std::vector<float> input = rows;
  input.resize(count * static_cast<size_t>(width));
  std::vector<float> out(whole.size() * static_cast<size_t>(width), -7);
  const Batch batch{.tokens = tokens,
                    .segments = {&segment, 1},
                    .output_rows = whole,
                    .ranked_rows = ranked,
                    .input = input};
  for (int again = 0; again < 2; ++again) ASSERT_TRUE(program->Run(batch, out).has_value());
  EXPECT_EQ(values, expected_values) << width;
  EXPECT_EQ(columns, expected_columns) << width;
  ASSERT_EQ(out.size(), expected.size());
  EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0) << width;
}

TEST_F(Vulkan, RankedRows) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 4);
  // One piece, the last of several with a single value, and two levels of pieces.
  for (const int64_t width : {1, 2, 63, 1000, 8192, 8193, 20001, 300000}) {
    const std::vector<int64_t> wanted =
        width > 100000 ? std::vector<int64_t>{256, 0, 1}
                       : std::vector<int64_t>{1, 0, 40, 2, 64, 65, 256, 0, 0, 7, 100};
    const auto size = wanted.size() * static_cast<size_t>(width);
    std::vector<float> rows(size), ties(size), odd(size, NAN), same(size, -3);
    for (float& value : rows) value = normal(random);
    for (float& value : ties) value = std::round(normal(random) / 4);
    for (float& value : odd) {
      constexpr float kOdd[] = {NAN,   -NAN,   INFINITY, -INFINITY, 0.0f,
                                -0.0f, 1e-40f, -1e-40f,  FLT_MAX,   -FLT_MAX};
      if (random() % 64 == 0) value = kOdd[random() % std::size(kOdd)];
    }
    for (const auto& values : {rows, ties, odd, same})
      ExpectRanked(backend_, width, values, wanted);
  }
}

struct KeyRope {
  RopeKind kind = RopeKind::kHalves;
  int64_t pairs = 8, offset = 0;
  bool keys_are_read = false;  // after the attention, too
};

// One layer of attention over rotated keys, whose heads have 16 values.
std::shared_ptr<const Plan> RotatedPlan(const KeyRope& rope) {
  PlanBuilder b(5);
  b.plan().vocabulary = 50;
  const int64_t size = 16, heads = 4, kv_heads = 2, width = 40;
  const View x = b.Buffer(width), q = b.Buffer(heads * size), k = b.Buffer(kv_heads * size);
  const View v = b.Buffer(kv_heads * size), out = b.Buffer(heads * size);
  b.Do(EmbedOp{b.Add(1, 50, width, 1.0f), x});
  for (const View& view : {q, k, v}) b.Do(MatMulOp{x, view, b.Matrix(view.width, width)});
  for (const View& view : {q, k})
    b.Do(RopeOp{rope.kind, view, size, rope.offset, b.Frequencies(rope.pairs), 1.3f});
  b.plan().cache_layers.push_back({kv_heads, size, size, 0});
  b.Do(AttentionOp{q, k, v, out, 0, heads, kv_heads, size, size, 0.4f});
  if (!rope.keys_are_read) return b.Finish(out);
  const View both = b.Buffer(out.width + k.width);
  b.Do(CopyHeadsOp{out, {both.buffer, 0, out.width}, 1, out.width, out.width, out.width});
  b.Do(CopyHeadsOp{k, {both.buffer, out.width, k.width}, 1, k.width, k.width, k.width});
  return b.Finish(both);
}

size_t Steps(const Plan& plan, const CompileOptions& options) {
  WeightUpload weights(&plan, nullptr, 0);
  return PlanCompiler(&plan, options, &weights, {}).Compile()->steps.size();
}

TEST_F(Vulkan, KeysAreRotatedWhereTheyAreStored) {
  for (const RopeKind kind : {RopeKind::kInterleaved, RopeKind::kHalves}) {
    for (const auto& [pairs, offset] : {std::pair(8, 0), {5, 0}, {3, 6}, {2, 12}}) {
      for (const bool keys_are_read : {false, true}) {
        const auto plan = RotatedPlan({kind, pairs, offset, keys_are_read});
        EXPECT_LT(Compare(plan, kMixed, Options()), kFloatTolerance)
            << int(kind) << " " << pairs << " " << offset << " " << keys_are_read;
      }
    }
  }
  // Keys that are read take a step for their rope, beside two copies.
  EXPECT_EQ(Steps(*RotatedPlan({}), Options()) + 3,
            Steps(*RotatedPlan({.keys_are_read = true}), Options()));
}

// Products of many input rows on matrix units, whose inputs and weights are float16: on those of
// the device, or with plain code in their place, which every device runs.
class VulkanMatrices : public Vulkan, public ::testing::WithParamInterface<MatrixOptions::Unit> {
 protected:
  void SetUp() override {
    const auto device = testing::VulkanDeviceForTests();
    if (!device) GTEST_SKIP() << device.error().message;
    if (GetParam() == MatrixOptions::Unit::kDevice && device->matrices.empty())
      GTEST_SKIP() << device->name << " has no cooperative matrices";
    name_ = "vulkan:" + std::to_string(device->index);
    Use({});
  }

  // False if the device has no room for such a tile.
  bool Use(std::optional<TileShape> tile) {
    auto backend = CreateVulkanBackend({.name = name_}, {.unit = GetParam(), .tile = tile});
    if (!backend) return false;
    own_ = *std::move(backend);
    backend_ = own_.get();
    return true;
  }

  // Both factors of a product are rounded by up to 2^-11 of themselves. What is not rounded at all
  // did not run on the kernel in question.
  void ExpectHalfPrecision(double nmse, const std::string& what) {
    EXPECT_GT(nmse, 1e-9) << what;
    EXPECT_LT(nmse, std::pow(2 * std::pow(2, -11), 2)) << what;
  }

  std::string name_;
  std::unique_ptr<Backend> own_;
};

INSTANTIATE_TEST_SUITE_P(Units, VulkanMatrices,
                         ::testing::Values(MatrixOptions::Unit::kDevice,
                                           MatrixOptions::Unit::kPlain),
                         [](const auto& info) {
                           return info.param == MatrixOptions::Unit::kDevice ? "Device" : "Plain";
                         });

TEST_P(VulkanMatrices, WeightTypes) {
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (traits.decode == nullptr || traits.encode == nullptr) continue;
    using enum quant::TensorType;
    if (traits.type == kF32 || traits.type == kF64) continue;
    // How each type is decoded is tested above.
    if (GetParam() == MatrixOptions::Unit::kPlain && traits.type != kF16 && traits.type != kQ8_0 &&
        traits.type != kQ6_K) {
      continue;
    }
    const int64_t cols = traits.block_elements == 1 ? 101 : 2 * traits.block_elements;
    ExpectHalfPrecision(Compare(ProductPlan(traits.type, cols, 37, 1), {{{0, 45}}}, Options()),
                        std::string(traits.name));
  }
}

// In a tile so deep that two eights of a type that share something are decoded together
// (pairs.glsl).
TEST_P(VulkanMatrices, WeightTypesInDeepTiles) {
  const bool plain = GetParam() == MatrixOptions::Unit::kPlain;
  ASSERT_TRUE(Use(plain ? TileShape{32, 16, 64, 2, 2, 1} : TileShape{64, 64, 64, 2, 2, 1}));
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (traits.decode == nullptr || traits.encode == nullptr) continue;
    using enum quant::TensorType;
    if (traits.type == kF32 || traits.type == kF64) continue;
    const int64_t cols = traits.block_elements == 256 ? 512 : 96;
    const auto plan = ProductPlan(traits.type, cols, 37, 1, false);
    ExpectHalfPrecision(Compare(plan, {{{0, 17}}}, Options()), std::string(traits.name));
  }
}

TEST_P(VulkanMatrices, Shapes) {
  for (const int64_t rows : {1, 64, 130}) {
    for (const int64_t cols : {8, 40, 200}) {
      const auto plan = ProductPlan(quant::TensorType::kF16, cols, rows, 1);
      ExpectHalfPrecision(Compare(plan, {{{0, 9}}, {{0, 3}, {1, 30}}, {{2, 130}}}, Options()),
                          fmt::format("{} x {}", rows, cols));
    }
  }
}

// Inputs far outside of what float16 holds.
TEST_P(VulkanMatrices, Ranges) {
  for (const float scale : {1e-20f, 1e-6f, 1e7f, 1e20f}) {
    const auto plan = ProductPlan(quant::TensorType::kQ8_0, 64, 40, scale, false);
    ExpectHalfPrecision(Compare(plan, {{{0, 20}}}, Options()), std::to_string(scale));
  }
}

// Rows that an invocation holds in registers on their way to float16, and the same rows where they
// are not aligned and read value by value. (Products per head, because lavapipe leaves loops after
// 65535 turns, so that those of plain code must be short.)
TEST_P(VulkanMatrices, HeldRows) {
  for (const auto& [heads, size] : {std::pair(1, 8), {1, 520}, {8, 512}, {40, 512}}) {
    PlanBuilder b(9);
    b.plan().vocabulary = 50;
    const int64_t width = heads * size, rows = 5;
    const View in = b.Buffer(width), apart = b.Buffer(width + 1), out = b.Buffer(2 * heads * rows);
    const View same{apart.buffer, 1, width};
    b.Do(EmbedOp{b.Add(1, 50, width, 1.0f), in});
    b.Do(CopyHeadsOp{in, same, 1, width, width, width});
    const WeightId weight = b.Add(heads, rows, size, 0.2f, 0, quant::TensorType::kF16);
    b.Do(HeadMatMulOp{in, {out.buffer, 0, heads * rows}, size, rows, weight});
    b.Do(HeadMatMulOp{same, {out.buffer, heads * rows, heads * rows}, size, rows, weight});
    const auto plan = b.Finish(out);
    ExpectHalfPrecision(Compare(plan, {{{0, 17}}}, Options()), std::to_string(width));
    const std::vector<float> values = Runner(backend_, plan, Options()).Run({{0, 17}});
    const auto half = static_cast<size_t>(heads * rows);
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], values[i / (2 * half) * (2 * half) + i % half]) << width << " at " << i;
  }
}

TEST_P(VulkanMatrices, Heads) {
  for (const int64_t stride : {24, 32}) {
    PlanBuilder b(5);
    b.plan().vocabulary = 50;
    const View in = b.Buffer(3 * stride), out = b.Buffer(3 * 20);
    b.Do(EmbedOp{b.Add(1, 50, in.width, 1.0f), in});
    b.Do(HeadMatMulOp{{in.buffer, 0, 2 * stride + 24},
                      {out.buffer, 0, 2 * 20 + 17},
                      stride,
                      20,
                      b.Add(3, 17, 24, 0.2f, 0, quant::TensorType::kF16)});
    const View written = b.Buffer(3 * 17);
    for (int64_t head = 0; head < 3; ++head)
      b.Do(
          CopyHeadsOp{{out.buffer, head * 20, 17}, {written.buffer, head * 17, 17}, 1, 17, 17, 17});
    ExpectHalfPrecision(Compare(b.Finish(written), {{{0, 21}}}, Options()), std::to_string(stride));
  }
}

TEST_P(VulkanMatrices, Tiles) {
  int used = 0;
  const bool plain = GetParam() == MatrixOptions::Unit::kPlain;
  const std::vector<TileShape> tiles =
      plain ? std::vector<TileShape>{{32, 16, 256, 2, 2, 1},   {32, 32, 128, 2, 2, 1},
                                     {64, 16, 64, 2, 2, 2},    {64, 16, 128, 4, 1, 1},
                                     {32, 16, 64, 2, 2, 1, 4}, {64, 32, 32, 4, 2, 2, 8}}
            : std::vector<TileShape>{{32, 32, 256, 2, 2, 1},    {32, 32, 128, 2, 2, 1},
                                     {64, 64, 64, 2, 2, 1},     {64, 64, 64, 4, 4, 1},
                                     {64, 64, 32, 2, 2, 2},     {128, 64, 64, 4, 2, 1},
                                     {128, 128, 64, 4, 4, 1},   {128, 128, 32, 4, 4, 2},
                                     {32, 32, 128, 2, 2, 1, 4}, {64, 64, 64, 2, 2, 1, 8}};
  for (const TileShape& tile : tiles) {
    if (!Use(tile)) continue;
    ++used;
    const auto plan = ProductPlan(quant::TensorType::kQ4_K, 512, 70, 1);
    ExpectHalfPrecision(Compare(plan, {{{0, 75}}}, Options()),
                        fmt::format("{}x{}x{}", tile.rows, tile.tokens, tile.depth));
  }
  EXPECT_GE(used, plain ? 6 : 2);
}

// Shares of the columns that are added up later, beside other products, into what others read.
TEST_P(VulkanMatrices, SharesInNetworks) {
  const bool plain = GetParam() == MatrixOptions::Unit::kPlain;
  ASSERT_TRUE(Use(plain ? TileShape{32, 16, 64, 2, 2, 1, 4} : TileShape{32, 32, 128, 2, 2, 1, 4}));
  Shape s;
  s.width = 128;
  s.hidden = 256;
  s.biases = true;
  s.type = quant::TensorType::kQ8_0;
  const double nmse = Compare(Decoder(s), {{{0, 40}}, {{0, 9}, {1, 1}, {2, 30}}}, Options());
  EXPECT_GT(nmse, 1e-9);
  EXPECT_LT(nmse, 8 * std::pow(2 * std::pow(2, -11), 2));
}

TEST(VulkanNames, AreChecked) {
  for (const char* name : {"vulkan:", "vulkan:x", "vulkan:-1", "vulkan:1x"}) {
    const auto wrong = CreateBackend({.name = name});
    ASSERT_FALSE(wrong.has_value()) << name;
    EXPECT_THAT(wrong.error().message, HasSubstr("vulkan"));
  }
}

// Needs the driver, and so do the tests of Vulkan.
TEST_F(Vulkan, ThereAreNotSoManyDevices) {
  EXPECT_FALSE(CreateBackend({.name = "vulkan:9999"}).has_value());
}

}  // namespace
}  // namespace puna::backend::vulkan
