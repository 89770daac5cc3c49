// Products by dot products of int8, which every device that has them runs here, fast or not. Inputs
// of one scale and integers for each block of 32 are not rounded, and must give what float32 gives;
// of others the rounding has a bound.
#include <random>

#include "backend/vulkan/vulkan_fixture.h"

namespace puna::backend::vulkan {
namespace {

using enum quant::TensorType;

// The largest of 32 values becomes 127 levels; rounding is off by a level's twelfth in the mean of
// squares. A block of normally distributed values has a largest of 2.1 deviations on average and
// nearly never one of more than 4.5.
constexpr double kLeastRounding = 1e-6;
const double kMostRounding = std::pow(4.5 / 127, 2) / 12;

class VulkanInt8 : public Vulkan {
 protected:
  void SetUp() override {
    const auto device = testing::VulkanDeviceForTests();
    if (!device) GTEST_SKIP() << device.error().message;
    if (!device->int8_dots) GTEST_SKIP() << device->name << " has no dot products of int8";
    own_ = *CreateVulkanBackend({.name = "vulkan:" + std::to_string(device->index)},
                                {.unit = MatrixOptions::Unit::kInt8});
    backend_ = own_.get();
  }

  // However few weights there are.
  static CompileOptions Options() {
    CompileOptions options = Vulkan::Options();
    options.exact_below_bytes = 0;
    return options;
  }

  // What is not rounded at all did not run on the kernel in question.
  void ExpectRounded(double nmse, const std::string& what) {
    EXPECT_GT(nmse, kLeastRounding) << what;
    EXPECT_LT(nmse, kMostRounding) << what;
  }

  std::unique_ptr<Backend> own_;
};

bool HasBlocks(const quant::TypeTraits& traits) {
  return traits.decode != nullptr && traits.encode != nullptr && traits.block_elements > 1;
}

TEST_F(VulkanInt8, WeightTypes) {
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (!HasBlocks(traits)) continue;
    const int64_t cols = (traits.block_elements == 32 ? 3 : 2) * traits.block_elements;
    const auto exact = ProductPlan(traits.type, cols, 37, 1, true, kQ8_0);
    const double nmse = Compare(exact, {{{0, 21}}}, Options());
    const auto rounded = ProductPlan(traits.type, cols, 37, 1);
    const double rounding = Compare(rounded, {{{0, 21}}}, Options());
    // A type that the shaders do not decode is float16 on the device, and so is multiplied in
    // float32.
    const bool on_device = rounding > kFloatTolerance;
    EXPECT_LT(nmse, kFloatTolerance) << traits.name;
    if (on_device) ExpectRounded(rounding, std::string(traits.name));
    const auto expected = {kQ4_0, kQ4_1, kQ5_0, kQ5_1,   kQ8_0,   kQ2_K, kQ3_K,
                           kQ4_K, kQ5_K, kQ6_K, kIQ4_NL, kIQ4_XS, kMXFP4};
    EXPECT_TRUE(on_device || std::ranges::count(expected, traits.type) == 0) << traits.name;
  }
  // Types without blocks, and models that are computed exactly.
  EXPECT_LT(Compare(ProductPlan(kQ8_0, 96, 37, 1), {{{0, 21}}}, Vulkan::Options()),
            kFloatTolerance);
  EXPECT_LT(Compare(ProductPlan(kF16, 96, 37, 1), {{{0, 21}}}, Options()), kFloatTolerance);
}

// Rows and tokens around the edges of tiles, and columns that end in the middle of one.
TEST_F(VulkanInt8, Shapes) {
  std::mt19937 random(7);
  const std::vector<std::vector<Piece>> batches = {
      {{0, 1}},  {{1, 8}},  {{0, 9}},  {{2, 16}, {3, 15}}, {{4, 32}},
      {{5, 33}}, {{6, 63}}, {{7, 64}}, {{8, 65}},          {{9, 1}, {10, 70}}};
  for (const int64_t rows : {1, 63, 64, 65, 130}) {
    for (const int64_t cols : {32, 64, 96, 320}) {
      const auto plan = ProductPlan(kQ5_1, cols, rows, 1, true, kQ8_0);
      EXPECT_LT(Compare(plan, batches, Options()), kFloatTolerance) << rows << " x " << cols;
    }
  }
  for (int i = 0; i < 6; ++i) {
    const int64_t rows = 1 + random() % 200, cols = 512 * (1 + random() % 2);
    const std::vector<Piece> batch = {{0, 1 + static_cast<int64_t>(random() % 40)},
                                      {1, 9 + static_cast<int64_t>(random() % 22)}};
    for (const quant::TensorType type : {kQ4_K, kQ6_K, kQ2_K}) {
      const auto plan = ProductPlan(type, cols, rows, 1, true, kQ8_0);
      EXPECT_LT(Compare(plan, {batch}, Options()), kFloatTolerance) << rows << " x " << cols;
    }
    ExpectRounded(Compare(ProductPlan(kQ4_0, cols, rows, 1), {batch}, Options()),
                  fmt::format("{} x {}", rows, cols));
  }
}

// Few input rows: one, which workgroups round for themselves, and up to eight.
TEST_F(VulkanInt8, Vectors) {
  const std::vector<std::vector<Piece>> batches = {{{0, 1}}, {{1, 2}}, {{2, 3}}, {{4, 1}, {5, 7}}};
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (!HasBlocks(traits)) continue;
    const auto exact = ProductPlan(traits.type, 512, 37, 1, true, kQ8_0);
    EXPECT_LT(Compare(exact, {{{0, 1}}, {{2, 3}}}, Options()), kFloatTolerance) << traits.name;
    const auto rounded = ProductPlan(traits.type, 512, 37, 1);
    for (const int64_t tokens : {1, 4}) {
      const double rounding = Compare(rounded, {{{0, tokens}}}, Options());
      // Types that are float16 on the device.
      if (rounding > kFloatTolerance)
        ExpectRounded(rounding, fmt::format("{}, {} tokens", traits.name, tokens));
      EXPECT_TRUE(rounding > kFloatTolerance || traits.type > kQ6_K) << traits.name;
    }
  }
  for (const int64_t rows : {1, 65, 300}) {
    EXPECT_LT(Compare(ProductPlan(rows == 65 ? kQ6_K : kQ4_1, 1024, rows, 1, true, kQ8_0), batches,
                      Options()),
              kFloatTolerance)
        << rows;
  }
}

