#include <gtest/gtest.h>

#include <cmath>

#include "cli/random_blocks.h"

namespace puna::cli {
namespace {

using quant::TensorType;

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
