#include "base/ordered_map.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/json.h"

namespace puna {
namespace {

using Map = OrderedMap<std::string, int>;
using Plain = std::vector<std::pair<std::string, int>>;

void ExpectSame(const Map& map, const Plain& plain) {
  EXPECT_EQ(Plain(map.begin(), map.end()), plain);
  EXPECT_EQ(map.size(), plain.size());
  for (const auto& [key, value] : plain) EXPECT_EQ(map.at(key), value) << key;
}

// The same as a list that is searched from its start, with few keys and with many.
class OrderedMapTest : public ::testing::TestWithParam<int> {};

TEST_P(OrderedMapTest, IsAListWhoseKeysAreUnique) {
  std::mt19937 random(7);
  Map map;
  Plain plain;
  for (int round = 0; round < 2000; ++round) {
    const std::string key = "a key with a number " + std::to_string(random() % GetParam());
    const auto known =
        std::find_if(plain.begin(), plain.end(), [&](const auto& e) { return e.first == key; });
    EXPECT_EQ(map.count(key), known == plain.end() ? 0U : 1U);
    if (random() % 3 == 0) {
      EXPECT_EQ(map.erase(key), known == plain.end() ? 0U : 1U);
      if (known != plain.end()) plain.erase(known);
    } else {
      const auto [at, added] = map.emplace(key, round);
      EXPECT_EQ(added, known == plain.end());
      EXPECT_EQ(at->first, key);
      if (added) plain.emplace_back(key, round);
    }
    if (random() % 50 == 0) {
      Map copy = map;
      copy["only there"] = 1;
      copy.erase(key);
      map = Map(std::move(map));
    }
  }
  ExpectSame(map, plain);
  const Map copy = map;
  EXPECT_EQ(copy, map);
  while (!plain.empty()) {
    map.erase(map.find(plain.back().first));
    plain.pop_back();
  }
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.find("only there"), map.end());
  EXPECT_THROW(map.at("only there"), std::out_of_range);
}

INSTANTIATE_TEST_SUITE_P(Keys, OrderedMapTest, ::testing::Values(3, 15, 16, 17, 40, 1000));

TEST_P(OrderedMapTest, ComparesWithoutRegardToOrder) {
  Map map, reversed;
  for (int i = 0; i < GetParam(); ++i) map[std::to_string(i)] = i;
  for (int i = GetParam(); i-- > 0;) reversed[std::to_string(i)] = i;
  EXPECT_EQ(map, reversed);
  EXPECT_TRUE((map <=> reversed) == 0);
  reversed["0"] = 1;
  EXPECT_NE(map, reversed);
  EXPECT_TRUE(map < reversed);
  EXPECT_EQ(Map({{"a", 1}, {"b", 2}, {"a", 3}}), Map({{"b", 2}, {"a", 1}}));
  EXPECT_NE(Map({{"a", 1}}), Map({{"a", 1}, {"b", 2}}));
  EXPECT_NE(Map({{"a", 1}, {"c", 2}}), Map({{"a", 1}, {"b", 2}}));
}

// Minutes where keys are looked for one after the other.
TEST(OrderedMap, ObjectsOfManyKeysAreReadInTime) {
  constexpr int kKeys = 300'000;
  std::string text = "{";
  for (int i = 0; i < kKeys; ++i)
    text += "\"" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  const Json json = ParseJson(text + "\"0\":-1}");
  ASSERT_EQ(json.size(), static_cast<size_t>(kKeys));
  EXPECT_EQ(json.begin().key(), "0");
  EXPECT_EQ(json.at("0"), -1) << "the last of two counts";
  EXPECT_EQ(json.at("299999"), 299'999);
  EXPECT_EQ(DumpJson(json).substr(0, 16), R"({"0":-1,"1":1,"2)");
}

}  // namespace
}  // namespace puna
