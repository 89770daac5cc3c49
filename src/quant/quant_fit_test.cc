// The searches against slow twins that try every scale on a fine grid.
#include "quant/quant_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "quant/quant_fit_lanes.h"

namespace puna::quant {
namespace {

std::vector<float> NormalValues(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.1f);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

double ScaleError(const std::vector<float>& x, double scale, int low, int high) {
  double error = 0;
  for (const float value : x) {
    const double level =
        scale == 0 ? 0 : std::clamp(std::nearbyint(value / scale), double(low), double(high));
    error += (value - scale * level) * (value - scale * level);
  }
  return error;
}

TEST(QuantFitTest, ScaleIsNearTheBestOfAllScales) {
  struct Range {
    int low, high;
  };
  for (const Range& range : {Range{-4, 3}, Range{-8, 7}, Range{-32, 31}}) {
    double found = 0, best = 0;
    for (unsigned seed = 0; seed < 40; ++seed) {
      const std::vector<float> x = NormalValues(32, seed);
      const std::vector<float> ones(x.size(), 1.0f);
      const float scale = FitScale(x.data(), ones.data(), 32, range.low, range.high);
      found += ScaleError(x, scale, range.low, range.high);
      double least = 1e30;
      for (int i = 1; i <= 4000; ++i) {
        const double candidate = 0.6 / range.high * i / 4000;
        least = std::min({least, ScaleError(x, candidate, range.low, range.high),
                          ScaleError(x, -candidate, range.low, range.high)});
      }
      best += least;
    }
    EXPECT_LE(found, 1.03 * best) << range.low << " to " << range.high;
  }
}

double LineError(const std::vector<float>& x, ScaleAndOffset fit, int max_level) {
  double error = 0;
  for (const float value : x) {
    const double level =
        std::clamp(std::nearbyint(static_cast<double>(value - fit.offset) / fit.scale), 0.0,
                   double(max_level));
    const double difference = value - (fit.scale * level + fit.offset);
    error += difference * difference;
  }
  return error;
}

TEST(QuantFitTest, ScaleAndOffsetAreNearTheBest) {
  for (const int max_level : {3, 15}) {
    double found = 0, best = 0;
    for (unsigned seed = 0; seed < 20; ++seed) {
      const std::vector<float> x = NormalValues(32, 100 + seed);
      const std::vector<float> ones(x.size(), 1.0f);
      found += LineError(
          x, FitScaleAndOffset(x.data(), ones.data(), 32, max_level, OffsetSign::kAny), max_level);
      const auto [low, high] = std::minmax_element(x.begin(), x.end());
      const float range = *high - *low;
      double least = 1e30;
      for (int i = 0; i < 100; ++i) {
        for (int j = 0; j < 100; ++j) {
          const ScaleAndOffset candidate{
              range / static_cast<float>(max_level) * (0.6f + 0.005f * static_cast<float>(i)),
              *low + range * (-0.05f + 0.004f * static_cast<float>(j))};
          least = std::min(least, LineError(x, candidate, max_level));
        }
      }
      best += least;
    }
    EXPECT_LE(found, 1.03 * best) << max_level;
  }
}

TEST(QuantFitTest, OffsetKeepsItsSign) {
  const std::vector<float> x = {5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<float> ones(x.size(), 1.0f);
  EXPECT_GT(FitScaleAndOffset(x.data(), ones.data(), 8, 15, OffsetSign::kAny).offset, 4);
  EXPECT_LE(FitScaleAndOffset(x.data(), ones.data(), 8, 15, OffsetSign::kNotPositive).offset, 0);
}

TEST(QuantFitTest, RoundsLevels) {
  EXPECT_EQ(RoundLevel(2.4f, 15), 2);
  EXPECT_EQ(RoundLevel(2.6f, 15), 3);
  EXPECT_EQ(RoundLevel(-1e30f, 15), 0);
  EXPECT_EQ(RoundLevel(1e30f, 15), 15);
  EXPECT_EQ(RoundLevel(-2.6f, -8, 7), -3);
  EXPECT_EQ(RoundLevel(-100, -8, 7), -8);
}

// Values of a narrow range around a large offset keep the precision that the levels give.
TEST(QuantFitTest, LargeOffsetsKeepThePrecision) {
  std::vector<float> x = NormalValues(32, 5);
  const std::vector<float> ones(x.size(), 1.0f);
  const double expected =
      LineError(x, FitScaleAndOffset(x.data(), ones.data(), 32, 15, OffsetSign::kAny), 15);
  for (float& value : x) value += 1000;
  const double error =
      LineError(x, FitScaleAndOffset(x.data(), ones.data(), 32, 15, OffsetSign::kAny), 15);
  EXPECT_LE(error, 1.1 * expected);
}

// The table of nearest levels against trying all sixteen.
TEST(QuantFitTest, NearestIq4IsNearest) {
  static constexpr float kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
  for (int value = -200; value <= 200; ++value) {
    float least = 1e30f;
    for (const float level : kLevels)
      least = std::min(least, std::fabs(level - static_cast<float>(value)));
    EXPECT_EQ(std::fabs(kLevels[NearestIq4(static_cast<float>(value))] - static_cast<float>(value)),
              least)
        << value;
  }
}

// Every instruction set gives the same bits, so a quantized model has one digest everywhere.
TEST(QuantFitTest, InstructionSetsAgreeToTheLastBit) {
  const FitLoops& plain = *AllFitLoops()[2].loops;
  const std::vector<float> x = NormalValues(32, 9), w = NormalValues(32, 10);
  std::vector<float> weights;
  for (const float value : w) weights.push_back(std::fabs(value));
  ScaleCandidates scales = {};
  LineCandidates lines = {};
  ErrorCandidates errors = {};
  for (int c = 0; c < kCandidates; ++c) {
    const auto number = static_cast<float>(c + 1);
    scales.inverse[c] = 9 * number;
    lines.inverse[c] = 5 * number;
    lines.offset[c] = -0.02f * number;
    errors.scale[c] = 0.01f * number;
    errors.inverse[c] = 100 / number;
    errors.offset[c] = -0.03f * number;
  }
  for (const NamedFitLoops& named : AllFitLoops()) {
    if (named.loops == nullptr) continue;
    for (const int n : {8, 16, 32}) {
      ScaleCandidates s1 = scales, s2 = scales;
      plain.scales(x.data(), weights.data(), n, -8, 7, &s1);
      named.loops->scales(x.data(), weights.data(), n, -8, 7, &s2);
      EXPECT_EQ(std::memcmp(&s1, &s2, sizeof(s1)), 0) << named.name;
      plain.iq4_scales(x.data(), weights.data(), n, &s1);
      named.loops->iq4_scales(x.data(), weights.data(), n, &s2);
      EXPECT_EQ(std::memcmp(&s1, &s2, sizeof(s1)), 0) << named.name;
      LineCandidates l1 = lines, l2 = lines;
      plain.lines(x.data(), weights.data(), n, 15, 0.05f, &l1);
      named.loops->lines(x.data(), weights.data(), n, 15, 0.05f, &l2);
      EXPECT_EQ(std::memcmp(&l1, &l2, sizeof(l1)), 0) << named.name;
      ErrorCandidates e1 = errors, e2 = errors;
      plain.errors(x.data(), weights.data(), n, 15, &e1);
      named.loops->errors(x.data(), weights.data(), n, 15, &e2);
      EXPECT_EQ(std::memcmp(&e1, &e2, sizeof(e1)), 0) << named.name;
    }
  }
}

// The sums of a lane against adding them up one by one.
TEST(QuantFitTest, LanesSumWhatTheyTry) {
  const std::vector<float> x = NormalValues(32, 3), ones(32, 1.0f);
  ScaleCandidates candidates = {};
  for (int c = 0; c < kCandidates; ++c) candidates.inverse[c] = 10 + 5 * static_cast<float>(c);
  BestFitLoops().scales(x.data(), ones.data(), 32, -8, 7, &candidates);
  for (int c = 0; c < kCandidates; ++c) {
    float xl = 0, ll = 0;
    for (const float value : x) {
      const auto level = static_cast<float>(RoundLevel(candidates.inverse[c] * value, -8, 7));
      xl += level * value;
      ll += level * level;
    }
    EXPECT_EQ(candidates.ll[c], ll) << c;
    EXPECT_NEAR(candidates.xl[c], xl, 1e-4f) << c;
  }
}

}  // namespace
}  // namespace puna::quant
