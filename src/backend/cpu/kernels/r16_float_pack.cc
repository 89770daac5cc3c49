#include "backend/cpu/kernels/r16_float.h"

namespace puna::backend::cpu {

namespace {

// Where (row, column k) of a tile lies.
template <typename Element>
constexpr int64_t IndexOf(int64_t row, int64_t k) {
  constexpr int64_t kTogether = kColumnsTogether<Element>;
  return (k / kTogether * kTileRows + row) * kTogether + k % kTogether;
}

}  // namespace

template <typename Element>
int64_t FloatPacking<Element>::TileBytes(const quant::TypeTraits&, int64_t cols) {
  constexpr int64_t kTogether = kColumnsTogether<Element>;
  cols = (cols + kTogether - 1) / kTogether * kTogether;
  return (cols * kTileRows * static_cast<int64_t>(sizeof(Element)) + 63) / 64 * 64;
}

template <typename Element>
void FloatPacking<Element>::Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks,
                                 int64_t rows, int64_t cols, uint8_t* tile) {
  auto* out = reinterpret_cast<Element*>(tile);
  std::memset(tile, 0, TileBytes(traits, cols));
  // Some columns of all rows at a time: both sides stay in the first-level cache.
  constexpr int64_t kStep = 64;
  for (int64_t first = 0; first < cols; first += kStep) {
    const int64_t end = first + kStep < cols ? first + kStep : cols;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t k = first; k < end; ++k) {
        std::memcpy(&out[IndexOf<Element>(row, k)], row_blocks[row] + k * sizeof(Element),
                    sizeof(Element));
      }
    }
  }
}

template <typename Element>
void FloatPacking<Element>::Unpack(const quant::TypeTraits&, const uint8_t* tile, int64_t row,
                                   int64_t cols, uint8_t* row_blocks) {
  const auto* in = reinterpret_cast<const Element*>(tile);
  for (int64_t k = 0; k < cols; ++k) {
    std::memcpy(row_blocks + k * sizeof(Element), &in[IndexOf<Element>(row, k)], sizeof(Element));
  }
}

template struct FloatPacking<FloatBits>;
template struct FloatPacking<HalfBits>;
template struct FloatPacking<Bfloat16Bits>;
template struct FloatPacking<PairedBfloat16Bits>;

}  // namespace puna::backend::cpu
