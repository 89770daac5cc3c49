// Decoding against the exact values of every published type, encoding against the error of the
// usual encoders, and the properties that hold without any reference data.
#include "quant/quant.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/support/shared_data.h"

namespace puna::quant {
namespace {

// Rows of an index file: lines of fields, those with # left out.
std::vector<std::vector<std::string>> ReadRows(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    std::vector<std::string> row;
    for (std::string field; fields >> field;) row.push_back(field);
    rows.push_back(row);
  }
  return rows;
}

std::vector<float> ReadFloats(const std::filesystem::path& path) {
  const Result<std::string> bytes = ReadFile(path);
  std::vector<float> values(bytes->size() / sizeof(float));
  std::memcpy(values.data(), bytes->data(), values.size() * sizeof(float));
  return values;
}

void ExpectDecodesTo(const TypeTraits& traits, const uint8_t* blocks,
                     std::span<const float> expected) {
  std::vector<float> out(expected.size());
  traits.decode(blocks, static_cast<int64_t>(expected.size()), out.data());
  int wrong = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::bit_cast<uint32_t>(out[i]) == std::bit_cast<uint32_t>(expected[i])) continue;
    if (++wrong <= 3)
      ADD_FAILURE() << "value " << i << " is " << out[i] << ", expected " << expected[i];
  }
  EXPECT_EQ(wrong, 0);
}

// Encodes and decodes.
std::vector<float> RoundTrip(const TypeTraits& traits, std::span<const float> values,
                             const float* importance = nullptr) {
  const auto n = static_cast<int64_t>(values.size());
  std::vector<uint8_t> blocks(static_cast<size_t>(BytesFor(traits.type, n)));
  traits.encode(values.data(), n, importance, blocks.data());
  std::vector<float> decoded(values.size());
  traits.decode(blocks.data(), n, decoded.data());
  return decoded;
}

