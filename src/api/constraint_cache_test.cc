#include "api/constraint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tokenizer/small_vocabulary.h"

namespace puna::api {
namespace {

using grammar::Part;

std::shared_ptr<const grammar::Constraint> Get(ConstraintCache* cache, const std::string& text) {
  const auto constraint = cache->Get(Part::Text(text));
  EXPECT_TRUE(constraint) << constraint.error().message;
  return *constraint;
}

// Makes masks.
void Use(const std::shared_ptr<const grammar::Constraint>& constraint) {
  grammar::Matcher matcher(constraint);
  EXPECT_TRUE(matcher.Mask());
}

TEST(ConstraintCache, KeepsThoseThatWereUsedLast) {
  ConstraintCache cache(tokenizer::testing::SmallBytePairs(5).Make());
  const std::weak_ptr<const grammar::Constraint> first = Get(&cache, "0"),
                                                 second = Get(&cache, "1");
  for (int i = 2; i < 32; ++i) Get(&cache, std::to_string(i));
  EXPECT_EQ(Get(&cache, "0"), first.lock());
  Get(&cache, "32");
  EXPECT_FALSE(first.expired());
  EXPECT_TRUE(second.expired());
}

TEST(ConstraintCache, KeepsNoMoreMasksThanItMay) {
  ConstraintCache cache(tokenizer::testing::SmallBytePairs(5).Make(), /*most_mask_bytes=*/500);
  const std::weak_ptr<const grammar::Constraint> first = Get(&cache, "a"),
                                                 second = Get(&cache, "b");
  EXPECT_FALSE(first.expired());  // hardly any masks yet
  Use(first.lock());
  Use(second.lock());
  EXPECT_EQ(Get(&cache, "b"), second.lock());
  Get(&cache, "c");
  EXPECT_TRUE(first.expired());
  EXPECT_TRUE(second.expired());
  EXPECT_NE(Get(&cache, "c"), nullptr);
}

}  // namespace
}  // namespace puna::api
