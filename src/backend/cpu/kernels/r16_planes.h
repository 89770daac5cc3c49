// Levels out of and into the bit planes of r16.h, for vectors of any width: 64 bytes for a group, 4
// for one of its rows. Written with the compiler's vector types, so that each instruction set's
// unit gets its own instructions; internal linkage, because units are compiled with different
// flags.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_PLANES_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_PLANES_H_

#include <cstdint>
#include <cstring>

namespace puna::backend::cpu {
namespace {

// Bytes that are handled together, at any address.
template <int kWidth>
struct ByteVector;
template <>
struct ByteVector<64> {
  typedef uint8_t Type __attribute__((vector_size(64), may_alias, aligned(1)));
};
template <>
struct ByteVector<4> {
  typedef uint8_t Type __attribute__((vector_size(4), may_alias, aligned(1)));
};

// out[v][i], v < 8, from the plane vectors of one unit of 32 columns.
template <int kBits, int kWidth>
inline __attribute__((always_inline)) void ReadPlanes(const uint8_t* planes, uint8_t* out) {
  using Vector = typename ByteVector<kWidth>::Type;
  const Vector* in = reinterpret_cast<const Vector*>(planes);
  Vector* vectors = reinterpret_cast<Vector*>(out);
  constexpr bool kNibbles = kBits >= 4 && kBits < 8;
  constexpr int kTwoBitsAt = kNibbles ? 4 : 0;  // shift of the two-bit plane
  constexpr bool kTwoBits = kBits == 6 || kBits == 2 || kBits == 3;
  constexpr int kTwoPlane = kNibbles ? 4 : 0;  // index of the first two-bit plane vector
  constexpr bool kOneBit = kBits == 5 || kBits == 3;
  constexpr int kOnePlane = kBits == 5 ? 4 : 2;
  constexpr int kOneBitAt = kBits - 1;
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) {
    Vector level = {};
    if constexpr (kBits == 8) level = in[v];
    if constexpr (kNibbles) level = v < 4 ? in[v] & 15 : in[v - 4] >> 4;
    if constexpr (kTwoBits) level |= ((in[kTwoPlane + v / 4] >> (2 * (v % 4))) & 3) << kTwoBitsAt;
    if constexpr (kOneBit) level |= ((in[kOnePlane] >> v) & 1) << kOneBitAt;
    vectors[v] = level;
  }
}

// The inverse.
template <int kBits>
void WritePlanes(const uint8_t (&vectors)[8][64], uint8_t* planes) {
  std::memset(planes, 0, kBits * 64);
  for (int v = 0; v < 8; ++v) {
    for (int i = 0; i < 64; ++i) {
      const int level = vectors[v][i];
      if constexpr (kBits == 8) planes[v * 64 + i] = static_cast<uint8_t>(level);
      if constexpr (kBits >= 4 && kBits < 8)
        planes[v % 4 * 64 + i] |= static_cast<uint8_t>((level & 15) << (v / 4 * 4));
      if constexpr (kBits == 5) planes[4 * 64 + i] |= static_cast<uint8_t>(level >> 4 << v);
      if constexpr (kBits == 6)
        planes[(4 + v / 4) * 64 + i] |= static_cast<uint8_t>(level >> 4 << (2 * (v % 4)));
      if constexpr (kBits < 4)
        planes[v / 4 * 64 + i] |= static_cast<uint8_t>((level & 3) << (2 * (v % 4)));
      if constexpr (kBits == 3) planes[2 * 64 + i] |= static_cast<uint8_t>(level >> 2 << v);
    }
  }
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_PLANES_H_