double RootMeanSquareError(std::span<const float> a, std::span<const float> b,
                           const float* weights = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    sum += difference * difference * (weights == nullptr ? 1 : weights[i]);
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

std::vector<const TypeTraits*> Encoders() {
  std::vector<const TypeTraits*> with_encoder;
  for (const TypeTraits& traits : AllTypes()) {
    if (traits.encode != nullptr) with_encoder.push_back(&traits);
  }
  return with_encoder;
}

std::vector<float> NormalValues(size_t n, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

TEST(QuantTest, DecodesOneBlockOfEveryTypeBitForBit) {
  const auto folder = testing::SourcePath("tests/data/quant");
  const std::string blocks = *ReadFile(folder / "blocks.bin");
  const std::vector<float> values = ReadFloats(folder / "values.f32");
  size_t block_at = 0, value_at = 0;
  for (const auto& row : ReadRows(folder / "index.tsv")) {
    SCOPED_TRACE(row[0]);
    const TypeTraits* traits = FindType(static_cast<uint32_t>(std::stoul(row[1])));
    ASSERT_NE(traits, nullptr);
    EXPECT_EQ(traits->name, row[0]);
    const size_t n = std::stoul(row[2]);
    ExpectDecodesTo(*traits, reinterpret_cast<const uint8_t*>(blocks.data()) + block_at,
                    std::span(values).subspan(value_at, n));
    block_at += std::stoul(row[3]);
    value_at += n;
  }
  EXPECT_EQ(block_at, blocks.size());
  EXPECT_EQ(value_at, values.size());
}

// One line of quants.tsv.
struct OracleTensor {
  explicit OracleTensor(const std::vector<std::string>& row)
      : name(row[0]),
        type(static_cast<uint32_t>(std::stoul(row[1]))),
        block_elements(std::stol(row[2])),
        block_bytes(std::stol(row[3])),
        values(std::stoul(row[4]) * std::stoul(row[5])),
        offset(std::stoul(row[6])),
        rmse(std::stod(row[7])) {}
  size_t bytes() const {
    return values / static_cast<size_t>(block_elements) * static_cast<size_t>(block_bytes);
  }

  std::string name;
  uint32_t type;
  int64_t block_elements, block_bytes;
  size_t values, offset;
  double rmse;
};

TEST(QuantTest, DecodesEveryTypeBitForBit) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/quants");
  const std::string file = *ReadFile(folder / "quants.gguf");
  const std::vector<float> expected = ReadFloats(folder / "quants.f32");
  std::vector<OracleTensor> index;
  for (const auto& row : ReadRows(folder / "quants.tsv")) index.emplace_back(row);
  ASSERT_EQ(index.size(), 28u);
  // The tensors lie in the order of the index at the end of the file, each padded to 32 bytes.
  // Reading them so keeps this test below the GGUF reader.
  size_t at = file.size();
  for (const OracleTensor& t : index) at -= (t.bytes() + 31) / 32 * 32;
  for (const OracleTensor& t : index) {
    SCOPED_TRACE(t.name);
    const TypeTraits* traits = FindType(t.type);
    ASSERT_NE(traits, nullptr);
    EXPECT_EQ(traits, FindTypeByName(t.name));
    EXPECT_EQ(traits->block_elements, t.block_elements);
    EXPECT_EQ(traits->block_bytes, t.block_bytes);
    ExpectDecodesTo(*traits, reinterpret_cast<const uint8_t*>(file.data()) + at,
                    std::span(expected).subspan(t.offset, t.values));
    at += (t.bytes() + 31) / 32 * 32;
  }
}

// "No worse" than the usual encoder, up to the rounding of the printed error.
TEST(QuantTest, EncodesNoWorseThanTheUsualEncoders) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/quants");
  const std::vector<float> source = ReadFloats(folder / "quants.source.f32");
  int encoders = 0;
  for (const auto& row : ReadRows(folder / "quants.tsv")) {
    const OracleTensor t(row);
    const TypeTraits* traits = FindType(t.type);
    if (traits->encode == nullptr) continue;
    ++encoders;
    const auto values = std::span(source).subspan(t.offset, t.values);
    EXPECT_LE(RootMeanSquareError(RoundTrip(*traits, values), values), t.rmse + 0.5e-6) << t.name;
  }
  EXPECT_EQ(encoders, 16);
}

// What a format can represent exactly, its encoder must find again (nearly: the searches do not try
// every scale).
TEST(QuantTest, EncodesRepresentableValuesAlmostExactly) {
  const std::vector<float> values = NormalValues(4096, 0.02f, 3);
  for (const TypeTraits* traits : Encoders()) {
    const std::vector<float> grid = RoundTrip(*traits, values);
    const double first_error = RootMeanSquareError(grid, values);
    EXPECT_LE(RootMeanSquareError(RoundTrip(*traits, grid), grid), 0.15 * first_error)
        << traits->name;
  }
}

TEST(QuantTest, ZerosStayZeros) {
  const std::vector<float> zeros(512);
  for (const TypeTraits* traits : Encoders()) {
    for (const float value : RoundTrip(*traits, zeros)) ASSERT_EQ(value, 0.0f) << traits->name;
  }
}

TEST(QuantTest, FiniteInputNeverGivesNaN) {
  const float largest = std::numeric_limits<float>::max();
  const float smallest = std::numeric_limits<float>::denorm_min();
  std::mt19937 random(5);
  std::uniform_int_distribution<uint32_t> bits;
  std::vector<std::vector<float>> rows = {
      std::vector<float>(512, largest),   std::vector<float>(512, -largest),
      std::vector<float>(512, smallest),  std::vector<float>(512, 1e-12f),
      std::vector<float>(512, -70000.0f), std::vector<float>(512, 1e-7f)};
  std::vector<float> row(512);
  row[100] = largest;  // one outlier among zeros
  rows.push_back(row);
  for (int i = 0; i < 200; ++i) {  // any finite bit pattern
    for (float& value : row) {
      do value = std::bit_cast<float>(bits(random));
      while (!std::isfinite(value));
    }
    rows.push_back(row);
  }
  for (const TypeTraits* traits : Encoders()) {
    for (const auto& values : rows) {
      for (const float value : RoundTrip(*traits, values))
        ASSERT_FALSE(std::isnan(value)) << traits->name;
    }
  }
}

