// Sequences under a constraint, on a program that computes nothing.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_test_support.h"
#include "grammar/grammar.h"
#include "tokenizer/small_vocabulary.h"

namespace puna::engine {
namespace {

using grammar::Part;

struct Fixture {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::shared_ptr<const grammar::TokenTrie> trie;
  HistoryEngine history;

  explicit Fixture(int64_t context = 512, std::function<double()> clock = nullptr) {
    tokenizer = tokenizer::testing::SmallBytePairs(5).Make();
    trie = grammar::MakeTokenTrie(tokenizer);
    history = MakeHistoryEngine({}, context, tokenizer->vocabulary_size(), tokenizer, clock);
  }

  std::shared_ptr<const grammar::Grammar> Compile(const Part& part) const {
    auto compiled = grammar::Grammar::Compile(part);
    EXPECT_TRUE(compiled.has_value()) << compiled.error().message;
    return *compiled;
  }
  GenerateRequest Request(const Part& part, int64_t seed = 1) const {
    GenerateRequest request;
    request.prompt = {1, 2, 3};
    request.sampling.seed = seed;
    request.sampling.top_k = 0;
    request.sampling.top_p = 1;
    request.max_tokens = 400;
    request.constraint = std::make_shared<const grammar::Constraint>(Compile(part), trie);
    return request;
  }
};

Part Person() {
  return Part::Schema(Json::parse(R"({"type": "object", "properties": {
      "first_name": {"enum": ["Ada", "Grace"]}, "born": {"type": "integer", "minimum": 1800, "maximum": 1999},
      "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}},
      "required": ["first_name", "born", "tags"]})"));
}

TEST(Constraint, EveryAnswerObeysIt) {
  Fixture fixture;
  const auto grammar = fixture.Compile(Person());
  std::vector<GenerateRequest> requests;
  for (int64_t seed = 0; seed < 20; ++seed) requests.push_back(fixture.Request(Person(), seed));
  for (const Outcome& outcome : RunAll(fixture.history.engine.get(), requests)) {
    ASSERT_TRUE(outcome.stats) << (outcome.error ? outcome.error->message : "");
    EXPECT_EQ(outcome.stats->reason, FinishReason::kStop);
    EXPECT_TRUE(grammar->Accepts(outcome.text)) << outcome.text;
  }
}

TEST(Constraint, ForcedTextCostsNoStepsOfItsOwn) {
  Fixture fixture;
  const std::string text = "{\"a long key that leaves no choice\": \"and a long value behind it\"}";
  const Outcome outcome = RunOne(fixture.history.engine.get(), fixture.Request(Part::Text(text)));
  ASSERT_TRUE(outcome.stats);
  EXPECT_EQ(outcome.text, text);
  EXPECT_GT(outcome.stats->generated_tokens, 10);
  EXPECT_LT(fixture.history.program->runs, outcome.stats->generated_tokens / 2);

  // With logprobs every token has its own logits.
  Fixture other;
  GenerateRequest request = other.Request(Part::Text(text));
  request.logprobs = 2;
  const Outcome slow = RunOne(other.history.engine.get(), request);
  EXPECT_EQ(slow.text, text);
  EXPECT_EQ(static_cast<int64_t>(slow.logprobs.size()), slow.stats->generated_tokens);
  EXPECT_GE(other.history.program->runs, slow.stats->generated_tokens);
}

// Lines that begin and end without a choice, as others before them did, which is what is guessed.
TEST(Constraint, NeitherGuessesNorLogprobsChangeWhatIsChosen) {
  const Part line = Part::Sequence({Part::Text("the line begins with these words: "),
                                    Part::Choice({Part::Text("yes"), Part::Text("no, or not")}),
                                    Part::Text(", and so it ends with these\n")});
  const Part lines = Part::Repeat(line, 6, 6);
  int64_t accepted = 0;
  for (int64_t seed = 0; seed < 20; ++seed) {
    std::vector<Outcome> outcomes;
    for (const int kind : {0, 1, 2, 3}) {
      double now = 0;  // rows are cheap beside a step's fixed cost
      Fixture fixture(2048, [&] { return now += 0.010; });
      GenerateRequest request = fixture.Request(lines, seed);
      request.sampling.temperature = seed % 2 == 0 ? 0.0F : 1.0F;
      request.max_tokens = seed < 15 ? 2000 : 150;
      request.speculate = kind % 2 == 1;
      request.logprobs = kind / 2 == 1 ? 1 : -1;
      outcomes.push_back(RunOne(fixture.history.engine.get(), request));
      ASSERT_TRUE(outcomes.back().stats);
      accepted += outcomes.back().stats->accepted_tokens;
      EXPECT_EQ(outcomes.back().tokens, outcomes[0].tokens) << seed << " " << kind;
      EXPECT_EQ(outcomes.back().text, outcomes[0].text) << seed << " " << kind;
      EXPECT_EQ(outcomes.back().logprobs.size(),
                kind / 2 == 1 ? outcomes.back().tokens.size() : 0u);
    }
    EXPECT_TRUE(SameOutput(outcomes[2], outcomes[3])) << seed;
  }
  EXPECT_GT(accepted, 500);
}

// Without it a letter goes on wherever that is likelier than the end; with it only where the letter
// is what the model, which has the whole vocabulary to choose from, wants to say.
TEST(Constraint, MayEndWhereTheModelWouldSaySomethingElse) {
  Fixture fixture;
  std::vector<GenerateRequest> requests;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    const Part part = Part::Repeat(Part::Text(std::string(1, letter)), 1, -1);
    for (const bool may_end : {false, true}) {
      requests.push_back(fixture.Request(part));
      requests.back().max_tokens = 50;
      requests.back().end_when_complete = may_end;
    }
  }
  const auto outcomes = RunAll(fixture.history.engine.get(), requests);
  size_t obeying = 0, ending = 0;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_TRUE(outcomes[i].stats);
    const std::string& text = outcomes[i].text;
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find_first_not_of(static_cast<char>('a' + i / 2)), std::string::npos) << text;
    (i % 2 == 0 ? obeying : ending) += text.size();
    if (i % 2 == 1) {
      EXPECT_EQ(outcomes[i].stats->reason, FinishReason::kStop);
    }
  }
  EXPECT_LT(ending, obeying);
}

