// Random weights in any format, made as fast as the disk takes them.
#ifndef PUNA_CLI_RANDOM_BLOCKS_H_
#define PUNA_CLI_RANDOM_BLOCKS_H_

#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "quant/quant.h"

namespace puna::cli {

// Not thread safe.
class RandomBlocks {
 public:
  explicit RandomBlocks(uint64_t seed) : random_(seed) {}
  // A matrix of rows of `columns` values, in all `elements`, normal with variance 1 / columns:
  // products with vectors keep their size. REQUIRES: the type has an encoder and its blocks fill
  // the rows.
  std::vector<uint8_t> Matrix(quant::TensorType type, int64_t columns, int64_t elements);
  // float32 normal values around `mean`.
  std::vector<uint8_t> Vector(int64_t elements, float mean, float deviation);

 private:
  const std::vector<uint8_t>& Pool(quant::TensorType type, int64_t columns, int64_t unit_elements);
  std::mt19937_64 random_;
  std::map<std::pair<quant::TensorType, int64_t>, std::vector<uint8_t>> pools_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_RANDOM_BLOCKS_H_
