// The engine over a Program that hashes what it is given (tests/support/history_program.h): whoever
// mixes up pages, positions, rows or samplers gets other tokens.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "base/utf8.h"
#include "engine/engine_test_support.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::engine {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kVocabulary = 50;

GenerateRequest Request(std::vector<TokenId> prompt, int64_t max_tokens, int64_t seed = 7) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  request.logprobs = 2;
  return request;
}

std::vector<TokenId> RandomPrompt(size_t length, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> prompt(length);
  for (TokenId& token : prompt) token = static_cast<TokenId>(random() % kVocabulary);
  return prompt;
}

// The slow twin: no batches, no pages, the logits of the whole history each time.
std::vector<TokenId> GenerateNaively(const GenerateRequest& request) {
  sampler::Sampler sampler(request.sampling);
  std::vector<TokenId> tokens = request.prompt;
  for (const TokenId token : tokens) sampler.Accept(token);
  for (int64_t i = 0; i < request.max_tokens; ++i) {
    TokenId token = sampler.Sample(testing::HistoryProgram::LogitsAfter(tokens, kVocabulary));
    if (std::cmp_less(i, request.replay.size())) token = request.replay[static_cast<size_t>(i)];
    sampler.Accept(token);
    tokens.push_back(token);
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()), tokens.end()};
}

// Pages that nobody uses lose their memory, those of the prefix cache keep it.
TEST(Engine, GivesUnusedPagesBack) {
  EngineOptions options;
  options.kv_tokens = 512;
  options.prefix_cache_tokens = 64;
  HistoryEngine h = MakeHistoryEngine(options);
  const Outcome before = RunOne(h.engine.get(), Request(RandomPrompt(200, 1), 40));
  EXPECT_EQ(h.engine->usage().pages_in_use, 4);
  const int64_t touched = h.engine->usage().pages_touched;
  EXPECT_GE(touched, 14);
  std::vector<int32_t> released;
  h.program->on_release = [&](int32_t page) { released.push_back(page); };
  h.engine->ReleaseMemory();
  EXPECT_EQ(h.engine->usage().pages_touched, 4);
  EXPECT_EQ(std::ssize(released), touched - 4);
  EXPECT_TRUE(SameOutput(RunOne(h.engine.get(), Request(RandomPrompt(200, 1), 40)), before));
  EXPECT_GE(h.engine->usage().pages_touched, 14);
}

TEST(Engine, GeneratesWhatTheNaiveLoopGenerates) {
  for (const int64_t rows : {1, 3, 16, 512}) {
    EngineOptions options;
    options.max_batch_tokens = rows;
    HistoryEngine h = MakeHistoryEngine(options);
    GenerateRequest request = Request(RandomPrompt(41, 1), 60);
    request.sampling.repeat_penalty = 1.2;
    request.return_context = rows % 2 == 0;
    const Outcome outcome = RunOne(h.engine.get(), request);
    EXPECT_EQ(outcome.tokens, GenerateNaively(request)) << rows << " rows";
    ASSERT_TRUE(outcome.stats);
    EXPECT_EQ(outcome.stats->reason, FinishReason::kLength);
    EXPECT_EQ(outcome.stats->prompt_tokens, 41);
    EXPECT_EQ(outcome.stats->generated_tokens, 60);
    EXPECT_EQ(outcome.stats->context.size(), request.return_context ? 101u : 0u);
    EXPECT_EQ(outcome.logprobs.size(), 60u);
    EXPECT_EQ(h.program->rows, 41 + 59);  // the last token is never computed
  }
}

TEST(Engine, AloneAndBesideSevenStrangersAlike) {
  const GenerateRequest request = Request(RandomPrompt(50, 1), 80);
  HistoryEngine alone = MakeHistoryEngine({});
  const Outcome expected = RunOne(alone.engine.get(), request);
  EngineOptions options;
  options.max_batch_tokens = 32;  // everybody in chunks
  options.kv_tokens = 4096;
  HistoryEngine crowd = MakeHistoryEngine(options);
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 7; ++i)
    requests.push_back(Request(RandomPrompt(10 + 37 * i, i + 2), 20 + 17 * i, i));
  requests.insert(requests.begin() + 4, request);
  const std::vector<Outcome> outcomes = RunAll(crowd.engine.get(), requests);
  EXPECT_TRUE(SameOutput(outcomes[4], expected));
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(outcomes[i].tokens, GenerateNaively(requests[i]));
}

