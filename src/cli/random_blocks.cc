// Encoding is a search: about a microsecond a value in the slowest formats, or hours for a large
// model. Blocks are independent of each other, so a pool of encoded units is made once for each
// format and row length, and every row is a random choice of them. No two rows are alike, and each
// format's own rules (scales, signs, grids) hold because its encoder made the units. Writing random
// bits directly would be faster still, but leaves formats with scales that are huge or not numbers.
#include "cli/random_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace puna::cli {
namespace {

constexpr int64_t kPoolUnits = 1024;
constexpr int64_t kLeastUnitElements = 32;  // so that plain floats are not copied one by one

}  // namespace

const std::vector<uint8_t>& RandomBlocks::Pool(quant::TensorType type, int64_t columns,
                                               int64_t unit_elements) {
  std::vector<uint8_t>& pool = pools_[{type, columns}];
  if (!pool.empty()) return pool;
  const int64_t elements = kPoolUnits * unit_elements;
  std::vector<float> values(static_cast<size_t>(elements));
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(columns)));
  for (float& value : values) value = normal(random_);
  pool.resize(static_cast<size_t>(quant::BytesFor(type, elements)));
  quant::TraitsOf(type).encode(values.data(), elements, nullptr, pool.data());
  return pool;
}

std::vector<uint8_t> RandomBlocks::Matrix(quant::TensorType type, int64_t columns,
                                          int64_t elements) {
  const int64_t block = quant::TraitsOf(type).block_elements;
  CHECK(columns % block == 0 && elements % columns == 0)
      << columns << " columns, " << elements << " elements, blocks of " << block;
  const int64_t unit = columns % std::max(block, kLeastUnitElements) == 0
                           ? std::max(block, kLeastUnitElements)
                           : block;
  const std::vector<uint8_t>& pool = Pool(type, columns, unit);
  const auto unit_bytes = static_cast<size_t>(quant::BytesFor(type, unit));
  std::vector<uint8_t> bytes(static_cast<size_t>(quant::BytesFor(type, elements)));
  uint64_t bits = 0;
  int choices_left = 0;
  for (size_t at = 0; at < bytes.size(); at += unit_bytes) {
    if (choices_left == 0) {
      bits = random_();
      choices_left = 6;  // 64 bits are six choices among 1024
    }
    std::memcpy(&bytes[at], &pool[(bits % kPoolUnits) * unit_bytes], unit_bytes);
    bits /= kPoolUnits;
    --choices_left;
  }
  return bytes;
}

std::vector<uint8_t> RandomBlocks::Vector(int64_t elements, float mean, float deviation) {
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<uint8_t> bytes(static_cast<size_t>(elements) * sizeof(float));
  for (size_t at = 0; at < bytes.size(); at += sizeof(float)) {
    const float value = normal(random_);
    std::memcpy(&bytes[at], &value, sizeof(value));
  }
  return bytes;
}

}  // namespace puna::cli
