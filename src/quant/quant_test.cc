// Decoding against the exact values of every published type, encoding against the error of the
// usual encoders, and the properties that hold without any reference data.
#include "quant/quant.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/support/shared_data.h"

namespace puna::quant {
namespace {

// One line of quants.tsv.
struct OracleTensor {
  std::string name;
  uint32_t type;
  int64_t block_elements, block_bytes, rows, columns, offset_floats;
  double rmse;
};

std::vector<OracleTensor> ReadIndex(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<OracleTensor> index;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    OracleTensor t;
    fields >> t.name >> t.type >> t.block_elements >> t.block_bytes >> t.rows >> t.columns >>
        t.offset_floats >> t.rmse;
    if (fields) index.push_back(t);
  }
  return index;
}

std::vector<float> ReadFloats(const std::filesystem::path& path) {
  const Result<std::string> bytes = ReadFile(path);
  std::vector<float> values(bytes->size() / sizeof(float));
  std::memcpy(values.data(), bytes->data(), values.size() * sizeof(float));
  return values;
}

// The encoded tensors lie in the order of the index at the end of quants.gguf, each padded to 32
// bytes. Reading them so, without the GGUF reader, keeps this folder's test below that layer.
std::vector<uint8_t> EncodedTensor(const std::string& file, const std::vector<OracleTensor>& index,
                                   size_t wanted) {
  const auto bytes = [](const OracleTensor& t) {
    return static_cast<size_t>(t.rows * t.columns / t.block_elements * t.block_bytes);
  };
  size_t from_end = 0;
  for (size_t i = index.size(); i-- > wanted;) from_end += (bytes(index[i]) + 31) / 32 * 32;
  const auto* start = reinterpret_cast<const uint8_t*>(file.data()) + file.size() - from_end;
  return {start, start + bytes(index[wanted])};
}

TEST(QuantTest, DecodesEveryTypeBitForBit) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/quants");
  const std::vector<OracleTensor> index = ReadIndex(folder / "quants.tsv");
  const std::string file = *ReadFile(folder / "quants.gguf");
  const std::vector<float> expected = ReadFloats(folder / "quants.f32");
  ASSERT_EQ(index.size(), 28u);
  for (size_t i = 0; i < index.size(); ++i) {
    const OracleTensor& t = index[i];
    SCOPED_TRACE(t.name);
    const TypeTraits* traits = FindType(t.type);
    ASSERT_NE(traits, nullptr);
    EXPECT_EQ(traits, FindTypeByName(t.name));
    EXPECT_EQ(traits->block_elements, t.block_elements);
    EXPECT_EQ(traits->block_bytes, t.block_bytes);
    const int64_t n = t.rows * t.columns;
    std::vector<float> out(static_cast<size_t>(n));
    traits->decode(EncodedTensor(file, index, i).data(), n, out.data());
    int64_t wrong = 0;
    for (int64_t j = 0; j < n; ++j) {
      const float want = expected[static_cast<size_t>(t.offset_floats + j)];
      if (std::bit_cast<uint32_t>(out[j]) == std::bit_cast<uint32_t>(want)) continue;
      if (++wrong <= 3) ADD_FAILURE() << "value " << j << " is " << out[j] << ", expected " << want;
    }
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace puna::quant
