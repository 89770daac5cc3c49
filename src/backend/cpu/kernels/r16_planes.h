// Levels and six-bit scales out of and into the bit planes of r16.h, for vectors of any width (of
// levels 64 bytes for a group, 4 for one of its rows). Written with the compiler's vector types, so
// that each instruction set's unit gets its own instructions; internal linkage, because units are
// compiled with different flags.
#ifndef PUNA_BACKEND_CPU_KERNELS_R16_PLANES_H_
#define PUNA_BACKEND_CPU_KERNELS_R16_PLANES_H_

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/r16.h"

namespace puna::backend::cpu {
namespace {

// Bytes that are handled together, at any address: as bytes, and as lanes that can be shifted.
template <int kWidth>
struct Planes;
#define PUNA_PLANES(width)                                                             \
  template <>                                                                          \
  struct Planes<width> {                                                               \
    typedef uint8_t Bytes __attribute__((vector_size(width), may_alias, aligned(1)));  \
    typedef uint32_t Lanes __attribute__((vector_size(width), may_alias, aligned(1))); \
  }
PUNA_PLANES(64);
PUNA_PLANES(32);
PUNA_PLANES(16);
PUNA_PLANES(4);
#undef PUNA_PLANES

// out |= the bits `mask` of each byte of value * 2^shift. No processor shifts bytes; lanes do, and
// the mask drops what strays in. (A deduced type of `value` would forget that it may lie anywhere.)
template <int kShift, int kWidth>
inline __attribute__((always_inline)) void AddBits(const typename Planes<kWidth>::Lanes& value,
                                                   uint8_t mask,
                                                   typename Planes<kWidth>::Lanes* out) {
  if constexpr (kShift >= 0) {
    *out |= (value << kShift) & (mask * 0x01010101u);
  } else {
    *out |= (value >> -kShift) & (mask * 0x01010101u);
  }
}

// The levels of one vector: kWidth of the 64 bytes of each plane vector.
template <int kBits, int kWidth, int v>
inline __attribute__((always_inline)) typename Planes<kWidth>::Lanes PlaneVector(
    const uint8_t* planes) {
  using Lanes = typename Planes<kWidth>::Lanes;
  const auto in = [planes](int index) -> const Lanes& {
    return *reinterpret_cast<const Lanes*>(planes + index * 64);
  };
  constexpr bool kNibbles = kBits >= 4 && kBits < 8;
  constexpr int kNext =
      kNibbles ? 4 : 0;  // plane vectors before the others, and the bits that they hold
  Lanes level = {};
  if constexpr (kBits == 8) level = in(v);
  if constexpr (kNibbles) AddBits<(v < 4 ? 0 : -4), kWidth>(in(v % 4), 15, &level);
  if constexpr (kBits == 6 || kBits == 3 || kBits == 2)
    AddBits<kNext - 2 * (v % 4), kWidth>(in(kNext + v / 4), 3 << kNext, &level);
  if constexpr (kBits == 5) AddBits<4 - v, kWidth>(in(4), 1 << 4, &level);
  if constexpr (kBits == 3) AddBits<2 - v, kWidth>(in(2), 1 << 2, &level);
  if constexpr (kBits == 1) AddBits<1 - v, kWidth>(in(0), 2, &level);
  return level;
}

struct AsTheyAre {
  template <typename Bytes>
  inline __attribute__((always_inline)) const Bytes& operator()(const Bytes& levels) const {
    return levels;
  }
};

template <int kBits, int kAdd, int kWidth, int v, typename Map>
inline __attribute__((always_inline)) void ReadPlaneVector(const uint8_t* planes, uint8_t* out,
                                                           const Map& map) {
  using Bytes = typename Planes<kWidth>::Bytes;
  const auto level = PlaneVector<kBits, kWidth, v>(planes);
  *reinterpret_cast<Bytes*>(out) =
      map(reinterpret_cast<const Bytes&>(level) + static_cast<uint8_t>(kAdd));
}

// out[v * kOutStride + i] = map(kAdd + level), v < 8, i < kWidth, from the plane vectors (64 bytes
// apart) of one unit of 32 columns; `map` takes and gives vectors.
template <int kBits, int kAdd, int kWidth, int kOutStride, typename Map = AsTheyAre>
inline __attribute__((always_inline)) void ReadPlanes(const uint8_t* planes, uint8_t* out,
                                                      const Map& map = {}) {
  const auto read = [&]<int v>() __attribute__((always_inline)) {
    ReadPlaneVector<kBits, kAdd, kWidth, v>(planes, out + v * kOutStride, map);
  };
  read.template operator()<0>();
  read.template operator()<1>();
  read.template operator()<2>();
  read.template operator()<3>();
  read.template operator()<4>();
  read.template operator()<5>();
  read.template operator()<6>();
  read.template operator()<7>();
}

// The inverse, of vector v: adds its levels to the plane vectors that it has bits in.
template <int kShift>
inline __attribute__((always_inline)) void AddToPlane(const uint8_t* levels, uint8_t mask,
                                                      uint8_t* plane) {
  using Lanes = typename Planes<64>::Lanes;
  const Lanes level = *reinterpret_cast<const Lanes*>(levels);
  Lanes sum = *reinterpret_cast<const Lanes*>(plane);
  AddBits<kShift, 64>(level, mask, &sum);
  *reinterpret_cast<Lanes*>(plane) = sum;
}

template <int kBits, int v>
inline __attribute__((always_inline)) void WritePlaneVector(const uint8_t* levels,
                                                            uint8_t* planes) {
  constexpr int kPair = 2 * (v % 4);
  if constexpr (kBits == 8) AddToPlane<0>(levels, 255, planes + v * 64);
  if constexpr (kBits >= 4 && kBits < 8)
    AddToPlane<v / 4 * 4>(levels, v < 4 ? 0x0f : 0xf0, planes + v % 4 * 64);
  if constexpr (kBits == 5) AddToPlane<v - 4>(levels, 1 << v, planes + 4 * 64);
  if constexpr (kBits == 6) AddToPlane<kPair - 4>(levels, 3 << kPair, planes + (4 + v / 4) * 64);
  if constexpr (kBits == 3 || kBits == 2)
    AddToPlane<kPair>(levels, 3 << kPair, planes + v / 4 * 64);
  if constexpr (kBits == 3) AddToPlane<v - 2>(levels, 1 << v, planes + 2 * 64);
  if constexpr (kBits == 1) AddToPlane<v - 1>(levels, 1 << v, planes);
}

template <int kBits>
void WritePlanes(const uint8_t (&vectors)[8][64], uint8_t* planes) {
  std::memset(planes, 0, kBits * 64);
  WritePlaneVector<kBits, 0>(vectors[0], planes);
  WritePlaneVector<kBits, 1>(vectors[1], planes);
  WritePlaneVector<kBits, 2>(vectors[2], planes);
  WritePlaneVector<kBits, 3>(vectors[3], planes);
  WritePlaneVector<kBits, 4>(vectors[4], planes);
  WritePlaneVector<kBits, 5>(vectors[5], planes);
  WritePlaneVector<kBits, 6>(vectors[6], planes);
  WritePlaneVector<kBits, 7>(vectors[7], planes);
}

// Numbers of six bits: three planes hold one each in the low bits of a byte, and in its high bits
// two bits of the fourth plane's.
//   out[p * kPlane + i] = kAdd + number i of plane p, p < 4, i < kPlane
template <int kPlane, int kAdd, int kWidth>
inline __attribute__((always_inline)) void ReadSixBits(const uint8_t* planes, uint8_t* out) {
  static_assert(kPlane % kWidth == 0);
  using Bytes = typename Planes<kWidth>::Bytes;
  using Lanes = typename Planes<kWidth>::Lanes;
  for (int i = 0; i < kPlane; i += kWidth) {
    Lanes fourth = {};
    const auto read = [&]<int p>() __attribute__((always_inline)) {
      const Lanes& plane = *reinterpret_cast<const Lanes*>(planes + p * kPlane + i);
      const Lanes number = plane & 0x3f3f3f3fu;
      AddBits<2 * p - 6, kWidth>(plane, 3 << 2 * p, &fourth);
      *reinterpret_cast<Bytes*>(out + p * kPlane + i) =
          reinterpret_cast<const Bytes&>(number) + static_cast<uint8_t>(kAdd);
    };
    read.template operator()<0>();
    read.template operator()<1>();
    read.template operator()<2>();
    *reinterpret_cast<Bytes*>(out + 3 * kPlane + i) =
        reinterpret_cast<const Bytes&>(fourth) + static_cast<uint8_t>(kAdd);
  }
}

// The inverse, of numbers below 64 with nothing added.
template <int kPlane>
void WriteSixBits(const uint8_t* numbers, uint8_t* planes) {
  for (int p = 0; p < 3; ++p) {
    for (int i = 0; i < kPlane; ++i) {
      const int fourth = numbers[3 * kPlane + i] >> 2 * p & 3;
      planes[p * kPlane + i] = static_cast<uint8_t>(numbers[p * kPlane + i] | fourth << 6);
    }
  }
}

// The scales of a chunk, a byte each, and right behind them its minimums: where they lie in the
// chunk, or unpacked to `room`.
template <const R16Format& format, int kWidth>
inline __attribute__((always_inline)) const uint8_t* ScaleBytes(const uint8_t* scales,
                                                                uint8_t (&room)[kChunk]) {
  if constexpr (!format.six_bits) {
    return scales;
  } else {
    constexpr int kPlane = static_cast<int>(format.six_bit_plane());
    constexpr int kOfPlane = kWidth < kPlane ? kWidth : kPlane;
    ReadSixBits<kPlane, -format.scale_bias, kOfPlane>(scales, room);
    return room;
  }
}

}  // namespace
}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_R16_PLANES_H_