TEST(Constraint, OthersInTheBatchAreFree) {
  Fixture fixture;
  GenerateRequest free = fixture.Request(Person());
  free.constraint = nullptr;
  free.max_tokens = 40;
  const Outcome alone = RunOne(fixture.history.engine.get(), free);
  const auto together = RunAll(fixture.history.engine.get(),
                               {fixture.Request(Person()), free, fixture.Request(Part::Text("x"))});
  EXPECT_EQ(together[1].tokens, alone.tokens);
  EXPECT_EQ(together[2].text, "x");
  EXPECT_TRUE(fixture.Compile(Person())->Accepts(together[0].text)) << together[0].text;
}

TEST(Constraint, LimitsStillEndTheText) {
  Fixture fixture;
  GenerateRequest request = fixture.Request(Part::Text("abcdefghijklmnopqrstuvwxyz"));
  request.max_tokens = 3;
  const Outcome outcome = RunOne(fixture.history.engine.get(), request);
  ASSERT_TRUE(outcome.stats);
  EXPECT_EQ(outcome.stats->reason, FinishReason::kLength);
  EXPECT_EQ(outcome.stats->generated_tokens, 3);
}

TEST(Constraint, OfALargerVocabularyIsRefused) {
  Fixture fixture;
  HistoryEngine small =
      MakeHistoryEngine({}, 512, fixture.tokenizer->vocabulary_size() - 1, fixture.tokenizer);
  const Outcome outcome = RunOne(small.engine.get(), fixture.Request(Part::Text("x")));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kInvalidArgument);
  EXPECT_NE(outcome.error->message.find("vocabulary"), std::string::npos);
}

}  // namespace
}  // namespace puna::engine
