#include "model/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace puna::model {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

auto Near(const std::vector<float>& expected) { return Pointwise(FloatNear(1e-6f), expected); }

RopeConfig Config() { return {.dimensions = 8, .base = 10000, .original_context = 4096}; }

TEST(Rope, PowersOfTheBase) {
  const RopeNumbers numbers = ComputeRope(Config(), {});
  EXPECT_THAT(numbers.inverse_frequency, Near({1, 0.1f, 0.01f, 0.001f}));
  EXPECT_EQ(numbers.magnitude, 1);
}

TEST(Rope, LinearScalingAndFactorsDivide) {
  RopeConfig rope = Config();
  rope.scaling = RopeScaling::kLinear;
  rope.factor = 4;
  const std::vector<float> factors = {1, 2, 1, 0.5f};
  EXPECT_THAT(ComputeRope(rope, factors).inverse_frequency,
              Near({0.25f, 0.0125f, 0.0025f, 0.0005f}));
}

TEST(Rope, AttentionFactorIsTheMagnitude) {
  RopeConfig rope = Config();
  rope.scaling = RopeScaling::kLongRope;
  rope.attention_factor = 1.19;
  EXPECT_FLOAT_EQ(ComputeRope(rope, {}).magnitude, 1.19f);
}

// 4096 positions: pair 0 turns 652 times, pair 1 65, pair 2 6.5, pair 3 0.65. Pairs that turn 32
// times are at 8 ln(4096 / 64 pi) / (2 ln 10000) = 1.31, those that turn once at 2.81, so the ramp
// goes from 1 to 3.
TEST(Rope, YarnKeepsFastPairsAndStretchesSlowOnes) {
  RopeConfig rope = Config();
  rope.scaling = RopeScaling::kYarn;
  rope.factor = 4;
  const RopeNumbers numbers = ComputeRope(rope, {});
  EXPECT_THAT(numbers.inverse_frequency, Near({1, 0.1f, 0.01f * (0.5f + 0.5f / 4), 0.001f / 4}));
  EXPECT_FLOAT_EQ(numbers.magnitude, static_cast<float>(0.1 * std::log(4.0) + 1));

  rope.yarn_log_multiplier = 1;
  EXPECT_FLOAT_EQ(ComputeRope(rope, {}).magnitude, 1);
  rope.yarn_log_multiplier = 0.5;
  EXPECT_FLOAT_EQ(ComputeRope(rope, {}).magnitude,
                  static_cast<float>((0.1 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1)));
}

TEST(Rope, AMagnitudeThatIsNamedReplacesThatOfYarn) {
  RopeConfig rope = Config();
  rope.scaling = RopeScaling::kYarn;
  rope.factor = 4;
  rope.yarn_log_multiplier = 0.5;
  rope.yarn_magnitude = 1.25;
  EXPECT_FLOAT_EQ(ComputeRope(rope, {}).magnitude, 1.25f);
  rope.scaling = RopeScaling::kLinear;
  EXPECT_FLOAT_EQ(ComputeRope(rope, {}).magnitude, 1);
}

}  // namespace
}  // namespace puna::model
