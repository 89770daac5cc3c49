#include "store/imatrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "gguf/gguf.h"
#include "store/quantize.h"
#include "tests/support/no_threads.h"
#include "tests/support/shared_data.h"

namespace puna::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Records {
 public:
  Records& Number(int32_t value) { return Bytes(&value, sizeof(value)); }
  Records& Text(std::string_view text) {
    return Number(static_cast<int32_t>(text.size())).Bytes(text.data(), text.size());
  }
  Records& Values(const std::vector<float>& values) {
    return Number(static_cast<int32_t>(values.size()))
        .Bytes(values.data(), values.size() * sizeof(float));
  }
  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  Records& Bytes(const void* data, size_t size) {
    const auto* begin = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
    return *this;
  }
  std::vector<uint8_t> bytes_;
};

TEST(ImatrixTest, WhatIsWrittenReadsBack) {
  const puna::testing::TemporaryDirectory folder;
  Imatrix matrix;
  matrix.entries["blk.0.ffn_down.weight"] = {{2, 4, 6}, {2}};
  matrix.entries["blk.0.ffn_down_exps.weight"] = {{8, 4, 5, 7}, {4, 0}};
  matrix.datasets = {"a text.txt"};
  matrix.chunks = 3;
  matrix.chunk_tokens = 512;
  ASSERT_TRUE(WriteImatrix(matrix, folder.path() / "m.gguf"));
  const auto read = ReadImatrix(folder.path() / "m.gguf");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->entries.size(), 2u);
  EXPECT_THAT(read->datasets, ElementsAre("a text.txt"));
  EXPECT_EQ(read->chunks, 3u);
  EXPECT_EQ(read->chunk_tokens, 512u);
  EXPECT_THAT(ImportanceOf(read->entries.at("blk.0.ffn_down.weight")), ElementsAre(1, 2, 3));
  // An expert that nobody chose: all its columns matter alike.
  EXPECT_THAT(ImportanceOf(read->entries.at("blk.0.ffn_down_exps.weight")),
              ElementsAre(2, 1, 1, 1));
  const auto file = *gguf::File::Open(folder.path() / "m.gguf");
  EXPECT_EQ(**file->GetString("general.type"), "imatrix");
  EXPECT_EQ(file->FindTensor("blk.0.ffn_down_exps.weight.in_sum2")->dims[0], 2);
  EXPECT_EQ(file->FindTensor("blk.0.ffn_down_exps.weight.counts")->dims[1], 2);
}

TEST(ImatrixTest, OlderFormat) {
  Records records;
  records.Number(2).Text("a").Number(10).Values({20, 40}).Text("b").Number(0).Values({3});
  const auto bare = ParseImatrix(records.bytes());
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_THAT(ImportanceOf(bare->entries.at("a")), ElementsAre(2, 4));
  EXPECT_THAT(ImportanceOf(bare->entries.at("b")), ElementsAre(3));
  records.Number(7).Text("text.txt");
  const auto whole = ParseImatrix(records.bytes());
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->chunks, 7u);
  EXPECT_THAT(whole->datasets, ElementsAre("text.txt"));
}

TEST(ImatrixTest, BrokenFilesAreErrors) {
  const auto error_of = [](std::span<const uint8_t> bytes) {
    const auto matrix = ParseImatrix(bytes);
    return matrix ? "no error" : matrix.error().message;
  };
  EXPECT_THAT(error_of({}), HasSubstr("cut off"));
  EXPECT_THAT(error_of(Records().Number(0).bytes()), HasSubstr("cut off"));
  EXPECT_THAT(error_of(Records().Number(1).Number(1 << 30).bytes()), HasSubstr("cut off"));
  EXPECT_THAT(error_of(Records().Number(1).Text("a").Number(1).Number(INT32_MAX).bytes()),
              HasSubstr("cut off"));
  EXPECT_THAT(error_of(Records().Number(1).Text("a").Number(1).Values({}).bytes()),
              HasSubstr("cut off"));
  for (const float wrong :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_THAT(error_of(Records().Number(1).Text("a").Number(1).Values({wrong}).bytes()),
                HasSubstr("finite and not negative"));
  }
}