TEST(Engine, EverybodyWhoGeneratesAdvancesInEveryStep) {
  EngineOptions options;
  options.max_batch_tokens = 8;
  options.kv_tokens = 4096;
  HistoryEngine h = MakeHistoryEngine(options);
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (uint32_t i = 0; i < 3; ++i) {
    streams.push_back(std::make_shared<TokenStream>());
    h.engine->Submit(Request(RandomPrompt(2, i), 100), streams.back());
  }
  h.engine->Step();  // 6 rows: all three have their first token
  for (auto& stream : streams) EXPECT_EQ(Collect(stream.get()).tokens.size(), 1u);
  auto late = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(400, 9), 5), late);
  for (int step = 0; step < 20; ++step) {
    h.engine->Step();
    for (auto& stream : streams) EXPECT_EQ(Collect(stream.get()).tokens.size(), 1u) << step;
  }
}

TEST(Engine, PreemptsWhenPagesRunOutAndTheOutputStaysTheSame) {
  EngineOptions options;
  options.kv_tokens = 16 * 12;
  options.max_batch_tokens = 64;
  for (const bool prefix_cache : {true, false}) {
    options.prefix_cache = prefix_cache;
    HistoryEngine h = MakeHistoryEngine(options);
    std::vector<GenerateRequest> requests;
    for (uint32_t i = 0; i < 6; ++i)
      requests.push_back(Request(RandomPrompt(12 + i, i), 100 + i, i));
    const std::vector<Outcome> outcomes = RunAll(h.engine.get(), requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(outcomes[i].tokens, GenerateNaively(requests[i])) << i;
      EXPECT_EQ(outcomes[i].logprobs.size(), outcomes[i].tokens.size());
    }
    EXPECT_GT(h.engine->usage().preemptions, 0);
    EXPECT_EQ(h.engine->usage().running + h.engine->usage().waiting, 0);
  }
}

TEST(Engine, FirstComeFirstServedWhenPagesAreShort) {
  EngineOptions options;
  options.kv_tokens = 16 * 8;
  HistoryEngine h = MakeHistoryEngine(options);
  auto first = std::make_shared<TokenStream>(), second = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(80, 1), 10), first);
  h.engine->Submit(Request(RandomPrompt(80, 2), 10), second);
  h.engine->Step();
  EXPECT_EQ(h.engine->usage().running, 1);
  EXPECT_EQ(h.engine->usage().waiting, 1);
  while (h.engine->Step()) {
  }
  EXPECT_TRUE(Collect(first.get()).stats);
  EXPECT_EQ(Collect(second.get()).tokens, GenerateNaively(Request(RandomPrompt(80, 2), 10)));
}

TEST(Engine, ThePoolLimitsTheContext) {
  EngineOptions options;
  options.kv_tokens = 100;
  HistoryEngine h = MakeHistoryEngine(options, 512);
  EXPECT_EQ(h.engine->context_length(), 100);
  const Outcome outcome = RunOne(h.engine.get(), Request(RandomPrompt(30, 1), -1));
  ASSERT_TRUE(outcome.stats);
  EXPECT_EQ(outcome.stats->reason, FinishReason::kLength);
  EXPECT_EQ(outcome.tokens.size(), 70u);
}

TEST(Engine, ARequestMayHaveAShorterContext) {
  HistoryEngine h = MakeHistoryEngine({});
  GenerateRequest request = Request(RandomPrompt(30, 1), INT64_MAX);
  request.context_length = 40;
  EXPECT_EQ(RunOne(h.engine.get(), request).tokens.size(), 10u);
  request.context_length = 1 << 20;
  EXPECT_EQ(RunOne(h.engine.get(), request).tokens.size(), 512u - 30u);
  request.context_length = 30;
  const Outcome outcome = RunOne(h.engine.get(), request);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kContextExceeded);
  EXPECT_THAT(outcome.error->message, HasSubstr("prompt is too long: 30 tokens > 29 maximum"));
}

TEST(Engine, NoTokensAskedForOnlyFillsTheCache) {
  HistoryEngine h = MakeHistoryEngine({});
  const Outcome outcome = RunOne(h.engine.get(), Request(RandomPrompt(40, 1), 0));
  ASSERT_TRUE(outcome.stats);
  EXPECT_TRUE(outcome.tokens.empty());
  EXPECT_EQ(outcome.stats->generated_tokens, 0);
  EXPECT_EQ(RunOne(h.engine.get(), Request(RandomPrompt(40, 1), 3)).stats->cached_prompt_tokens,
            39);
}