// Products that compute the norm of their input themselves, and those that may not: because
// something else reads it, or because they write what it is the norm of.
TEST_F(VulkanInt8, NormsOfProducts) {
  constexpr int64_t kWidth = 1024;
  for (const auto last : {0, 1, 2}) {
    PlanBuilder b(3);
    b.plan().vocabulary = 50;
    const View h = b.Buffer(kWidth), normed = b.Buffer(kWidth), one = b.Buffer(kWidth),
               two = b.Buffer(kWidth);
    b.Do(EmbedOp{b.Add(1, 50, kWidth, 1.0f, 0, kQ8_0), h});
    for (int i = 0; i < 2; ++i) {
      b.Do(NormOp{NormKind::kRms, h, normed, kWidth, 1e-5f,
                  i == 0 ? b.Vector(kWidth, 1) : kNoWeight});
      b.Do(MatMulOp{normed, one, b.Matrix(kWidth, kWidth, kQ8_0)});
      if (last == 1) b.Do(ScaleOp{normed, 0.5f});
      if (last == 2) {
        b.Do(MatMulOp{normed, two, b.Matrix(kWidth, kWidth, kQ4_1)});
        b.Do(AddOp{h, two, h});
      }
      b.Do(MatMulOp{normed, two, b.Matrix(kWidth, kWidth, kQ8_0), b.Vector(kWidth)});
      b.Do(AddOp{h, one, h});
      b.Do(AddOp{h, two, h, 0.3f});
    }
    const auto plan = b.Finish(h);
    for (const int64_t tokens : {1, 2, 9}) {
      const double nmse = Compare(plan, {{{0, tokens}}}, Options());
      EXPECT_GT(nmse, kLeastRounding) << last << " " << tokens;
      EXPECT_LT(nmse, 8 * kMostRounding) << last << " " << tokens;
    }
  }
}

// A row that is too long for a workgroup to keep, and ones that units do not divide.
TEST_F(VulkanInt8, VectorsOfOddLengths) {
  for (const int64_t cols : {96, 320, 16384, 16512}) {
    const auto plan = ProductPlan(kQ8_0, cols, 10, 1, true, kQ8_0);
    EXPECT_LT(Compare(plan, {{{0, 1}}, {{1, 2}}}, Options()), kFloatTolerance) << cols;
    const double rounding = Compare(ProductPlan(kQ8_0, cols, 40, 1), {{{0, 1}}}, Options());
    // Not rounded: the float32 kernel.
    EXPECT_EQ(rounding > kLeastRounding, cols % 128 == 0) << cols;
  }
}

