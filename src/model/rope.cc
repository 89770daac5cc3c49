// Pair i turns by base^(-2i/d) per position. Linear scaling divides all of them by the factor. YaRN
// divides only the slow ones: a pair that turns more than beta_fast times within the original
// context keeps its frequency, one that turns less than beta_slow times is divided, and in between
// the two are mixed by a straight ramp over the pair index.
#include "model/rope.h"

#include <algorithm>
#include <cmath>

namespace puna::model {
namespace {

constexpr double kTwoPi = 6.28318530717958647692;

// The (fractional) index of the pair that turns `turns` times within the original context.
double PairOfTurns(const RopeConfig& rope, double turns) {
  return static_cast<double>(rope.dimensions) *
         std::log(static_cast<double>(rope.original_context) / (turns * kTwoPi)) /
         (2 * std::log(rope.base));
}

// YaRN's growth of the score with the factor: 0.1 m ln(s) + 1.
double Growth(double factor, double multiplier) {
  return factor <= 1 ? 1 : 0.1 * multiplier * std::log(factor) + 1;
}

}  // namespace

RopeNumbers ComputeRope(const RopeConfig& rope, std::span<const float> factors) {
  const bool yarn = rope.scaling == RopeScaling::kYarn && rope.extrapolation != 0;
  double low = 0, high = 0;
  if (yarn) {
    low = std::max(0.0, std::floor(PairOfTurns(rope, rope.beta_fast)));
    high = std::min(static_cast<double>(rope.dimensions - 1),
                    std::ceil(PairOfTurns(rope, rope.beta_slow)));
  }
  RopeNumbers numbers;
  for (int64_t i = 0; i < rope.dimensions / 2; ++i) {
    const double index = static_cast<double>(i);
    double frequency = std::pow(rope.base, -2 * index / static_cast<double>(rope.dimensions));
    if (!factors.empty()) frequency /= factors[static_cast<size_t>(i)];
    double keep = 0;
    if (yarn)
      keep = rope.extrapolation *
             (1 - std::clamp((index - low) / std::max(0.001, high - low), 0.0, 1.0));
    numbers.inverse_frequency.push_back(
        static_cast<float>(frequency * (keep + (1 - keep) / rope.factor)));
  }
  double magnitude = rope.attention_factor;
  if (yarn && rope.yarn_magnitude) {
    magnitude = *rope.yarn_magnitude;
  } else if (yarn && rope.yarn_log_multiplier != 0) {
    magnitude *=
        Growth(rope.factor, rope.yarn_multiplier) / Growth(rope.factor, rope.yarn_log_multiplier);
  } else if (yarn) {
    magnitude *= Growth(rope.factor, 1);
  }
  numbers.magnitude = static_cast<float>(magnitude);
  if (rope.scales_scores) {
    const double growth = std::log(rope.factor);
    const double query =
        magnitude * (yarn ? 1 : 1 + 0.1 * growth) * (1 + 0.1 * rope.yarn_log_multiplier * growth);
    numbers.score_factor = query * query;
  }
  return numbers;
}

}  // namespace puna::model