// Whatever is cached, however the prompt is cut, also when it loses its pages on the way.
TEST(Engine, LogprobsOfThePromptAreThoseOfTheNaiveLoop) {
  for (const int64_t rows : {1, 7, 512}) {
    EngineOptions options;
    options.max_batch_tokens = rows;
    options.kv_tokens = 320;
    HistoryEngine h = MakeHistoryEngine(options);
    GenerateRequest request = Request(RandomPrompt(150, 1), 3);
    GenerateRequest other = Request(RandomPrompt(100, 2), 120);
    RunOne(h.engine.get(), request);
    request.prompt_logprobs = true;
    const std::vector<Outcome> outcomes = RunAll(h.engine.get(), {other, request});
    const auto& told = outcomes[1].prompt_logprobs;
    ASSERT_EQ(told.size(), request.prompt.size() - 1);
    std::vector<TokenId> history;
    for (size_t i = 0; i + 1 < request.prompt.size(); ++i) {
      history.push_back(request.prompt[i]);
      const auto expected = sampler::Sampler::Logprobs(
          testing::HistoryProgram::LogitsAfter(history, kVocabulary), request.prompt[i + 1], 2);
      ASSERT_EQ(told[i].size(), expected.size());
      for (size_t j = 0; j < expected.size(); ++j) {
        EXPECT_EQ(told[i][j].token, expected[j].token) << "token " << i + 1;
        EXPECT_EQ(told[i][j].logprob, expected[j].logprob) << "token " << i + 1;
      }
    }
    EXPECT_EQ(outcomes[1].tokens, GenerateNaively(request));
    EXPECT_EQ(outcomes[0].prompt_logprobs.size(), 0u);
  }
}

TEST(Engine, WrongRequestsFailAndLeaveOthersAlone) {
  HistoryEngine h = MakeHistoryEngine({});
  std::vector<GenerateRequest> requests(6, Request(RandomPrompt(10, 1), 5));
  requests[0].prompt.clear();
  requests[1].prompt[3] = kVocabulary;
  requests[2].prompt[3] = -1;
  requests[3].sampling.top_p = NAN;
  requests[4].stop.assign(2, std::string(40000, 'x'));
  const std::vector<Outcome> outcomes = RunAll(h.engine.get(), requests);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(outcomes[static_cast<size_t>(i)].error) << i;
    EXPECT_EQ(outcomes[static_cast<size_t>(i)].error->code, ErrorCode::kInvalidArgument) << i;
  }
  EXPECT_EQ(outcomes[5].tokens.size(), 5u);
}

TEST(Engine, PrefixCacheSavesRowsAndChangesNothing) {
  EngineOptions options;
  options.kv_tokens = 4096;
  HistoryEngine with = MakeHistoryEngine(options);
  options.prefix_cache = false;
  HistoryEngine without = MakeHistoryEngine(options);
  // A chat: each prompt is the last one with its answer and something new.
  GenerateRequest request = Request(RandomPrompt(70, 1), 25);
  request.return_context = true;
  for (int turn = 0; turn < 4; ++turn) {
    const Outcome a = RunOne(with.engine.get(), request);
    const Outcome b = RunOne(without.engine.get(), request);
    ASSERT_TRUE(SameOutput(a, b));
    EXPECT_EQ(b.stats->cached_prompt_tokens, 0);
    const int64_t before = turn == 0 ? 0 : static_cast<int64_t>(request.prompt.size()) - 9 - 1;
    EXPECT_EQ(a.stats->cached_prompt_tokens, before);
    request.prompt = a.stats->context;
    const std::vector<TokenId> more = RandomPrompt(9, 100 + static_cast<uint32_t>(turn));
    request.prompt.insert(request.prompt.end(), more.begin(), more.end());
  }
  EXPECT_LT(with.program->rows, without.program->rows / 2);
}

TEST(Engine, AWholeCachedPromptStillComputesItsLastToken) {
  HistoryEngine h = MakeHistoryEngine({});
  const GenerateRequest request = Request(RandomPrompt(64, 1), 20);
  const Outcome first = RunOne(h.engine.get(), request);
  const Outcome second = RunOne(h.engine.get(), request);
  EXPECT_TRUE(SameOutput(first, second));
  EXPECT_EQ(second.stats->cached_prompt_tokens, 63);
}

TEST(Engine, APromptIsSharedWhileItsFirstUserStillGenerates) {
  HistoryEngine h = MakeHistoryEngine({});
  auto first = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(64, 1), 200), first);
  h.engine->Step();
  auto second = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(64, 1), 5), second);
  for (int i = 0; i < 6; ++i) h.engine->Step();
  const Outcome outcome = Collect(second.get());
  ASSERT_TRUE(outcome.stats);
  EXPECT_EQ(outcome.stats->cached_prompt_tokens, 63);
  EXPECT_EQ(outcome.tokens, GenerateNaively(Request(RandomPrompt(64, 1), 5)));
}

