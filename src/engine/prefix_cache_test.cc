#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

namespace puna::engine {
namespace {

using model::PagePool;
using model::PageTable;

std::vector<int32_t> Tokens(int count, int first = 0) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// As if a sequence had computed these tokens.
PageTable Computed(PagePool* pool, const std::vector<int32_t>& tokens) {
  PageTable table(pool);
  EXPECT_TRUE(table.Grow(static_cast<int64_t>(tokens.size()), nullptr));
  return table;
}

TEST(PrefixCache, FindsTheLongestWholePages) {
  PagePool pool(10);
  PrefixCache cache(&pool);
  const std::vector<int32_t> tokens = Tokens(40);
  std::vector<int32_t> pages;
  {
    const PageTable table = Computed(&pool, tokens);
    pages.assign(table.pages().begin(), table.pages().end());
    cache.Insert(tokens, table.pages(), false);
  }
  EXPECT_EQ(cache.pages(), 2);
  EXPECT_EQ(pool.free(), 8);  // the half page is gone
  const PageTable found = cache.Find(Tokens(100));
  EXPECT_EQ(found.length(), 32);
  EXPECT_EQ(found.pages()[0], pages[0]);
  EXPECT_EQ(found.pages()[1], pages[1]);
  EXPECT_EQ(cache.Find(Tokens(31)).length(), 16);
  EXPECT_EQ(cache.Find(Tokens(15)).length(), 0);
  std::vector<int32_t> other = Tokens(32);
  other[20] = 7;
  EXPECT_EQ(cache.Find(other).length(), 16);
  other[0] = 7;
  EXPECT_EQ(cache.Find(other).length(), 0);
}

TEST(PrefixCache, EvictsTheLeastRecentlyUsedLeafFirst) {
  PagePool pool(6);
  PrefixCache cache(&pool);
  const std::vector<int32_t> a = Tokens(32), b = Tokens(32, 1000), c = Tokens(32, 2000);
  for (const auto& tokens : {a, b, c}) cache.Insert(tokens, Computed(&pool, tokens).pages(), false);
  EXPECT_EQ(pool.free(), 0);
  cache.Find(a);
  EXPECT_TRUE(cache.MakeFree(1));
  EXPECT_EQ(cache.Find(b).length(), 16);  // the second page of b went; b is young again now
  EXPECT_TRUE(cache.MakeFree(3));
  EXPECT_EQ(cache.Find(c).length(), 0);
  EXPECT_EQ(cache.Find(a).length(), 32);
  EXPECT_EQ(cache.Find(b).length(), 16);
}

TEST(PrefixCache, DoesNotEvictWhatIsInUse) {
  PagePool pool(4);
  PrefixCache cache(&pool);
  const std::vector<int32_t> a = Tokens(32), b = Tokens(32, 1000);
  for (const auto& tokens : {a, b}) cache.Insert(tokens, Computed(&pool, tokens).pages(), false);
  const PageTable user = cache.Find(a);
  EXPECT_FALSE(cache.MakeFree(3));
  EXPECT_EQ(pool.free(), 2);
  EXPECT_EQ(cache.Find(a).length(), 32);
}

TEST(PrefixCache, ARunningSequenceStopsAtAForeignPage) {
  PagePool pool(10);
  PrefixCache cache(&pool);
  const std::vector<int32_t> tokens = Tokens(48);
  cache.Insert(std::span(tokens).first(16), Computed(&pool, Tokens(16)).pages(), false);
  PageTable own = Computed(&pool, tokens);  // computed beside, without looking
  cache.Insert(tokens, own.pages(), true);
  EXPECT_EQ(cache.pages(), 1);
  cache.Insert(tokens, own.pages(), false);
  EXPECT_EQ(cache.pages(), 3);
  own = PageTable(&pool);
  EXPECT_EQ(pool.free(), 7);
  EXPECT_TRUE(cache.MakeFree(10));
  EXPECT_EQ(cache.pages(), 0);
}

TEST(PrefixCache, DeepTreesDieWithoutRecursion) {
  constexpr int kPages = 100000;
  PagePool pool(kPages);
  {
    PrefixCache cache(&pool);
    const std::vector<int32_t> tokens = Tokens(kPages * 16);
    cache.Insert(tokens, Computed(&pool, tokens).pages(), false);
    EXPECT_EQ(cache.pages(), kPages);
  }
  EXPECT_EQ(pool.free(), kPages);
}

// Random inserts, finds and evictions against a list of everything that was inserted.
TEST(PrefixCache, NeverReturnsPagesOfOtherTokens) {
  std::mt19937 random(23);
  PagePool pool(40);
  std::vector<std::vector<int32_t>> content(
      40);  // what was computed into each page: all tokens up to its end
  {
    PrefixCache cache(&pool);
    int hits = 0;
    for (int round = 0; round < 5000; ++round) {
      std::vector<int32_t> tokens;
      for (size_t block = 0; block < 1 + random() % 6; ++block) {
        tokens.insert(tokens.end(), 16, static_cast<int32_t>(random() % 3));
      }
      PageTable table = cache.Find(tokens);
      hits += table.length() > 0;
      for (size_t i = 0; i < table.pages().size(); ++i) {
        const std::vector<int32_t> prefix(
            tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(16 * (i + 1)));
        ASSERT_EQ(content[static_cast<size_t>(table.pages()[i])], prefix);
      }
      const int64_t old_pages = static_cast<int64_t>(table.pages().size());
      const int64_t more = static_cast<int64_t>(tokens.size()) - table.length();
      if (more == 0) continue;
      ASSERT_TRUE(cache.MakeFree(table.PagesNeeded(more)));
      ASSERT_TRUE(table.Grow(more, nullptr));
      for (size_t i = static_cast<size_t>(old_pages); i < table.pages().size(); ++i) {
        content[static_cast<size_t>(table.pages()[i])] = {
            tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(16 * (i + 1))};
      }
      cache.Insert(tokens, table.pages(), random() % 2 == 0);
    }
    EXPECT_GT(hits, 1000);
  }
  EXPECT_EQ(pool.free(), 40);
}

}  // namespace
}  // namespace puna::engine
