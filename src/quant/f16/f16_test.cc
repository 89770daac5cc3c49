// Both 16-bit float formats over all of their 65536 values, against definitions written with ldexp.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "quant/quant.h"

namespace puna::quant {
namespace {

struct Format {
  const char* name;
  int mantissa_bits;
  int bias;
  float (*to_float)(uint16_t);
  uint16_t (*from_float)(float);

  uint16_t infinity() const {
    return static_cast<uint16_t>(0x7fff >> mantissa_bits << mantissa_bits);
  }
};
constexpr Format kFormats[] = {{"binary16", 10, 15, HalfToFloat, FloatToHalf},
                               {"bfloat16", 7, 127, Bfloat16ToFloat, FloatToBfloat16}};

// The value of positive finite bits, by definition; a double holds it and sums of two exactly.
double ValueOf(const Format& format, uint16_t bits) {
  const int exponent = bits >> format.mantissa_bits;
  const int mantissa = bits & ((1 << format.mantissa_bits) - 1);
  if (exponent == 0) return std::ldexp(mantissa, 1 - format.bias - format.mantissa_bits);
  return std::ldexp(mantissa + (1 << format.mantissa_bits),
                    exponent - format.bias - format.mantissa_bits);
}

TEST(Float16Test, DecodesAllValues) {
  for (const Format& format : kFormats) {
    for (unsigned bits = 0; bits < 0x8000; ++bits) {
      const float positive = format.to_float(static_cast<uint16_t>(bits));
      const float negative = format.to_float(static_cast<uint16_t>(bits | 0x8000));
      ASSERT_EQ(std::bit_cast<uint32_t>(positive) ^ 0x80000000, std::bit_cast<uint32_t>(negative))
          << bits;
      if (bits < format.infinity()) {
        ASSERT_EQ(positive, ValueOf(format, static_cast<uint16_t>(bits)))
            << format.name << " " << bits;
      } else {
        ASSERT_EQ(std::isinf(positive), bits == format.infinity());
        ASSERT_EQ(std::isnan(positive), bits > format.infinity());
      }
    }
  }
}

TEST(Float16Test, EveryValueSurvivesARoundTrip) {
  for (const Format& format : kFormats) {
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
      const uint16_t back = format.from_float(format.to_float(static_cast<uint16_t>(bits)));
      if ((bits & 0x7fff) > format.infinity()) {
        ASSERT_GT(back & 0x7fff, format.infinity()) << format.name << " " << bits;  // still a NaN
        ASSERT_EQ(back & 0x8000, bits & 0x8000);
      } else {
        ASSERT_EQ(back, bits) << format.name;
      }
    }
  }
}

// Around the middle between each value and the next: below goes down, above goes up, the middle
// itself to the even one.
TEST(Float16Test, RoundsToNearestEven) {
  for (const Format& format : kFormats) {
    for (unsigned bits = 0; bits < format.infinity(); ++bits) {
      const double low = ValueOf(format, static_cast<uint16_t>(bits));
      const double high = ValueOf(
          format, static_cast<uint16_t>(bits + 1));  // beyond the largest: where infinity would be
      const auto middle = static_cast<float>((low + high) / 2);
      if (middle != (low + high) / 2 || std::isinf(middle)) continue;  // below the smallest float32
      const unsigned even = bits % 2 == 0 ? bits : bits + 1;
      for (const unsigned sign : {0u, 0x8000u}) {
        const float s = sign == 0 ? 1.0f : -1.0f;
        ASSERT_EQ(format.from_float(s * middle), even | sign) << format.name << " " << bits;
        ASSERT_EQ(format.from_float(s * std::nextafter(middle, 0.0f)), bits | sign) << format.name;
        ASSERT_EQ(
            format.from_float(s * std::nextafter(middle, std::numeric_limits<float>::infinity())),
            (bits + 1) | sign)
            << format.name;
      }
    }
    EXPECT_EQ(format.from_float(std::numeric_limits<float>::max()), format.infinity());
    EXPECT_EQ(format.from_float(std::numeric_limits<float>::denorm_min()), 0);
  }
}

}  // namespace
}  // namespace puna::quant