TEST(Engine, AShortPromptIsNotHeldUpByALongOne) {
  EngineOptions options;
  options.kv_tokens = 1 << 14;
  options.max_batch_tokens = 64;
  HistoryEngine h = MakeHistoryEngine(options, 8192);
  auto longer = std::make_shared<TokenStream>(), shorter = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(6000, 1), 2), longer);
  h.engine->Step();
  h.engine->Submit(Request(RandomPrompt(50, 2), 2), shorter);
  h.engine->Step();
  EXPECT_EQ(Collect(shorter.get()).tokens.size(), 1u);
  EXPECT_TRUE(Collect(longer.get()).tokens.empty());
}

TEST(Engine, SimultaneousRequestsShareTheirCommonBeginning) {
  for (const int64_t rows : {7, 64, 512}) {
    EngineOptions options;
    options.kv_tokens = 1 << 14;
    options.max_batch_tokens = rows;
    HistoryEngine h = MakeHistoryEngine(options, 2048);
    std::vector<GenerateRequest> requests;
    for (uint32_t i = 0; i < 8; ++i) {
      std::vector<TokenId> prompt = RandomPrompt(1000, 1);
      const std::vector<TokenId> question = RandomPrompt(20 + i, 50 + i);
      prompt.insert(prompt.end(), question.begin(), question.end());
      requests.push_back(Request(prompt, 4, i));
    }
    const std::vector<Outcome> outcomes = RunAll(h.engine.get(), requests);
    int64_t own = 0, cached = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(outcomes[i].tokens, GenerateNaively(requests[i])) << i;
      own += static_cast<int64_t>(requests[i].prompt.size()) + 3;
      cached += outcomes[i].stats->cached_prompt_tokens;
    }
    EXPECT_GE(cached, 7 * 992) << rows;
    EXPECT_EQ(h.program->rows, own - cached) << rows;
  }
}

TEST(Engine, WhoWaitsForPagesGoesOnWhenTheirComputerIsCancelled) {
  EngineOptions options;
  options.kv_tokens = 1 << 14;
  options.max_batch_tokens = 32;
  HistoryEngine h = MakeHistoryEngine(options, 2048);
  auto first = std::make_shared<TokenStream>(), second = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(1000, 1), 4), first);
  h.engine->Submit(Request(RandomPrompt(1000, 1), 4), second);
  for (int i = 0; i < 10; ++i) h.engine->Step();
  first->Cancel();
  while (h.engine->Step()) {
  }
  const Outcome outcome = Collect(second.get());
  EXPECT_EQ(outcome.tokens, GenerateNaively(Request(RandomPrompt(1000, 1), 4)));
  EXPECT_EQ(outcome.stats->cached_prompt_tokens, 320);
}

TEST(Engine, RequestsOfOtherKeysShareNothing) {
  HistoryEngine h = MakeHistoryEngine({});
  GenerateRequest request = Request(RandomPrompt(100, 1), 3);
  RunOne(h.engine.get(), request);
  request.prefix_key = 7;
  EXPECT_EQ(RunOne(h.engine.get(), request).stats->cached_prompt_tokens, 0);
  EXPECT_EQ(RunOne(h.engine.get(), request).stats->cached_prompt_tokens, 99);
  const std::vector<Outcome> both = RunAll(h.engine.get(), {Request(RandomPrompt(64, 2), 3), [] {
                                                              GenerateRequest other =
                                                                  Request(RandomPrompt(64, 2), 3);
                                                              other.prefix_key = 7;
                                                              return other;
                                                            }()});
  for (const Outcome& outcome : both) EXPECT_EQ(outcome.stats->cached_prompt_tokens, 0);
}

TEST(Engine, ThePrefixCacheKeepsToItsLimit) {
  EngineOptions options;
  options.kv_tokens = 1 << 12;
  options.prefix_cache_tokens = 160;
  HistoryEngine h = MakeHistoryEngine(options);
  for (uint32_t i = 0; i < 6; ++i) {
    RunOne(h.engine.get(), Request(RandomPrompt(80, i), 3));
    EXPECT_LE(h.engine->usage().pages_in_use, 10);
  }
  EXPECT_EQ(RunOne(h.engine.get(), Request(RandomPrompt(80, 5), 3)).stats->cached_prompt_tokens,
            79);
  EXPECT_EQ(RunOne(h.engine.get(), Request(RandomPrompt(80, 1), 3)).stats->cached_prompt_tokens, 0);
}

