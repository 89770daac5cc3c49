// The fixed grids of the IQ1, IQ2 and IQ3 formats: points to which whole groups of 8 or 4 values
// are rounded at once.
//
// The grids are facts of the formats. An entry is packed: each value is an index of 2 bits (groups
// of 8) or 3 bits (groups of 4) into a short list of levels, first value in the lowest bits.
// Entries are in ascending order.
#ifndef PUNA_QUANT_IQ_GRIDS_H_
#define PUNA_QUANT_IQ_GRIDS_H_

#include <array>
#include <cstdint>

namespace puna::quant {

extern const std::array<uint16_t, 256> kIq2XxsGrid;
extern const std::array<uint16_t, 512> kIq2XsGrid;
extern const std::array<uint16_t, 1024> kIq2SGrid;
extern const std::array<uint16_t, 256> kIq3XxsGrid;
extern const std::array<uint16_t, 512> kIq3SGrid;
extern const std::array<uint16_t, 2048> kIq1Grid;

// IQ1_S and IQ1_M add or subtract this from every value of a group.
inline constexpr float kIq1Shift = 0.125f;

// Value `i` of an entry of the grids of each family.
inline float Iq2Value(uint16_t entry, int i) {
  static constexpr float kLevels[4] = {8, 25, 43, 0};  // the fourth is not used
  return kLevels[entry >> (2 * i) & 3];
}
inline float Iq1Value(uint16_t entry, int i) {
  return static_cast<float>((entry >> (2 * i) & 3) - 1);
}
inline float Iq3XxsValue(uint16_t entry, int i) {
  static constexpr float kLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  return kLevels[entry >> (3 * i) & 7];
}
inline float Iq3SValue(uint16_t entry, int i) {
  return static_cast<float>(2 * (entry >> (3 * i) & 7) + 1);
}

}  // namespace puna::quant

#endif  // PUNA_QUANT_IQ_GRIDS_H_
