#include "backend/reference/reference_kv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace puna::backend::reference {
namespace {

Plan TwoLayers() {
  Plan plan;
  plan.cache_layers = {{.kv_heads = 2, .k_size = 32, .v_size = 8},
                       {.kv_heads = 1, .k_size = 64, .v_size = 64}};
  return plan;
}

std::vector<float> Wave(size_t size, float phase) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) values[i] = std::sin(phase + static_cast<float>(i));
  return values;
}

class KvPagesTest : public ::testing::TestWithParam<std::pair<KvType, float>> {};

TEST_P(KvPagesTest, ReadsBackEveryHeadOfEveryLayer) {
  const auto [type, tolerance] = GetParam();
  KvPages pages(TwoLayers(), type, 3);
  const std::vector<float> k = Wave(64, 1), v = Wave(16, 2), k2 = Wave(64, 3), v2 = Wave(64, 4);
  pages.Write(0, 2, 15, k, v);
  pages.Write(1, 2, 15, k2, v2);
  pages.Copy(2, 0, 16);
  for (const int32_t page : {2, 0}) {
    std::vector<float> key(32), value(8), big(64);
    for (int head = 0; head < 2; ++head) {
      pages.ReadKey(0, page, 15, head, key);
      EXPECT_THAT(key, ::testing::Pointwise(::testing::FloatNear(tolerance),
                                            std::span(k).subspan(32 * head, 32)));
      pages.ReadValue(0, page, 15, head, value);
      EXPECT_THAT(value, ::testing::Pointwise(::testing::FloatNear(tolerance),
                                              std::span(v).subspan(8 * head, 8)));
    }
    pages.ReadKey(1, page, 15, 0, big);
    EXPECT_THAT(big, ::testing::Pointwise(::testing::FloatNear(tolerance), k2));
    pages.ReadValue(1, page, 15, 0, big);
    EXPECT_THAT(big, ::testing::Pointwise(::testing::FloatNear(tolerance), v2));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, KvPagesTest,
                         ::testing::Values(std::pair(KvType::kF32, 0.0f),
                                           std::pair(KvType::kF16, 5e-4f),
                                           std::pair(KvType::kQ8_0, 4e-3f)));

TEST(KvPages, BytesOfAPage) {
  const int64_t values = 2 * (32 + 8) + 64 + 64;
  EXPECT_EQ(KvPages(TwoLayers(), KvType::kF32, 0).page_bytes(), kPageTokens * 4 * values);
  EXPECT_EQ(KvPages(TwoLayers(), KvType::kF16, 0).page_bytes(), kPageTokens * 2 * values);
  // A scale for each 32 values, and one for each of the two heads of 8.
  EXPECT_EQ(KvPages(TwoLayers(), KvType::kQ8_0, 0).page_bytes(),
            kPageTokens * (values + 4 * (2 + 2 + 4)));
}

TEST(KvPages, CopyStopsAtTheAskedPositions) {
  KvPages pages(TwoLayers(), KvType::kF32, 2);
  pages.Write(1, 0, 4, Wave(64, 1), Wave(64, 2));
  pages.Write(1, 0, 5, Wave(64, 3), Wave(64, 4));
  pages.Copy(0, 1, 5);
  std::vector<float> key(64);
  pages.ReadKey(1, 1, 4, 0, key);
  EXPECT_EQ(key, Wave(64, 1));
  pages.ReadKey(1, 1, 5, 0, key);
  EXPECT_EQ(key, std::vector<float>(64, 0));
}

}  // namespace
}  // namespace puna::backend::reference
