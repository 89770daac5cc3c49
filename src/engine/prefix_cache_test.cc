#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>
#include <string>
#include <utility>
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

// Of pages, only what was computed into them is known: all tokens up to each position.
class Contents : public backend::Program {
 public:
  void Compute(const std::vector<int32_t>& tokens, const PageTable& table, int64_t from) {
    for (size_t i = static_cast<size_t>(from); i < tokens.size(); ++i) {
      auto& page = of_[table.pages()[i / 16]];
      page.resize(i % 16);
      page.emplace_back(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(i + 1));
    }
  }
  testing::AssertionResult Holds(const std::vector<int32_t>& tokens, const PageTable& table) {
    for (int64_t i = 0; i < table.length(); ++i) {
      const std::vector<int32_t> prefix(tokens.begin(), tokens.begin() + i + 1);
      const auto& page = of_[table.pages()[static_cast<size_t>(i / 16)]];
      if (std::cmp_greater_equal(i % 16, page.size()) ||
          page[static_cast<size_t>(i % 16)] != prefix)
        return testing::AssertionFailure() << "position " << i;
    }
    return testing::AssertionSuccess();
  }
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    of_[to] = of_[from];
    of_[to].resize(static_cast<size_t>(tokens));
    ++copies;
  }
  Status Run(const backend::Batch&, std::span<float>) override { return {}; }
  void ReleasePage(int32_t) override {}
  backend::MemoryUse memory_use() const override { return {}; }
  std::string Describe() const override { return "contents"; }

  int copies = 0;

 private:
  std::map<int32_t, std::vector<std::vector<int32_t>>> of_;
};

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
  EXPECT_EQ(cache.pages(), 3);
  EXPECT_EQ(pool.free(), 7);
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
  EXPECT_FALSE(cache.CanMakeFree(3));
  EXPECT_TRUE(cache.CanMakeFree(2));
  EXPECT_EQ(pool.free(), 0);
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

TEST(PrefixCache, FindsTheBeginningOfAPageThatGoesOnOtherwise) {
  PagePool pool(10);
  PrefixCache cache(&pool);
  cache.Insert(Tokens(40), Computed(&pool, Tokens(40)).pages(), false);
  std::vector<int32_t> tokens = Tokens(60);
  EXPECT_EQ(cache.FindAll(tokens).length(), 40);  // where the text ended
  tokens[35] = 7;
  EXPECT_EQ(cache.FindAll(tokens).length(), 35);
  tokens[20] = 7;
  EXPECT_EQ(cache.FindAll(tokens).length(), 20);  // in the middle of a full page
  EXPECT_EQ(cache.FindAll(Tokens(9)).length(), 9);
  tokens[0] = 7;
  EXPECT_EQ(cache.FindAll(tokens).length(), 0);
  EXPECT_EQ(cache.FindAll(tokens, 1).length(), 0);
}

TEST(PrefixCache, TheFoundPartOfAPageIsCopiedOrForgotten) {
  PagePool pool(4);
  Contents contents;
  PrefixCache cache(&pool);
  cache.Insert(Tokens(40), Computed(&pool, Tokens(40)).pages(), false);
  PageTable found = cache.FindAll(Tokens(60));
  found.OwnLastPage(&contents);
  EXPECT_EQ(found.length(), 40);
  EXPECT_EQ(contents.copies, 1);
  EXPECT_EQ(pool.free(), 0);
  PageTable other = cache.FindAll(Tokens(60));
  other.OwnLastPage(&contents);
  EXPECT_EQ(other.length(), 32);
  other = PageTable(&pool);
  EXPECT_TRUE(cache.MakeFree(1));  // nobody uses the page of the tree any more
  EXPECT_EQ(cache.Find(Tokens(60)).length(), 32);
}

TEST(PrefixCache, ALongerPageTakesThePlaceOfShorterOnes) {
  PagePool pool(10);
  PrefixCache cache(&pool);
  for (const int length : {20, 25, 25, 22, 32, 30}) {
    cache.Insert(Tokens(length), Computed(&pool, Tokens(length)).pages(), false);
    EXPECT_EQ(cache.pages(), 2) << length;
  }
  cache.Insert(Tokens(40), Computed(&pool, Tokens(40)).pages(), true);  // goes on writing to it
  EXPECT_EQ(cache.pages(), 2);
  EXPECT_EQ(cache.FindAll(Tokens(40)).length(), 32);
}

// Random inserts, finds and evictions against what was computed into each page.
TEST(PrefixCache, NeverReturnsPagesOfOtherTokens) {
  std::mt19937 random(23);
  PagePool pool(40);
  Contents contents;
  {
    PrefixCache cache(&pool);
    int whole = 0;
    for (int round = 0; round < 5000; ++round) {
      std::vector<int32_t> tokens;
      for (size_t part = 0; part < 1 + random() % 8; ++part) {
        const size_t count = random() % 2 == 0 ? 16 : 1 + random() % 20;
        tokens.insert(tokens.end(), count, static_cast<int32_t>(random() % 3));
      }
      PageTable table = random() % 2 == 0 ? cache.Find(tokens) : cache.FindAll(tokens);
      ASSERT_TRUE(contents.Holds(tokens, table));
      whole += table.length() >= 16;
      table.OwnLastPage(&contents);
      ASSERT_TRUE(contents.Holds(tokens, table));
      const int64_t known = table.length();
      const int64_t more = static_cast<int64_t>(tokens.size()) - known;
      const int64_t most = pool.total() - static_cast<int64_t>(table.pages().size());
      ASSERT_TRUE(cache.CanMakeFree(most));
      ASSERT_FALSE(cache.CanMakeFree(most + 1));
      ASSERT_TRUE(cache.MakeFree(round % 50 == 0 ? most : table.PagesNeeded(more)));
      ASSERT_TRUE(cache.MakeFree(table.PagesNeeded(more)));
      ASSERT_TRUE(table.Grow(more, &contents));
      contents.Compute(tokens, table, known);
      cache.Insert(tokens, table.pages(), random() % 2 == 0);
    }
    EXPECT_GT(whole, 1000);
    EXPECT_GT(contents.copies, 500);
  }
  EXPECT_EQ(pool.free(), 40);
}

}  // namespace
}  // namespace puna::engine
