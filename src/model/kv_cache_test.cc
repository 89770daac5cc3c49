#include "model/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace puna::model {
namespace {

using ::testing::ElementsAre;

// Only remembers what it was asked to copy.
class CopyRecorder : public backend::Program {
 public:
  void Run(const backend::Batch&, std::span<float>) override {}
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
    copies.push_back({from, to, tokens});
  }
  void ReleasePage(int32_t) override {}
  backend::MemoryUse memory_use() const override { return {}; }
  std::string Describe() const override { return "recorder"; }

  struct Copy {
    int32_t from, to;
    int64_t tokens;
    bool operator==(const Copy&) const = default;
  };
  std::vector<Copy> copies;
};

TEST(PagePool, CountsReferences) {
  PagePool pool(2);
  const int32_t page = *pool.Allocate();
  EXPECT_EQ(page, 0);
  pool.AddReference(page);
  EXPECT_EQ(pool.references(page), 2);
  EXPECT_FALSE(pool.Release(page));
  EXPECT_EQ(pool.free(), 1);
  EXPECT_TRUE(pool.Release(page));
  EXPECT_EQ(pool.free(), 2);
  EXPECT_EQ(pool.total(), 2);
}

TEST(PagePool, ExhaustionIsAnError) {
  PagePool pool(1);
  ASSERT_TRUE(pool.Allocate().has_value());
  const Result<int32_t> none = pool.Allocate();
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kResourceExhausted);
}

TEST(PageTable, GrowsByWholePagesAndTruncates) {
  PagePool pool(4);
  PageTable table(&pool);
  EXPECT_EQ(table.PagesNeeded(0), 0);
  EXPECT_EQ(table.PagesNeeded(16), 1);
  EXPECT_EQ(table.PagesNeeded(17), 2);
  ASSERT_TRUE(table.Grow(17, nullptr).has_value());
  EXPECT_THAT(table.pages(), ElementsAre(0, 1));
  EXPECT_EQ(table.PagesNeeded(15), 0);
  ASSERT_TRUE(table.Grow(15, nullptr).has_value());
  EXPECT_EQ(table.length(), 32);
  EXPECT_THAT(table.pages(), ElementsAre(0, 1));
  table.Truncate(16);
  EXPECT_THAT(table.pages(), ElementsAre(0));
  EXPECT_EQ(pool.free(), 3);
  table.Truncate(0);
  EXPECT_EQ(pool.free(), 4);
}

TEST(PageTable, ForkSharesAndCopiesTheHalfFullPageOnGrowth) {
  PagePool pool(8);
  CopyRecorder program;
  PageTable table(&pool);
  ASSERT_TRUE(table.Grow(40, &program).has_value());  // pages 0, 1, 2
  PageTable fork = table.Fork(20);                    // pages 0, 1
  EXPECT_EQ(fork.length(), 20);
  EXPECT_THAT(fork.pages(), ElementsAre(0, 1));
  EXPECT_EQ(pool.references(1), 2);
  EXPECT_EQ(pool.free(), 5);

  EXPECT_EQ(fork.PagesNeeded(1), 1);
  EXPECT_EQ(fork.PagesNeeded(13), 2);
  ASSERT_TRUE(fork.Grow(13, &program).has_value());
  EXPECT_THAT(program.copies, ElementsAre(CopyRecorder::Copy{1, 3, 4}));
  EXPECT_THAT(fork.pages(), ElementsAre(0, 3, 4));
  EXPECT_EQ(pool.references(1), 1);
  // Now each owns its page, so nothing is copied any more.
  ASSERT_TRUE(table.Grow(1, &program).has_value());
  EXPECT_EQ(program.copies.size(), 1u);
}

TEST(PageTable, ForkAtAPageBoundaryCopiesNothing) {
  PagePool pool(4);
  PageTable table(&pool);
  ASSERT_TRUE(table.Grow(32, nullptr).has_value());
  PageTable fork = table.Fork(16);
  ASSERT_TRUE(fork.Grow(1, nullptr).has_value());  // a CHECK if it wanted to copy
  EXPECT_THAT(fork.pages(), ElementsAre(0, 2));
}