// Gated pairs and experts of few rows.
TEST_F(VulkanInt8, VectorsInNetworks) {
  for (const int64_t experts : {0, 8}) {
    Shape s;
    s.width = 128;
    s.hidden = 256;
    s.layers = 1;
    s.experts = experts;
    s.experts_biased = true;
    s.type = kQ4_1;
    for (const int64_t tokens : {1, 6}) {
      const double nmse = Compare(Decoder(s), {{{0, tokens}}}, Options());
      EXPECT_GT(nmse, kLeastRounding) << experts;
      EXPECT_LT(nmse, 8 * kMostRounding) << experts;
    }
  }
}

// Inputs far from 1, down to where a block counts as zeros.
TEST_F(VulkanInt8, Ranges) {
  for (const float scale : {1e-20f, 1e-6f, 1e7f, 1e20f}) {
    const auto plan = ProductPlan(kQ8_0, 128, 40, scale, false, kQ8_0);
    EXPECT_LT(Compare(plan, {{{0, 20}}, {{1, 1}}, {{2, 3}}}, Options()), kFloatTolerance) << scale;
  }
  const auto nothing = ProductPlan(kQ4_1, 128, 40, 0, true);
  EXPECT_EQ(Compare(nothing, {{{0, 20}}, {{1, 1}}, {{2, 3}}}, Options()), 0);
}

TEST_F(VulkanInt8, Heads) {
  // 48: heads that do not begin at blocks are multiplied in float32.
  for (const int64_t stride : {32, 48, 96, 128}) {
    PlanBuilder b(5);
    b.plan().vocabulary = 50;
    const int64_t size = stride == 48 ? 32 : stride;
    const View in = b.Buffer(6 * stride), out = b.Buffer(6 * 20);
    b.Do(EmbedOp{b.Add(1, 50, in.width, 1.0f, 0, kQ8_0), in});
    b.Do(HeadMatMulOp{
        {in.buffer, 0, 5 * stride + size}, out, stride, 20, b.Add(6, 20, size, 0.2f, 0, kQ5_0)});
    EXPECT_LT(Compare(b.Finish(out), {{{0, 21}}}, Options()), kFloatTolerance) << stride;
  }
}

// Sums that are added to, gated pairs, and inputs that change between products. Each of eight
// products behind each other adds its rounding.
TEST_F(VulkanInt8, Networks) {
  Shape s;
  s.width = 96;
  s.hidden = 128;
  s.biases = true;
  s.type = kQ8_0;
  const double nmse = Compare(Decoder(s), {{{0, 40}}, {{0, 9}, {1, 1}, {2, 30}}}, Options());
  EXPECT_GT(nmse, kLeastRounding);
  EXPECT_LT(nmse, 8 * kMostRounding);
}

// The cpu backend rounds inputs of these types in the same way; a block may go the other way where
// both levels are equally good.
TEST_F(VulkanInt8, RoundsAsTheCpu) {
  const auto cpu = MakeBackend("cpu"), reference = MakeBackend("reference");
  for (const quant::TensorType type : {kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0}) {
    const auto plan = ProductPlan(type, 320, 50, 1);
    Runner device_runner(backend_, plan, Options()), cpu_runner(cpu.get(), plan, Options()),
        exact_runner(reference.get(), plan, Options());
    const std::vector<float> device = device_runner.Run({{0, 40}}),
                             other = cpu_runner.Run({{0, 40}}), exact = exact_runner.Run({{0, 40}});
    EXPECT_GT(Nmse(other, exact), kLeastRounding) << int(type);
    EXPECT_LT(Nmse(device, other), 1e-7) << int(type);
  }
}

// A row has the same outputs whoever is in the batch beside it.
TEST_F(VulkanInt8, RowsDoNotDependOnOthers) {
  const auto plan = ProductPlan(kQ4_K, 512, 70, 1);
  const auto run = [&](const std::vector<Piece>& batch) {
    return Runner(backend_, plan, Options()).Run(batch);
  };
  const std::vector<float> alone = run({{3, 20}});
  for (const std::vector<Piece>& batch : {std::vector<Piece>{{1, 7}, {3, 20}},
                                          {{1, 5}, {2, 1}, {3, 20}, {4, 3}},
                                          {{2, 55}, {3, 20}}}) {
    const std::vector<float> all = run(batch);
    const auto width = static_cast<size_t>(plan->output.width);
    size_t before = 0;
    for (const Piece& piece : batch) {
      if (piece.sequence == 3) break;
      before += static_cast<size_t>(piece.tokens);
    }
    const std::vector<float> part(all.begin() + static_cast<ptrdiff_t>(before * width),
                                  all.begin() + static_cast<ptrdiff_t>((before + 20) * width));
    EXPECT_LT(Nmse(part, alone), 1e-12);
  }
}

}  // namespace
}  // namespace puna::backend::vulkan
