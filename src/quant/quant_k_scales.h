// The 12 bytes in which Q4_K and Q5_K keep eight 6-bit scales and eight 6-bit minimums.
//
// Sub-blocks 0 to 3 have theirs in the low six bits of bytes 0..3 (scales) and 4..7 (minimums). Of
// sub-blocks 4 to 7 the low nibbles share bytes 8..11 (scale low, minimum high), and the two high
// bits fill what bytes 0..7 left free.
#ifndef PUNA_QUANT_QUANT_K_SCALES_H_
#define PUNA_QUANT_QUANT_K_SCALES_H_

#include <array>
#include <cstdint>

namespace puna::quant {

struct KScales {
  std::array<uint8_t, 8> scale;
  std::array<uint8_t, 8> min;
};

inline KScales UnpackKScales(const uint8_t (&packed)[12]) {
  KScales out;
  for (int i = 0; i < 4; ++i) {
    const uint8_t low = packed[i + 8];
    out.scale[i] = packed[i] & 63;
    out.min[i] = packed[i + 4] & 63;
    out.scale[i + 4] = static_cast<uint8_t>((low & 15) | (packed[i] >> 6) << 4);
    out.min[i + 4] = static_cast<uint8_t>((low >> 4) | (packed[i + 4] >> 6) << 4);
  }
  return out;
}

// REQUIRES: all values below 64.
inline void PackKScales(const KScales& values, uint8_t (&packed)[12]) {
  for (int i = 0; i < 4; ++i) {
    packed[i] = static_cast<uint8_t>(values.scale[i] | (values.scale[i + 4] >> 4) << 6);
    packed[i + 4] = static_cast<uint8_t>(values.min[i] | (values.min[i + 4] >> 4) << 6);
    packed[i + 8] =
        static_cast<uint8_t>((values.scale[i + 4] & 15) | (values.min[i + 4] & 15) << 4);
  }
}

}  // namespace puna::quant

#endif  // PUNA_QUANT_QUANT_K_SCALES_H_
