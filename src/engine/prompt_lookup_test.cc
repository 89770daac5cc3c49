#include "engine/prompt_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace puna::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PromptLookup, ProposesWhatFollowedTheLastOccurrence) {
  PromptLookup lookup;
  std::vector<TokenId> tokens = {1, 2, 3, 4, 5, 9, 1, 2, 3, 7, 8, 9, 9, 1, 2, 3};
  EXPECT_THAT(lookup.Propose(tokens, 4), ElementsAre(7, 8, 9, 9));
  EXPECT_THAT(lookup.Propose(tokens, 2), ElementsAre(7, 8));
  EXPECT_THAT(lookup.Propose(tokens, 100), ElementsAre(7, 8, 9, 9, 1, 2, 3));
  EXPECT_THAT(lookup.Propose(tokens, 0), IsEmpty());
  tokens.push_back(4);
  EXPECT_THAT(lookup.Propose(tokens, 2), ElementsAre(5, 9));
  tokens.push_back(4);
  EXPECT_THAT(lookup.Propose(tokens, 2), IsEmpty());
}

// Each call looks at a part, so that no step waits for a long prompt; in the end all of it counts.
TEST(PromptLookup, KnowsALongPromptAfterSeveralCalls) {
  PromptLookup lookup;
  std::vector<TokenId> tokens;
  for (TokenId i = 0; i < 5000; ++i) tokens.push_back(i);
  for (const TokenId token : {4000, 4001, 4002}) tokens.push_back(token);
  EXPECT_THAT(lookup.Propose(tokens, 2), IsEmpty());
  for (int i = 0; i < 10; ++i) lookup.Propose(tokens, 2);
  EXPECT_THAT(lookup.Propose(tokens, 2), ElementsAre(4003, 4004));
}

TEST(PromptLookup, ShortAndRepeatingTexts) {
  PromptLookup lookup;
  std::vector<TokenId> tokens;
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(lookup.Propose(tokens, 3), IsEmpty()) << i;
    tokens.push_back(5);
  }
  EXPECT_THAT(lookup.Propose(tokens, 3), ElementsAre(5));
}

TEST(PromptLookup, BelievesWhatHasBeenRight) {
  PromptLookup lookup;
  std::vector<TokenId> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3};
  EXPECT_EQ(lookup.acceptance(), 0);
  lookup.Judge(4);  // nothing was proposed
  EXPECT_EQ(lookup.acceptance(), 0);
  lookup.Propose(tokens, 5);
  for (const TokenId token : {4, 5, 6}) lookup.Judge(token);
  const double good = lookup.acceptance();
  EXPECT_GT(good, 0.3);
  lookup.Judge(99);
  const double worse = lookup.acceptance();
  EXPECT_LT(worse, good);
  lookup.Judge(8);  // what follows a wrong one says nothing
  EXPECT_EQ(lookup.acceptance(), worse);
}

TEST(WorthVerifying, WeighsTokensAgainstTime) {
  const auto flat = [](int64_t) { return 0.02; };
  const auto steep = [](int64_t k) { return 0.02 * static_cast<double>(1 + k); };
  const auto linear = [](int64_t k) { return 0.02 + 0.002 * static_cast<double>(k); };
  EXPECT_EQ(WorthVerifying(0.9, 8, 1, flat), 8);
  EXPECT_EQ(WorthVerifying(0.0, 8, 1, flat), 0);
  EXPECT_EQ(WorthVerifying(0.99, 8, 1, steep), 0);
  EXPECT_EQ(WorthVerifying(0.95, 8, 1, linear), 8);
  const int64_t some = WorthVerifying(0.5, 8, 1, linear);
  EXPECT_GT(some, 0);
  EXPECT_LT(some, 5);
  EXPECT_EQ(WorthVerifying(0.5, 8, 50, linear), 0);
  EXPECT_EQ(WorthVerifying(0.9, 0, 1, flat), 0);
}

}  // namespace
}  // namespace puna::engine
