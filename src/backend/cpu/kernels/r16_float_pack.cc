#include "backend/cpu/kernels/r16_float.h"

namespace puna::backend::cpu {

namespace {

template <typename Element>
constexpr int64_t kColumnsTogether = 1;
template <>
constexpr int64_t kColumnsTogether<PairedBfloat16Bits> = 2;

// Where (row, column k) of a group lies.
template <typename Element>
constexpr int64_t IndexOf(int64_t row, int64_t k) {
  constexpr int64_t kTogether = kColumnsTogether<Element>;
  return (k / kTogether * kGroupRows + row) * kTogether + k % kTogether;
}

}  // namespace

template <typename Element>
int64_t FloatPacking<Element>::GroupBytes(const quant::TypeTraits&, int64_t cols) {
  constexpr int64_t kTogether = kColumnsTogether<Element>;
  cols = (cols + kTogether - 1) / kTogether * kTogether;
  return (cols * kGroupRows * static_cast<int64_t>(sizeof(Element)) + 63) / 64 * 64;
}

template <typename Element>
void FloatPacking<Element>::Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks,
                                 int64_t rows, int64_t cols, uint8_t* group) {
  auto* out = reinterpret_cast<Element*>(group);
  std::memset(group, 0, GroupBytes(traits, cols));
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
void FloatPacking<Element>::Unpack(const quant::TypeTraits&, const uint8_t* group, int64_t row,
                                   int64_t cols, uint8_t* row_blocks) {
  const auto* in = reinterpret_cast<const Element*>(group);
  for (int64_t k = 0; k < cols; ++k) {
    std::memcpy(row_blocks + k * sizeof(Element), &in[IndexOf<Element>(row, k)], sizeof(Element));
  }
}

template struct FloatPacking<FloatBits>;
template struct FloatPacking<HalfBits>;
template struct FloatPacking<Bfloat16Bits>;
template struct FloatPacking<PairedBfloat16Bits>;

}  // namespace puna::backend::cpu
