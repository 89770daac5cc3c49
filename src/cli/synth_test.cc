#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "cli/random_blocks.h"
#include "cli/synth_shapes.h"

namespace puna::cli {
namespace {

using quant::TensorType;

TEST(SynthShapesTest, Q4_K_M_GivesTheSensitiveTensorsMoreBits) {
  const Shape& shape = *FindShape("llama-1b");
  const auto type = FileType::Find("q4_k_m");
  ASSERT_TRUE(type);
  EXPECT_EQ(type->number(), 15u);
  // Of 16 layers: the first and last two, and every third between.
  const std::set<int64_t> better = {0, 1, 4, 7, 10, 13, 14, 15};
  for (int64_t layer = 0; layer < 16; ++layer) {
    const TensorType expected = better.contains(layer) ? TensorType::kQ6_K : TensorType::kQ4_K;
    EXPECT_EQ(type->TypeOf(TensorRole::kDown, layer, shape, 8192), expected) << layer;
    EXPECT_EQ(type->TypeOf(TensorRole::kValue, layer, shape, 2048), expected) << layer;
    EXPECT_EQ(type->TypeOf(TensorRole::kOther, layer, shape, 2048), TensorType::kQ4_K);
  }
  EXPECT_EQ(type->TypeOf(TensorRole::kEmbedding, 0, shape, 2048), TensorType::kQ4_K);
  EXPECT_EQ(type->TypeOf(TensorRole::kOutput, 0, shape, 2048), TensorType::kQ6_K);
  EXPECT_EQ(type->TypeOf(TensorRole::kEmbedding, 0, *FindShape("llama-3b"), 3072),
            TensorType::kQ6_K);
}

TEST(SynthShapesTest, RowsThatBlocksDoNotFillGetSmallerBlocks) {
  const Shape& gemma = *FindShape("gemma3-1b");  // rows of 1152 values
  const auto type = FileType::Find("Q4_K_M");
  EXPECT_EQ(type->TypeOf(TensorRole::kOther, 5, gemma, 1152), TensorType::kQ5_0);
  EXPECT_EQ(type->TypeOf(TensorRole::kValue, 0, gemma, 1152), TensorType::kQ8_0);
  EXPECT_EQ(type->TypeOf(TensorRole::kEmbedding, 0, gemma, 1152), TensorType::kQ8_0);
  EXPECT_EQ(type->TypeOf(TensorRole::kOther, 5, gemma, 6912), TensorType::kQ4_K);
}

TEST(SynthShapesTest, FloatsAndPlainTypesAreTheSameEverywhere) {
  const Shape& shape = *FindShape("llama-8b");
  for (const char* name : {"F16", "Q8_0", "MXFP4"}) {
    const auto type = FileType::Find(name);
    ASSERT_TRUE(type) << name;
    EXPECT_EQ(type->TypeOf(TensorRole::kDown, 0, shape, 14336), quant::FindTypeByName(name)->type);
    EXPECT_EQ(type->TypeOf(TensorRole::kOutput, 0, shape, 4096), quant::FindTypeByName(name)->type);
  }
  EXPECT_FALSE(FileType::Find("Q9_X"));
  EXPECT_FALSE(FileType::Find("I32"));
}

TEST(RandomBlocksTest, ValuesHaveTheVarianceThatKeepsProductsInSize) {
  constexpr int64_t kColumns = 512, kElements = kColumns * 256;
  for (const char* name : {"F32", "F16", "Q8_0", "Q4_K", "Q6_K"}) {
    const quant::TypeTraits& traits = *quant::FindTypeByName(name);
    RandomBlocks random(1);
    const auto bytes = random.Matrix(traits.type, kColumns, kElements);
    std::vector<float> values(kElements);
    traits.decode(bytes.data(), kElements, values.data());
    double squares = 0;
    for (const float value : values) squares += static_cast<double>(value) * value;
    EXPECT_NEAR(squares / kElements * kColumns, 1, 0.05) << name;
  }
}

TEST(RandomBlocksTest, RowsDifferAndSeedsRepeat) {
  RandomBlocks a(1), b(1), c(2);
  const auto matrix = a.Matrix(TensorType::kQ4_K, 1024, 1024 * 64);
  EXPECT_EQ(matrix, b.Matrix(TensorType::kQ4_K, 1024, 1024 * 64));
  EXPECT_NE(matrix, c.Matrix(TensorType::kQ4_K, 1024, 1024 * 64));
  const size_t row_bytes = matrix.size() / 64;
  std::set<std::vector<uint8_t>> rows;
  for (size_t row = 0; row < 64; ++row) {
    rows.emplace(matrix.begin() + static_cast<ptrdiff_t>(row * row_bytes),
                 matrix.begin() + static_cast<ptrdiff_t>((row + 1) * row_bytes));
  }
  EXPECT_EQ(rows.size(), 64u);
}

}  // namespace
}  // namespace puna::cli
