// The search of quant_fit.cc for levels that are not evenly spaced. They are not symmetric either
// (-127 to 113), so the extreme value is tried at both ends.
#include "quant/quant_fit.h"
#include "quant/quant_fit_lanes.h"
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
  float best_gain = 0, scale = extreme / kIq4Levels[0];
  for (const float end : {kIq4Levels[0], kIq4Levels[15]}) {
    constexpr float kStep = 2.4f;
    ScaleCandidates candidates;
    for (int c = 0; c < kCandidates; ++c) {
      candidates.inverse[c] =
          (end + kStep * (static_cast<float>(c) - 0.5f * (kCandidates - 1))) / extreme;
    }
    BestFitLoops().iq4_scales(x, w, n, &candidates);
    const float* best = std::max_element(candidates.gain, candidates.gain + kCandidates);
    if (*best <= best_gain) continue;
    best_gain = *best;
    const auto i = best - candidates.gain;
    scale = candidates.xl[i] / candidates.ll[i];
  }
  return scale;
}

}  // namespace puna::quant