TEST(QuantTest, InfinitiesAndNaNInTheInputDoNotSpread) {
  std::vector<float> values = NormalValues(512, 1, 7);
  values[3] = std::numeric_limits<float>::infinity();
  values[40] = -std::numeric_limits<float>::infinity();
  values[300] = std::numeric_limits<float>::quiet_NaN();
  for (const TypeTraits* traits : Encoders()) {
    const std::vector<float> decoded = RoundTrip(*traits, values);
    for (size_t i = 0; i < decoded.size(); ++i) {
      ASSERT_TRUE(i == 300 || !std::isnan(decoded[i])) << traits->name << " value " << i;
    }
  }
}

TEST(QuantTest, ImportanceLowersTheWeightedError) {
  const std::vector<float> values = NormalValues(8192, 0.02f, 11);
  std::vector<float> importance(values.size());
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 8 == 0 ? 100.0f : 1.0f;
  for (const TypeTraits* traits : Encoders()) {
    if (traits->block_elements == 1 || traits->type == TensorType::kQ8_0)
      continue;  // nothing to choose
    const double with = RootMeanSquareError(RoundTrip(*traits, values, importance.data()), values,
                                            importance.data());
    const double without =
        RootMeanSquareError(RoundTrip(*traits, values), values, importance.data());
    EXPECT_LT(with, without) << traits->name;
  }
}

TEST(QuantTest, HostileImportanceIsHarmless) {
  const std::vector<float> values = NormalValues(512, 1, 13);
  for (const float weight :
       {0.0f, -1.0f, std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::max(), 1e-38f}) {
    const std::vector<float> importance(512, weight);
    for (const TypeTraits* traits : Encoders()) {
      for (const float value : RoundTrip(*traits, values, importance.data())) {
        ASSERT_TRUE(std::isfinite(value)) << traits->name << " importance " << weight;
      }
    }
  }
}

TEST(QuantTest, TableIsConsistent) {
  const TypeTraits* previous = nullptr;
  for (const TypeTraits& traits : AllTypes()) {
    EXPECT_EQ(FindType(static_cast<uint32_t>(traits.type)), &traits);
    EXPECT_EQ(&TraitsOf(traits.type), &traits);
    EXPECT_EQ(FindTypeByName(traits.name), &traits);
    EXPECT_EQ(BytesFor(traits.type, 3 * traits.block_elements), 3 * traits.block_bytes);
    EXPECT_TRUE(previous == nullptr || previous->type < traits.type) << traits.name;
    previous = &traits;
  }
  for (const uint32_t removed : {5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 0xffffffffu}) {
    EXPECT_EQ(FindType(removed), nullptr) << removed;
  }
  EXPECT_EQ(FindTypeByName("q4_k"), FindTypeByName("Q4_K"));
  EXPECT_EQ(FindTypeByName("Q4_K_M"), nullptr);
}

// The same values as in the usual order of nibbles.
TEST(Quant, MXFP4InOrder) {
  uint8_t in_order[17] = {127}, usual[17] = {127};
  for (int i = 0; i < 32; ++i) {
    const int nibble = (i * 7 + 3) % 16;
    in_order[1 + i / 2] |= static_cast<uint8_t>(nibble << (i % 2 * 4));
    usual[1 + i % 16] |= static_cast<uint8_t>(nibble << (i / 16 * 4));
  }
  float actual[32], expected[32];
  TraitsOf(TensorType::kMXFP4InOrder).decode(in_order, 32, actual);
  TraitsOf(TensorType::kMXFP4).decode(usual, 32, expected);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(actual[i], expected[i]) << i;
}

}  // namespace
}  // namespace puna::quant
