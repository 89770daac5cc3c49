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
  Status Run(const backend::Batch&, std::span<float>) override { return {}; }
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

TEST(PageTable, WhatAnEncoderReadStaysTogether) {
  PagePool pool(8);
  PageTable table(&pool);
  ASSERT_TRUE(table.Grow(20, nullptr).has_value());
  EXPECT_EQ(table.encoded(), 0);
  table.MarkEncoded();
  ASSERT_TRUE(table.Grow(5, nullptr).has_value());
  EXPECT_EQ(table.encoded(), 20);
  EXPECT_EQ(table.Fork(22).encoded(), 20);
  EXPECT_EQ(table.Fork(22).length(), 22);
  EXPECT_EQ(table.Fork(19).length(), 0);
  EXPECT_EQ(table.Fork(19).encoded(), 0);
  EXPECT_EQ(table.Truncate(20), 20);
  PageTable moved = std::move(table);
  EXPECT_EQ(moved.encoded(), 20);
  EXPECT_EQ(moved.Truncate(19), 0);
  EXPECT_EQ(moved.encoded(), 0);
  EXPECT_EQ(pool.free(), 8);
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

// Where the states of the pass that follows a Grow go, as (position, slot).
std::vector<std::pair<int64_t, int32_t>> Writes(const PageTable& table, int64_t start) {
  std::vector<std::pair<int64_t, int32_t>> writes;
  for (const backend::StateWrite& write : table.state_writes())
    writes.emplace_back(start + write.tokens, write.slot);
  return writes;
}

TEST(PageTableStates, KeepsTheCurrentStateAndTheLastPageBorders) {
  PagePool pool(8, 8);
  PageTable table(&pool);
  ASSERT_TRUE(table.Grow(5, nullptr));
  EXPECT_EQ(table.read_state(), -1);
  const int32_t current = Writes(table, 0)[0].second;
  EXPECT_THAT(Writes(table, 0), ElementsAre(std::pair<int64_t, int32_t>(5, current)));
  ASSERT_TRUE(table.Grow(1, nullptr));  // in place
  EXPECT_EQ(table.read_state(), current);
  EXPECT_THAT(Writes(table, 5), ElementsAre(std::pair<int64_t, int32_t>(6, current)));
  ASSERT_TRUE(table.Grow(30, nullptr));  // over borders: the last one is kept
  const auto writes = Writes(table, 6);
  ASSERT_EQ(writes.size(), 2u);
  EXPECT_EQ(writes[0].first, 32);
  EXPECT_EQ(writes[1], (std::pair<int64_t, int32_t>(36, current)));
  EXPECT_EQ(pool.states().free(), 6);
  EXPECT_EQ(table.CheckpointAt(32).slot(), writes[0].second);
  EXPECT_FALSE(table.CheckpointAt(16));
  ASSERT_TRUE(table.Grow(20, nullptr));  // the older border gives its slot to the newer one
  EXPECT_EQ(pool.states().free(), 6);
  EXPECT_FALSE(table.CheckpointAt(32));
  EXPECT_TRUE(table.CheckpointAt(48));
}

TEST(PageTableStates, GoesBackToTheNewestCheckpoint) {
  PagePool pool(8, 8);
  PageTable table(&pool);
  table.KeepCheckpointAt(20);
  ASSERT_TRUE(table.Grow(40, nullptr));
  EXPECT_EQ(table.Fork(39).length(), 32);
  EXPECT_EQ(table.Fork(31).length(), 20);
  EXPECT_EQ(table.Fork(19).length(), 0);
  EXPECT_EQ(table.Truncate(39), 32);
  EXPECT_EQ(table.pages().size(), 2u);
  EXPECT_EQ(table.Truncate(25), 20);
  ASSERT_TRUE(table.Grow(3, nullptr));
  EXPECT_EQ(table.read_state(), table.CheckpointAt(20).slot());
  EXPECT_NE(Writes(table, 20)[0].second, table.read_state());  // a checkpoint is never overwritten
  table.ForgetCheckpoints();
  EXPECT_EQ(table.Truncate(22), 0);
  EXPECT_EQ(pool.states().free(), 8);
  EXPECT_EQ(pool.free(), 8);
}

TEST(PageTableStates, ExhaustionChangesNothing) {
  PagePool pool(8, 3);
  PageTable table(&pool), other(&pool);
  ASSERT_TRUE(table.Grow(20, nullptr));
  ASSERT_TRUE(other.Grow(3, nullptr));
  EXPECT_EQ(other.SlotsNeeded(20), 1);
  const Status grown = other.Grow(20, nullptr);
  ASSERT_FALSE(grown);
  EXPECT_EQ(grown.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(other.length(), 3);
  EXPECT_EQ(pool.free(), 5);
  EXPECT_EQ(table.SlotsNeeded(20), 0);
  EXPECT_TRUE(table.Grow(20, nullptr));
}

// The slots in plain vectors: a state is the last value of its sequence. Two sequences grow before
// their passes run, as in a batch.
TEST(PageTableStates, RandomForksNeverOverwriteEachOther) {
  constexpr int64_t kSlots = 24;
  std::vector<int> slots(kSlots, 0);
  PagePool pool(60, kSlots);
  CopyRecorder program;
  std::mt19937 random(11);
  std::vector<std::pair<PageTable, std::vector<int>>> tables;
  for (int i = 0; i < 4; ++i) tables.emplace_back(PageTable(&pool), std::vector<int>());
  int next = 1;
  const auto pass = [&](std::vector<std::pair<size_t, int64_t>> grown) {
    for (const auto& [i, before] : grown) {
      if (before > 0) {
        ASSERT_EQ(slots[static_cast<size_t>(tables[i].first.read_state())],
                  tables[i].second[static_cast<size_t>(before) - 1]);
      }
    }
    for (const auto& [i, before] : grown) {
      auto& [table, wanted] = tables[i];
      for (int64_t p = before; p < table.length(); ++p) wanted.push_back(next++);
      for (const auto& [position, slot] : Writes(table, before))
        slots[static_cast<size_t>(slot)] = wanted[static_cast<size_t>(position) - 1];
    }
  };
  for (int step = 0; step < 4000; ++step) {
    const size_t i = random() % tables.size();
    const int64_t some = static_cast<int64_t>(random() % 40);
    const int64_t length = std::min<int64_t>(some, tables[i].first.length());
    switch (random() % 6) {
      case 0:
      case 1: {
        std::vector<std::pair<size_t, int64_t>> grown;
        for (const size_t j : {i, (i + 1) % tables.size()}) {
          const int64_t before = tables[j].first.length();
          const auto tokens = static_cast<int64_t>(1 + random() % 30);
          if (tables[j].first.Grow(tokens, &program)) grown.emplace_back(j, before);
        }
        ASSERT_NO_FATAL_FAILURE(pass(grown)) << "step " << step;
        break;
      }
      case 2:
        tables[i].second.resize(static_cast<size_t>(tables[i].first.Truncate(length)));
        break;
      case 3: {
        PageTable fork = tables[i].first.Fork(length);
        std::vector<int> prefix(tables[i].second.begin(), tables[i].second.begin() + fork.length());
        auto& victim = tables[random() % tables.size()];
        victim = {std::move(fork), std::move(prefix)};
        break;
      }
      case 4:
        tables[i].first.KeepCheckpointAt(tables[i].first.length() + some / 2);
        break;
      case 5:
        tables[i].first.ForgetCheckpoints();
        break;
    }
    for (const auto& [table, values] : tables) {
      ASSERT_EQ(table.length(), static_cast<int64_t>(values.size()));
      for (int64_t p = 1; p <= table.length(); ++p) {
        if (const Checkpoint checkpoint = table.CheckpointAt(p)) {
          ASSERT_EQ(slots[static_cast<size_t>(checkpoint.slot())],
                    values[static_cast<size_t>(p) - 1])
              << "step " << step << " position " << p;
        }
      }
    }
  }
  tables.clear();
  EXPECT_EQ(pool.free(), 60);
  EXPECT_EQ(pool.states().free(), kSlots);
}

}  // namespace
}  // namespace puna::model