TEST(Engine, ALimitOfLessThanAPageKeepsNoPrefixes) {
  EngineOptions options;
  options.prefix_cache_tokens = 15;
  HistoryEngine h = MakeHistoryEngine(options);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(RunOne(h.engine.get(), Request(RandomPrompt(80, 1), 3)).stats->cached_prompt_tokens,
              0);
  }
}

TEST(Engine, WhoMustWaitPushesNobodysPrefixesOut) {
  EngineOptions options;
  options.kv_tokens = 512;
  HistoryEngine h = MakeHistoryEngine(options);
  RunOne(h.engine.get(), Request(RandomPrompt(100, 1), 3));
  const auto running = std::make_shared<TokenStream>(), waiting = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(100, 2), 100), running);
  h.engine->Step();
  h.engine->Submit(Request(RandomPrompt(450, 3), 3), waiting);
  for (int i = 0; i < 50; ++i) h.engine->Step();
  EXPECT_FALSE(Collect(running.get()).done());
  waiting->Cancel();
  while (h.engine->Step()) {
  }
  EXPECT_EQ(RunOne(h.engine.get(), Request(RandomPrompt(100, 1), 3)).stats->cached_prompt_tokens,
            99);
}

// Text that goes on as it did before, with a change now and then.
std::vector<TokenId> Edited(std::span<const TokenId> text, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> edited(text.begin(), text.end());
  for (TokenId& token : edited) {
    if (random() % 20 == 0) token = static_cast<TokenId>(random() % kVocabulary);
  }
  return edited;
}

// `states`: rejected guesses are taken back to a checkpoint and the right ones computed again.
void CheckGuesses(bool states) {
  int64_t runs[2] = {};
  std::vector<std::vector<Outcome>> outcomes;
  for (const bool speculate : {false, true}) {
    // Rows are cheap beside a step's fixed cost.
    double now = 0;
    EngineOptions options;
    options.kv_tokens = 4096;
    HistoryEngine h = MakeHistoryEngine(
        options, 1024, kVocabulary, nullptr, [&] { return now += 0.010; }, states);
    std::vector<GenerateRequest> requests;
    for (uint32_t i = 0; i < 3; ++i) {
      requests.push_back(Request(RandomPrompt(300, i), 290 + i, i));
      requests.back().replay = Edited(requests.back().prompt, 100 + i);
      requests.back().speculate = speculate;
      requests.back().context_length = i == 1 ? 450 : 0;
    }
    outcomes.push_back(RunAll(h.engine.get(), requests));
    runs[speculate] = h.program->runs;
    const GenerationStats& stats = *outcomes.back()[0].stats;
    EXPECT_EQ(stats.drafted_tokens > 0, speculate);
    EXPECT_LE(stats.accepted_tokens, stats.drafted_tokens);
    EXPECT_EQ(stats.accepted_tokens > 100, speculate);
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(SameOutput(outcomes[0][i], outcomes[1][i])) << i;
  EXPECT_EQ(outcomes[1][1].tokens.size(), 150u);
  EXPECT_EQ(outcomes[1][2].tokens.size(), 292u);
  EXPECT_LT(runs[1], runs[0] / (states ? 2 : 3));
}

TEST(Engine, GuessesSaveStepsAndChangeNothing) { CheckGuesses(false); }
TEST(Engine, GuessesOfRecurrentNetworksSaveStepsAndChangeNothing) { CheckGuesses(true); }

// The second time, the prefix cache holds every page that the request does not.
TEST(Engine, GuessesTakePagesThatOnlyThePrefixCacheHolds) {
  double now = 0;
  EngineOptions options;
  options.kv_tokens = 608;
  HistoryEngine h =
      MakeHistoryEngine(options, 608, kVocabulary, nullptr, [&] { return now += 0.010; });
  for (const uint32_t seed : {1, 2, 3}) {
    GenerateRequest request = Request(RandomPrompt(300, seed), 280);
    request.replay = Edited(request.prompt, seed);
    const Outcome outcome = RunOne(h.engine.get(), request);
    EXPECT_EQ(outcome.tokens.size(), 280u);
    EXPECT_GT(outcome.stats->accepted_tokens, 100) << seed;
    EXPECT_GE(h.engine->usage().pages_in_use, 36);
  }
}

TEST(Engine, GuessesAreNotMadeWhereRowsCostMuch) {
  double now = 0;
  EngineOptions options;
  options.kv_tokens = 4096;
  HistoryEngine h = MakeHistoryEngine(options, 1024, kVocabulary, nullptr, [&] { return now; });
  int64_t rows_before = 0;
  h.program->after_run = [&] {
    now +=
        0.001 * static_cast<double>(h.program->rows - std::exchange(rows_before, h.program->rows));
  };
  GenerateRequest request = Request(RandomPrompt(300, 1), 200);
  request.replay = request.prompt;
  const Outcome outcome = RunOne(h.engine.get(), request);
  EXPECT_EQ(outcome.tokens.size(), 200u);
  EXPECT_EQ(outcome.stats->drafted_tokens, 0);
}

TEST(Engine, CancelledRequestsStopWithinOneStep) {
  HistoryEngine h = MakeHistoryEngine({});
  auto cancelled = std::make_shared<TokenStream>();
  auto dropped = std::make_shared<TokenStream>();
  auto stays = std::make_shared<TokenStream>();
  for (const auto& stream : {cancelled, dropped, stays})
    h.engine->Submit(Request(RandomPrompt(5, 1), 400), stream);
  for (int i = 0; i < 3; ++i) h.engine->Step();
  EXPECT_EQ(h.engine->usage().running, 3);
  cancelled->Cancel();
  dropped.reset();
  Collect(cancelled.get());
  h.engine->Step();
  EXPECT_EQ(h.engine->usage().running, 1);
  const Outcome outcome = Collect(cancelled.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kCancelled);
  EXPECT_TRUE(outcome.tokens.empty());
  while (h.engine->Step()) {
  }
  EXPECT_EQ(Collect(stays.get()).tokens.size(), 400u);
}

TEST(Engine, ARequestEndsAtItsDeadlineAndItsNeighbourGoesOn) {
  HistoryEngine h = MakeHistoryEngine({});
  GenerateRequest request = Request(RandomPrompt(5, 1), 400);
  request.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  auto late = std::make_shared<TokenStream>(), stays = std::make_shared<TokenStream>();
  h.engine->Submit(request, late);
  h.engine->Submit(Request(RandomPrompt(5, 2), 400), stays);
  h.program->before_run = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  for (int i = 0; i < 20; ++i) h.engine->Step();
  h.program->before_run = nullptr;
  const Outcome outcome = Collect(late.get());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kUnavailable);
  while (h.engine->Step()) {
  }
  EXPECT_EQ(Collect(stays.get()).tokens.size(), 400u);
}

