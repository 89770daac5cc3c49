#include "backend/cpu/row_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace puna::backend::cpu {
namespace {

namespace fs = std::filesystem;

// Three stacked weights of 2 experts in one file; the last has gaps between its rows.
class RowSourceTest : public testing::Test {
 protected:
  static constexpr int64_t kCols = 96, kRows[] = {40, 7, 33}, kAll = 80, kExperts = 2;

  void SetUp() override {
    std::mt19937 random(1);
    std::string bytes(size_t{1} << 20, ' ');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ASSERT_TRUE(WriteFileAtomically(path_, bytes));
    auto opened = MappedFile::Open(path_);
    ASSERT_TRUE(opened) << opened.error().message;
    file_ = *opened;
    const int64_t row_bytes = quant::BytesFor(quant::TensorType::kQ8_0, kCols);
    int64_t at = 13;
    for (const int64_t rows : kRows) {
      weights_.push_back({.name = "w",
                          .type = quant::TensorType::kQ8_0,
                          .cols = kCols,
                          .rows = rows,
                          .experts = kExperts,
                          .data = file_->bytes().data() + at,
                          .file = file_.get()});
      at += rows * kExperts * row_bytes;
    }
    weights_[2].row_stride_bytes = 2 * row_bytes;
    for (const Weight& weight : weights_) parts_.push_back(&weight);
  }
  void TearDown() override { fs::remove(path_); }

  std::vector<uint8_t> Expected(int64_t expert, int64_t row) const {
    size_t part = 0;
    while (row >= weights_[part].rows) row -= weights_[part++].rows;
    const uint8_t* first = weights_[part].Row(expert, row);
    return {first, first + weights_[part].RowBytes()};
  }

  void ExpectAll(int64_t expert, int64_t begin, int64_t end, int64_t step, bool copied) {
    RowSource source(parts_, expert, end);
    for (int64_t row = begin; row < end; row += step) {
      const uint8_t* blocks[16] = {};
      const int64_t count = std::min(step, end - row);
      source.Get(row, count, blocks);
      for (int64_t i = 0; i < count; ++i) {
        EXPECT_TRUE(std::ranges::equal(std::span(blocks[i], weights_[0].RowBytes()),
                                       Expected(expert, row + i)))
            << row + i;
      }
      const auto mapped = file_->bytes();
      const bool in_mapping =
          blocks[0] >= mapped.data() && blocks[0] < mapped.data() + mapped.size();
      if (row == 0) {
        EXPECT_EQ(in_mapping, !copied);
      }
    }
  }

  const fs::path path_ = fs::temp_directory_path() / fmt::format("puna-rows-{}", ::getpid());
  std::shared_ptr<const MappedFile> file_;
  std::vector<Weight> weights_;
  std::vector<const Weight*> parts_;
};

TEST_F(RowSourceTest, GivesEveryRowWhereverPartsMeet) {
  for (int64_t expert = 0; expert < kExperts; ++expert) {
    for (const int64_t step : {1, 3, 16}) {
      for (const int64_t begin : {0, 16, 39, 40, 64}) {
        for (const int64_t end : {int64_t{65}, kAll}) ExpectAll(expert, begin, end, step, true);
      }
    }
  }
}

TEST_F(RowSourceTest, LooksAtTheMappingWhereTheFileCannotBeRead) {
  for (Weight& weight : weights_) weight.file = nullptr;
  ExpectAll(1, 0, kAll, 16, false);
}

TEST_F(RowSourceTest, RowsLargerThanAPieceAreCopiedToo) {
  const Weight wide = {.name = "wide",
                       .type = quant::TensorType::kF32,
                       .cols = 20000,
                       .rows = 13,
                       .data = file_->bytes().data() + 4,
                       .file = file_.get()};
  const Weight* part = &wide;
  RowSource source({&part, 1}, 0, 13);
  const uint8_t* blocks[13] = {};
  source.Get(0, 13, blocks);
  for (int64_t row = 0; row < 13; ++row) {
    EXPECT_NE(blocks[row], wide.Row(0, row));
    EXPECT_TRUE(std::equal(blocks[row], blocks[row] + wide.RowBytes(), wide.Row(0, row))) << row;
  }
}

}  // namespace
}  // namespace puna::backend::cpu
