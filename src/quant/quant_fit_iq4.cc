// The search of quant_fit.cc for levels that are not evenly spaced. They are not symmetric either
// (-127 to 113), so the extreme value is tried at both ends.
#include "quant/quant_fit.h"
#include "quant/quant_levels.h"

namespace puna::quant {
namespace {

// Nearest index for every whole number from -128 to 127. The levels are whole, so rounding to a
// whole number first can only change which of two equally near levels is taken.
struct NearestTable {
  uint8_t index[256];
  constexpr NearestTable() : index{} {
    for (int value = -128, best = 0; value < 128; ++value) {
      while (best < 15 && kIq4Levels[best] + kIq4Levels[best + 1] < 2 * value) ++best;
      index[value + 128] = static_cast<uint8_t>(best);
    }
  }
};
constexpr NearestTable kNearest;

}  // namespace

int NearestIq4(float level) { return kNearest.index[RoundLevel(level, -128, 127) + 128]; }

float FitIq4Scale(const float* x, const float* w, int n) {
  float extreme = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (std::fabs(extreme) < 1e-15f) return 0;
  float best_xl = 0, best_ll = 0;
  const auto try_inverse = [&](float inverse) {
    float xl = 0, ll = 0;
    for (int i = 0; i < n; ++i) {
      const float level = kIq4Levels[NearestIq4(x[i] * inverse)];
      xl += w[i] * x[i] * level;
      ll += w[i] * level * level;
    }
    if (ll > 0 && xl * xl * best_ll >= best_xl * best_xl * ll) {
      best_xl = xl;
      best_ll = ll;
    }
  };
  for (const float end : {kIq4Levels[0], kIq4Levels[15]}) {
    for (int step = -9; step <= 9; ++step)
      try_inverse((end + 2.0f * static_cast<float>(step)) / extreme);
  }
  if (best_ll <= 0) return extreme / kIq4Levels[0];
  try_inverse(best_ll / best_xl);
  return best_xl / best_ll;
}

}  // namespace puna::quant
