// Numbers of parts, and multiples: for n >= 0.
#ifndef PUNA_BASE_ROUNDING_H_
#define PUNA_BASE_ROUNDING_H_

#include <cstdint>

namespace puna {

constexpr int64_t DivideUp(int64_t n, int64_t by) { return (n + by - 1) / by; }
constexpr int64_t RoundUp(int64_t n, int64_t multiple) { return DivideUp(n, multiple) * multiple; }

}  // namespace puna

#endif  // PUNA_BASE_ROUNDING_H_