TEST(Engine, FailAllTellsEverybody) {
  EngineOptions options;
  options.max_sequences = 1;
  HistoryEngine h = MakeHistoryEngine(options);
  auto running = std::make_shared<TokenStream>(), waiting = std::make_shared<TokenStream>();
  h.engine->Submit(Request(RandomPrompt(5, 1), 400), running);
  h.engine->Submit(Request(RandomPrompt(5, 1), 400), waiting);
  h.engine->Step();
  h.engine->FailAll({ErrorCode::kInternal, "broken"});
  for (const auto& stream : {running, waiting})
    EXPECT_EQ(Collect(stream.get()).error->message, "broken");
  EXPECT_TRUE(h.engine->idle());
  EXPECT_FALSE(h.engine->Step());
}

TEST(Engine, EvaluateReturnsTheLogitsOfEveryPosition) {
  HistoryEngine h = MakeHistoryEngine({});
  const std::vector<TokenId> tokens = RandomPrompt(45, 3);
  for (const int64_t chunk : {1, 7, 16, 1000}) {
    const auto logits = h.engine->Evaluate(tokens, chunk);
    ASSERT_TRUE(logits);
    ASSERT_EQ(logits->size(), 45u * kVocabulary);
    for (size_t i : {0, 6, 7, 15, 16, 44}) {
      const std::vector<TokenId> prefix(tokens.begin(),
                                        tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      const std::vector<float> expected = testing::HistoryProgram::LogitsAfter(prefix, kVocabulary);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                             logits->begin() + static_cast<std::ptrdiff_t>(i * 50)));
    }
  }
  EXPECT_EQ(h.engine->usage().pages_in_use, 0);
  EXPECT_FALSE(h.engine->Evaluate(std::vector<TokenId>(513, 1), 16));
  EXPECT_FALSE(h.engine->Evaluate(std::vector<TokenId>{1, 50}, 16));
  EXPECT_FALSE(h.engine->Embed(std::vector<std::vector<TokenId>>{{1}}));
}