TEST(PageTable, TheOriginalAlsoCopiesWhatItShares) {
  PagePool pool(4);
  CopyRecorder program;
  PageTable table(&pool);
  ASSERT_TRUE(table.Grow(4, &program).has_value());
  const PageTable fork = table.Fork(2);
  ASSERT_TRUE(table.Grow(1, &program).has_value());
  EXPECT_THAT(program.copies, ElementsAre(CopyRecorder::Copy{0, 1, 4}));
  EXPECT_THAT(fork.pages(), ElementsAre(0));
}

TEST(PageTable, ExhaustionChangesNothing) {
  PagePool pool(3);
  CopyRecorder program;
  PageTable table(&pool);
  ASSERT_TRUE(table.Grow(20, &program).has_value());  // 2 pages
  PageTable fork = table.Fork(20);
  // One free page: enough for the copy, not for the page after it.
  const Status status = fork.Grow(13, &program);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(fork.length(), 20);
  EXPECT_THAT(fork.pages(), ElementsAre(0, 1));
  EXPECT_EQ(pool.references(1), 2);
  EXPECT_EQ(pool.free(), 1);
  EXPECT_TRUE(program.copies.empty());
  EXPECT_TRUE(fork.Grow(12, &program).has_value());
}

TEST(PageTable, MovesAndDestructionReleasePages) {
  PagePool pool(4);
  {
    PageTable a(&pool);
    ASSERT_TRUE(a.Grow(16, nullptr).has_value());
    PageTable b(std::move(a));
    EXPECT_EQ(b.length(), 16);
    PageTable c(&pool);
    ASSERT_TRUE(c.Grow(32, nullptr).has_value());
    EXPECT_EQ(pool.free(), 1);
    c = std::move(b);
    EXPECT_THAT(c.pages(), ElementsAre(0));
    EXPECT_EQ(pool.free(), 3);
  }
  EXPECT_EQ(pool.free(), 4);
}

// A model in plain vectors: what each table should see at each position must be what its pages
// hold.
TEST(PageTable, RandomForksNeverOverwriteEachOther) {
  constexpr int64_t kPages = 24;
  class Memory : public CopyRecorder {
   public:
    void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
      std::copy_n(cells[from], tokens, cells[to]);
    }
    int cells[kPages][backend::kPageTokens] = {};
  } memory;
  PagePool pool(kPages);
  std::mt19937 random(7);
  std::vector<std::pair<PageTable, std::vector<int>>> tables;
  tables.emplace_back(PageTable(&pool), std::vector<int>());
  int next = 1;
  for (int step = 0; step < 3000; ++step) {
    const size_t i = random() % tables.size();
    auto& [table, wanted] = tables[i];
    const int64_t some = static_cast<int64_t>(random() % 40);
    switch (random() % 4) {
      case 0:
      case 1: {
        const int64_t before = table.length();
        if (!table.Grow(some, &memory)) break;
        for (int64_t p = before; p < table.length(); ++p) {
          memory.cells[table.pages()[static_cast<size_t>(p / 16)]][p % 16] = next;
          wanted.push_back(next++);
        }
        break;
      }
      case 2: {
        const int64_t length = std::min<int64_t>(some, table.length());
        table.Truncate(length);
        wanted.resize(static_cast<size_t>(length));
        break;
      }
      case 3: {
        const int64_t length = std::min<int64_t>(some, table.length());
        std::vector<int> prefix(wanted.begin(), wanted.begin() + length);
        PageTable fork = table.Fork(length);
        if (tables.size() < 5) {
          tables.emplace_back(std::move(fork), std::move(prefix));
        } else {
          const size_t victim = random() % tables.size();
          tables[victim].first = std::move(fork);
          tables[victim].second = std::move(prefix);
        }
        break;
      }
    }
    for (const auto& [other, values] : tables) {
      ASSERT_EQ(other.length(), static_cast<int64_t>(values.size()));
      for (size_t p = 0; p < values.size(); ++p) {
        ASSERT_EQ(memory.cells[other.pages()[p / 16]][p % 16], values[p])
            << "step " << step << " position " << p;
      }
    }
  }
  tables.clear();
  EXPECT_EQ(pool.free(), kPages);
}

}  // namespace
}  // namespace puna::model