// A model of one matrix whose first column is large and meets little, and whose others are small
// and meet much.
class WeightedQuantizeTest : public ::testing::Test {
 protected:
  static constexpr int64_t kColumns = 256, kRows = 8;

  void SetUp() override {
    values_.resize(kColumns * kRows);
    for (size_t i = 0; i < values_.size(); ++i) {
      const float noise = static_cast<float>(i * 2654435761u % 1000) / 1000 - 0.5f;
      values_[i] = i % 16 == 0 ? 8 * noise : noise;
    }
    gguf::Writer writer;
    writer.Set("general.architecture", "llama");
    writer.AddTensor(
        kName, quant::TensorType::kF32, {kColumns, kRows},
        {reinterpret_cast<const uint8_t*>(values_.data()), values_.size() * sizeof(float)});
    ASSERT_TRUE(writer.WriteFile(folder_.path() / "in"));
    file_ = *gguf::File::Open(folder_.path() / "in");
    Imatrix::Entry& entry = matrix_.entries[kName];
    entry.counts = {1};
    for (int64_t i = 0; i < kColumns; ++i) entry.sums.push_back(i % 16 == 0 ? 0.01f : 10.0f);
    matrix_.datasets = {"text"};
    matrix_.chunks = 4;
  }

  // The error that counts: by how much each column meets.
  double WeightedError(const char* type, const Imatrix* matrix) {
    auto out = *AtomicFile::Create(folder_.path() / "out");
    const Status done = Quantize(*file_, *FindWritableFileType(type),
                                 {.imatrix = matrix, .imatrix_file = "m.gguf"}, nullptr, &out);
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_TRUE(out.Commit());
    result_ = *gguf::File::Open(folder_.path() / "out");
    const gguf::Tensor* tensor = result_->FindTensor(kName);
    std::vector<float> decoded(values_.size());
    quant::TraitsOf(tensor->type).decode(tensor->data.data(), tensor->elements(), decoded.data());
    double error = 0;
    for (size_t i = 0; i < values_.size(); ++i) {
      const double difference = decoded[i] - values_[i];
      error += matrix_.entries[kName].sums[i % kColumns] * difference * difference;
    }
    return error;
  }

  static constexpr char kName[] = "blk.0.attn_q.weight";
  puna::testing::TemporaryDirectory folder_;
  std::vector<float> values_;
  std::shared_ptr<const gguf::File> file_, result_;
  Imatrix matrix_;
};

TEST_F(WeightedQuantizeTest, ColumnsThatMeetMuchAreKeptBetter) {
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q4_K_S", "Q5_K_S",
                           "Q6_K", "IQ4_NL", "IQ4_XS"}) {
    const double plain = WeightedError(type, nullptr);
    EXPECT_EQ(result_->Find("quantize.imatrix.file"), nullptr);
    EXPECT_LT(WeightedError(type, &matrix_), 0.9 * plain) << type;
  }
  EXPECT_EQ(**result_->GetString("quantize.imatrix.file"), "m.gguf");
  EXPECT_EQ(**result_->GetString("quantize.imatrix.dataset"), "text");
  EXPECT_EQ(**result_->GetInteger("quantize.imatrix.entries_count"), 1);
  EXPECT_EQ(**result_->GetInteger("quantize.imatrix.chunks_count"), 4);
}

TEST_F(WeightedQuantizeTest, OneThreadWillDoWhereThereAreNoMore) {
  const double usual = WeightedError("Q4_0", &matrix_);
  const NoThreads limit;
  EXPECT_EQ(WeightedError("Q4_0", &matrix_), usual);
}

TEST_F(WeightedQuantizeTest, AnotherModelsMatrixIsAnError) {
  matrix_.entries[kName].sums.resize(128);
  auto out = *AtomicFile::Create(folder_.path() / "out");
  const Status done =
      Quantize(*file_, *FindWritableFileType("Q4_0"), {.imatrix = &matrix_}, nullptr, &out);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(done.error().message, HasSubstr("has 128 values for tensor 'blk.0.attn_q.weight'"));
}

}  // namespace
}  // namespace puna::store
