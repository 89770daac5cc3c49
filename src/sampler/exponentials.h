// The exponential of numbers up to 0, many at once: the standard one is a call for each, and a
// vocabulary has 150,000. In vectors of two, which every machine has; the result is within two
// units in the last place.
#ifndef PUNA_SAMPLER_EXPONENTIALS_H_
#define PUNA_SAMPLER_EXPONENTIALS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace puna::sampler {

inline constexpr size_t kExponentials = 64;

// Each number becomes its exponential, and 0 if it is below -708, above 0 or none. Returns the sum.
inline double TakeExponentials(std::array<double, kExponentials>* numbers) {
  constexpr double kLeast = -708;
  constexpr double kLog2E = 1.4426950408889634;
  // ln 2 in two parts; the first has so few bits that its products with exponents are exact.
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  // Adding it to a small number rounds that to an integer, which is then in the lowest bits.
  constexpr double kRounder = 0x1.8p52;
  // 1 / n!; the series is cut where |x| <= ln(2) / 2 makes the next term 4e-18.
  constexpr double kTerms[] = {1.0 / 6227020800,
                               1.0 / 479001600,
                               1.0 / 39916800,
                               1.0 / 3628800,
                               1.0 / 362880,
                               1.0 / 40320,
                               1.0 / 5040,
                               1.0 / 720,
                               1.0 / 120,
                               1.0 / 24,
                               1.0 / 6,
                               1.0 / 2,
                               1.0,
                               1.0};
  using Pair = double __attribute__((vector_size(16)));
  using PairBits = int64_t __attribute__((vector_size(16)));
  // Each step waits for the one before; two pairs side by side, and even and odd powers apart, keep
  // the processor busy.
  constexpr size_t kPairs = 2;
  Pair sums[kPairs] = {};
  for (size_t begin = 0; begin < kExponentials; begin += 2 * kPairs) {
    Pair rest[kPairs], odd[kPairs], even[kPairs];
    PairBits scale[kPairs], counts[kPairs];
#pragma GCC unroll 2
    for (size_t i = 0; i < kPairs; ++i) {
      Pair number;
      std::memcpy(&number, numbers->data() + begin + 2 * i, sizeof(number));
      counts[i] = (number >= kLeast) & (number <= 0);
      number = counts[i] ? number : Pair{kLeast, kLeast};
      const Pair shifted = number * kLog2E + kRounder;
      const Pair exponent = shifted - kRounder;
      rest[i] = (number - exponent * kLn2High) - exponent * kLn2Low;
      scale[i] = std::bit_cast<PairBits>(shifted) << 52;
      odd[i] = Pair{kTerms[0], kTerms[0]};
      even[i] = Pair{kTerms[1], kTerms[1]};
    }
#pragma GCC unroll 8
    for (size_t term = 2; term < std::size(kTerms); term += 2) {
#pragma GCC unroll 2
      for (size_t i = 0; i < kPairs; ++i) {
        const Pair square = rest[i] * rest[i];
        odd[i] = odd[i] * square + kTerms[term];
        even[i] = even[i] * square + kTerms[term + 1];
      }
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < kPairs; ++i) {
      const Pair power = odd[i] * rest[i] + even[i];
      const PairBits bits = (std::bit_cast<PairBits>(power) + scale[i]) & counts[i];
      sums[i] += std::bit_cast<Pair>(bits);
      std::memcpy(numbers->data() + begin + 2 * i, &bits, sizeof(bits));
    }
  }
  const Pair sum = sums[0] + sums[1];
  return sum[0] + sum[1];
}

}  // namespace puna::sampler

#endif  // PUNA_SAMPLER_EXPONENTIALS_H_