// With states only beginnings that have a checkpoint are shared: the last page border of a prompt
// and of a whole sequence, and where two prompts part, from the third one on.
TEST(Engine, RecurrentNetworksShareFromCheckpoints) {
  HistoryEngine h = MakeHistoryEngine({}, 512, kVocabulary, nullptr, nullptr, /*states=*/true);
  const std::vector<TokenId> common = RandomPrompt(70, 1);
  const auto ask = [&](std::vector<TokenId> prompt) {
    GenerateRequest request = Request(std::move(prompt), 20);
    request.return_context = true;
    const Outcome outcome = RunOne(h.engine.get(), request);
    EXPECT_EQ(outcome.tokens, GenerateNaively(request));
    return *outcome.stats;
  };
  const auto with_tail = [&](uint32_t seed) {
    std::vector<TokenId> prompt = common;
    const std::vector<TokenId> tail = RandomPrompt(30, seed);
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    return prompt;
  };
  const GenerationStats first = ask(with_tail(2));
  EXPECT_EQ(first.cached_prompt_tokens, 0);
  std::vector<TokenId> next_turn = first.context;  // 120 tokens
  next_turn.push_back(3);
  EXPECT_EQ(ask(next_turn).cached_prompt_tokens, 112);
  EXPECT_EQ(ask(with_tail(3)).cached_prompt_tokens, 0);   // leaves a checkpoint at 64
  EXPECT_EQ(ask(with_tail(4)).cached_prompt_tokens, 64);  // uses it
  EXPECT_EQ(ask(with_tail(2)).cached_prompt_tokens, 96);  // the last border of the first prompt
}

TEST(Engine, RecurrentNetworksRunOnFewSlots) {
  EngineOptions options;
  options.state_slots = kLeastStateSlots;
  HistoryEngine h = MakeHistoryEngine(options, 512, kVocabulary, nullptr, nullptr, /*states=*/true);
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 6; ++i) requests.push_back(Request(RandomPrompt(20 + 7 * i, i), 40));
  const std::vector<Outcome> outcomes = RunAll(h.engine.get(), requests);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(outcomes[i].tokens, GenerateNaively(requests[i]));
  EXPECT_EQ(h.engine->usage().state_slots_touched, kLeastStateSlots);
}

// Random requests come, are cancelled, run out of pages; whoever was not cancelled gets exactly the
// naive output, and at the end no page is lost.
TEST(Engine, Stress) {
  for (uint32_t seed = 0; seed < 8; ++seed) {
    std::mt19937 random(seed);
    EngineOptions options;
    options.kv_tokens = 16 * static_cast<int64_t>(10 + random() % 30);
    options.max_batch_tokens = static_cast<int64_t>(4 + random() % 60);
    options.max_sequences = static_cast<int64_t>(random() % 6);
    options.prefix_cache = random() % 4 != 0;
    const bool states = seed % 2 == 1;
    options.state_slots = static_cast<int64_t>(4 + random() % 12);
    HistoryEngine h = MakeHistoryEngine(options, 150, kVocabulary, nullptr, nullptr, states);
    struct Open {
      GenerateRequest request;
      std::shared_ptr<TokenStream> stream;
      Outcome outcome;
    };
    std::vector<Open> open;
    int finished = 0;
    for (int step = 0; step < 1500 || !open.empty(); ++step) {
      if (step < 1500 && open.size() < 12 && random() % 8 == 0) {
        // Few distinct beginnings, so that prefixes are shared.
        std::vector<TokenId> prompt = RandomPrompt(16 * (random() % 5), random() % 3);
        const std::vector<TokenId> tail = RandomPrompt(1 + random() % 40, random());
        prompt.insert(prompt.end(), tail.begin(), tail.end());
        open.push_back({Request(prompt, static_cast<int64_t>(random() % 40),
                                static_cast<int64_t>(random() % 100)),
                        std::make_shared<TokenStream>(),
                        {}});
        if (random() % 2 == 0) open.back().request.replay = Edited(prompt, random());
        h.engine->Submit(open.back().request, open.back().stream);
      }
      if (!open.empty() && random() % 60 == 0) open[random() % open.size()].stream->Cancel();
      h.engine->Step();
      for (Open& o : open) {
        o.outcome.Add(o.stream->Take());
        if (!o.outcome.stats) continue;
        ++finished;
        ASSERT_EQ(o.outcome.tokens, GenerateNaively(o.request)) << "seed " << seed;
      }
      std::erase_if(open, [](const Open& o) { return o.outcome.done(); });
      ASSERT_LT(step, 100000);
    }
    EXPECT_GT(finished, 50);
    EXPECT_TRUE(h.engine->idle());
    if (!options.prefix_cache) {
      EXPECT_EQ(h.engine->usage().pages_in_use, 0);
    }
  }
}

// Text: a vocabulary of bytes and words over the hashing program.
class EngineTextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(testing::WriteTinyLlama(directory_.path() / "tiny.gguf"));
    const auto file = gguf::File::Open(directory_.path() / "tiny.gguf");
    ASSERT_TRUE(file) << file.error().message;
    auto tokenizer = tokenizer::Tokenizer::FromGguf(**file);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = *tokenizer;
    engine_ = MakeHistoryEngine({}, 512, testing::kTinyVocabulary, tokenizer_).engine;
  }
  // A request that never ends by itself.
  GenerateRequest Endless(int64_t max_tokens, int64_t seed = 1) {
    GenerateRequest request = Request({5, 6, 7}, max_tokens, seed);
    request.ignore_end = true;
    return request;
  }
  // Without the bytes of a character that the tokens end within; whether there are some is `cut`.
  std::string TextOf(const std::vector<TokenId>& tokens, bool* cut = nullptr) {
    tokenizer::StreamDecoder decoder(*tokenizer_, true);
    std::string text;
    for (const TokenId token : tokens) text += decoder.Push(token);
    if (cut != nullptr) *cut = !decoder.Finish().empty();
    return text;
  }

  testing::TemporaryDirectory directory_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTextTest, PiecesAreWholeCharactersAndMakeUpTheText) {
  int cuts = 0;
  for (int64_t seed = 0; seed < 20; ++seed) {
    auto stream = std::make_shared<TokenStream>();
    engine_->Submit(Endless(300, seed), stream);
    while (engine_->Step()) {
    }
    Outcome outcome;
    const std::vector<StreamEvent> events = stream->Take();
    outcome.Add(events);
    for (const StreamEvent& event : events) EXPECT_TRUE(IsValidUtf8(event.delta.text));
    bool cut = false;
    EXPECT_EQ(outcome.text, TextOf(outcome.tokens, &cut));
    EXPECT_EQ(outcome.tokens.size(), 300u);
    cuts += cut;
  }
  EXPECT_GT(cuts, 0);
}

TEST_F(EngineTextTest, EndOfGenerationStopsAndIsNoText) {
  int stopped = 0;
  for (int64_t seed = 0; seed < 40; ++seed) {
    GenerateRequest request = Endless(300, seed);
    request.sampling.top_k = 0;
    request.return_context = true;
    const Outcome endless = RunOne(engine_.get(), request);
    request.ignore_end = false;
    const Outcome outcome = RunOne(engine_.get(), request);
    const auto end = std::find(endless.tokens.begin(), endless.tokens.end(), testing::kTinyEos);
    EXPECT_EQ(outcome.tokens, std::vector<TokenId>(endless.tokens.begin(), end));
    ASSERT_TRUE(outcome.stats);
    const bool ends = end != endless.tokens.end();
    stopped += ends;
    EXPECT_EQ(outcome.stats->reason, ends ? FinishReason::kStop : FinishReason::kLength);
    EXPECT_EQ(outcome.stats->generated_tokens, static_cast<int64_t>(outcome.tokens.size()) + ends);
    EXPECT_EQ(outcome.stats->context.size(), 3 + outcome.tokens.size());
    EXPECT_EQ(outcome.text, TextOf(outcome.tokens));
  }
  EXPECT_GT(stopped, 5);
  EXPECT_LT(stopped, 40);
}

TEST_F(EngineTextTest, StopStringsEndTheTextBeforeThem) {
  const Outcome whole = RunOne(engine_.get(), Endless(200));
  for (const size_t at : {10, 55, 120}) {
    for (const size_t length : {1, 4, 17}) {
      const std::string stop = whole.text.substr(at, length);
      if (!IsValidUtf8(stop)) continue;
      GenerateRequest request = Endless(200);
      request.stop = {"never appears, surely", stop};
      const Outcome outcome = RunOne(engine_.get(), request);
      EXPECT_EQ(outcome.text, whole.text.substr(0, whole.text.find(stop)));
      ASSERT_TRUE(outcome.stats);
      EXPECT_EQ(outcome.stats->reason, FinishReason::kStop);
      EXPECT_EQ(outcome.stats->stop_text, stop);
      EXPECT_LT(outcome.tokens.size(), 200u);
    }
  }
}

TEST_F(EngineTextTest, TextHeldBackForAStopArrivesAtTheEnd) {
  const Outcome whole = RunOne(engine_.get(), Endless(60));
  GenerateRequest request = Endless(60);
  request.stop = {whole.text + "and more"};
  const Outcome outcome = RunOne(engine_.get(), request);
  EXPECT_EQ(outcome.text, whole.text);
  EXPECT_EQ(outcome.stats->reason, FinishReason::kLength);
}

}  // namespace
}  // namespace puna::engine
