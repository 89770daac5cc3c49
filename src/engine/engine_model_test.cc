// The engine over real networks: a tiny random llama on every backend, and a trained model with
// recorded output.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_test_support.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/vulkan_device.h"

namespace puna::engine {
namespace {

std::unique_ptr<Engine> LoadEngine(const std::filesystem::path& path, backend::Backend* backend,
                                   const EngineOptions& options = {}) {
  const auto file = gguf::File::Open(path);
  if (!file) ADD_FAILURE() << file.error().message;
  if (!file) return nullptr;
  auto engine = Engine::Load(*file, backend, options);
  if (!engine) ADD_FAILURE() << engine.error().message;
  return engine ? *std::move(engine) : nullptr;
}

// The parameter is the name of the backend. One that is not built is skipped, not passed over.
class EngineModelTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto backend = backend::CreateBackend({.name = GetParam()});
    if (!backend) GTEST_SKIP() << backend.error().message;
    backend_ = *std::move(backend);
    ASSERT_TRUE(testing::WriteTinyLlama(directory_.path() / "tiny.gguf"));
  }
  std::unique_ptr<Engine> Tiny(const EngineOptions& options = {}) {
    return LoadEngine(directory_.path() / "tiny.gguf", backend_.get(), options);
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<backend::Backend> backend_;
};

GenerateRequest Request(size_t length, uint32_t seed, int64_t max_tokens) {
  std::mt19937 random(seed);
  GenerateRequest request;
  request.prompt.resize(length);
  for (TokenId& token : request.prompt)
    token = static_cast<TokenId>(3 + random() % (testing::kTinyVocabulary - 3));
  request.sampling.seed = seed;
  request.max_tokens = max_tokens;
  request.logprobs = 3;
  request.ignore_end = true;
  return request;
}

TEST_P(EngineModelTest, SameOutputAloneBesideOthersAndInAnyChunks) {
  const GenerateRequest request = Request(37, 1, 30);
  const std::unique_ptr<Engine> alone = Tiny();
  ASSERT_NE(alone, nullptr);
  const Outcome expected = RunOne(alone.get(), request);
  ASSERT_EQ(expected.tokens.size(), 30u);
  EXPECT_FALSE(expected.text.empty());
  for (const int64_t rows : {8, 24, 512}) {
    EngineOptions options;
    options.max_batch_tokens = rows;
    options.kv_tokens = 2048;
    const std::unique_ptr<Engine> crowd = Tiny(options);
    std::vector<GenerateRequest> requests;
    for (uint32_t i = 0; i < 7; ++i) requests.push_back(Request(5 + 9 * i, 10 + i, 25 + i));
    requests.insert(requests.begin() + 3, request);
    const std::vector<Outcome> outcomes = RunAll(crowd.get(), requests);
    EXPECT_TRUE(SameOutput(outcomes[3], expected)) << rows << " rows";
  }
}

TEST_P(EngineModelTest, SameOutputWithPreemptionAndWithThePrefixCache) {
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 4; ++i) {
    requests.push_back(Request(40, 1, 60));  // a common beginning
    requests.back().prompt.resize(30 + i);
    requests.back().sampling.seed = i;
  }
  std::vector<Outcome> expected;
  for (const GenerateRequest& request : requests) {
    EngineOptions options;
    options.prefix_cache = false;
    expected.push_back(RunOne(Tiny(options).get(), request));
  }
  EngineOptions options;
  options.kv_tokens = 256;
  const std::unique_ptr<Engine> engine = Tiny(options);
  for (int round = 0; round < 2; ++round) {
    const std::vector<Outcome> outcomes = RunAll(engine.get(), requests);
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_TRUE(SameOutput(outcomes[i], expected[i])) << i;
    if (round > 0) {
      EXPECT_GT(outcomes[0].stats->cached_prompt_tokens, 0);
    }
  }
  EXPECT_GT(engine->usage().preemptions, 0);
}

TEST_P(EngineModelTest, PredictsItsMemory) {
  const auto file = gguf::File::Open(directory_.path() / "tiny.gguf");
  ASSERT_TRUE(file);
  const auto predicted = Engine::Predict(*file, *backend_, {});
  ASSERT_TRUE(predicted);
  const backend::MemoryUse actual = Tiny()->memory_use();
  EXPECT_EQ(predicted->kv_page, actual.kv_page);
  EXPECT_NEAR(static_cast<double>(predicted->weights), static_cast<double>(actual.weights),
              0.1 * static_cast<double>(actual.weights) + 65536);
}

TEST_P(EngineModelTest, CancelledLoadsReturnAnError) {
  const auto file = gguf::File::Open(directory_.path() / "tiny.gguf");
  ASSERT_TRUE(file);
  EngineOptions options;
  options.progress = [](int64_t, int64_t) { return false; };
  const auto engine = Engine::Load(*file, backend_.get(), options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::kCancelled);
}

TEST_P(EngineModelTest, LoadsForIdsOnly) {
  ASSERT_TRUE(testing::WriteTinyLlama(directory_.path() / "ids.gguf", {.vocabulary = false}));
  const std::unique_ptr<Engine> ids = LoadEngine(directory_.path() / "ids.gguf", backend_.get());
  ASSERT_NE(ids, nullptr);
  EXPECT_EQ(ids->tokenizer(), nullptr);
  const Outcome outcome = RunOne(ids.get(), Request(10, 1, 20));
  EXPECT_EQ(outcome.tokens, RunOne(Tiny().get(), Request(10, 1, 20)).tokens);
  EXPECT_TRUE(outcome.text.empty());
}

TEST_P(EngineModelTest, EvaluateEqualsTheOracles) {
  EngineOptions options;
  options.kv_type = backend::KvType::kF32;
  options.context_length = 256;  // what they were recorded with; it chooses the long rope factors
  for (const testing::Oracle& oracle :
       testing::LoadOracles(testing::SourcePath("tests/data/oracles"))) {
    if (oracle.expected.size() < oracle.tokens.size() * 2) continue;  // an embedding
    const std::unique_ptr<Engine> engine = LoadEngine(oracle.gguf, backend_.get(), options);
    ASSERT_NE(engine, nullptr) << oracle.name;
    for (const int64_t chunk : {7, 512}) {
      const auto logits = engine->Evaluate(oracle.tokens, chunk);
      ASSERT_TRUE(logits) << logits.error().message;
      EXPECT_LT(testing::Nmse(*logits, oracle.expected), 1e-7)
          << oracle.name << ", chunks of " << chunk;
    }
  }
}

TEST_P(EngineModelTest, EmbeddingsAloneAndTogetherAreAlikeAndEqualTheOracle) {
  int models = 0;
  for (const testing::Oracle& oracle :
       testing::LoadOracles(testing::SourcePath("tests/data/oracles"))) {
    if (oracle.expected.size() >= oracle.tokens.size() * 2) continue;
    ++models;
    const std::unique_ptr<Engine> engine =
        LoadEngine(oracle.gguf, backend_.get(), {.embeddings = true});
    ASSERT_NE(engine, nullptr) << oracle.name;
    std::vector<std::vector<TokenId>> inputs = {{1, 2, 3}, oracle.tokens, {5}};
    for (int i = 0; i < 100; ++i) inputs.push_back(oracle.tokens);  // more than one pass
    const auto together = engine->Embed(inputs);
    ASSERT_TRUE(together) << together.error().message;
    ASSERT_EQ(together->size(), inputs.size());
    EXPECT_LT(testing::Nmse((*together)[1], oracle.expected), 1e-7) << oracle.name;
    EXPECT_EQ((*together)[1], together->back());
    for (size_t i = 3; i < inputs.size(); ++i) inputs[i].resize(1 + i * 7 % oracle.tokens.size());
    const auto mixed = engine->Embed(inputs);
    ASSERT_TRUE(mixed);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto alone = engine->Embed(std::span(inputs).subspan(i, 1));
      ASSERT_TRUE(alone);
      EXPECT_EQ((*alone)[0], (*mixed)[i]) << oracle.name << ", input " << i;
    }
    for (const std::vector<TokenId>& wrong :
         {std::vector<TokenId>{}, {-1}, std::vector<TokenId>(5000, 1)}) {
      inputs[1] = wrong;
      const auto failed = engine->Embed(inputs);
      ASSERT_FALSE(failed);
      EXPECT_NE(failed.error().message.find("input 1"), std::string::npos)
          << failed.error().message;
    }
    EXPECT_TRUE(RunOne(engine.get(), Request(3, 1, 3)).error);
  }
  EXPECT_GT(models, 0);
}

// What the reference backend says when it goes token by token: the encoder reads the prompt, the
// decoder begins with its start token.
std::vector<TokenId> GreedyAnswer(const std::filesystem::path& path,
                                  const std::vector<TokenId>& prompt, size_t count) {
  const auto reference = *backend::CreateBackend({.name = "reference"});
  const auto model = *testing::LoadModel(path, reference.get(), false, backend::KvType::kF32);
  model::PagePool pool = model.NewPool();
  model::PageTable pages(&pool);
  testing::Begin(model, &pages, prompt);
  std::vector<TokenId> answer, next = {static_cast<TokenId>(model.config.encoder->start_token)};
  while (answer.size() < count) {
    const testing::Part part{&pages, next};
    const std::vector<float> logits = testing::RunPass(model, {&part, 1});
    next = {static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
    answer.push_back(next[0]);
  }
  return answer;
}

TEST_P(EngineModelTest, AnEncoderReadsThePrompt) {
  const auto path = testing::SourcePath("tests/data/oracles/t5-dense.gguf");
  std::vector<GenerateRequest> requests;
  std::vector<std::vector<TokenId>> expected;
  for (uint32_t i = 0; i < 5; ++i) {
    requests.push_back(Request(7 + 8 * i, i, 30));
    requests.back().sampling.temperature = 0;
    for (TokenId& token : requests.back().prompt) token %= 128;
    expected.push_back(GreedyAnswer(path, requests.back().prompt, 30));
  }
  ASSERT_NE(expected[0], expected[1]);
  EngineOptions options;
  options.kv_type = backend::KvType::kF32;
  for (const int64_t kv_tokens : {1024, 128}) {  // a small pool preempts, and texts are read again
    options.kv_tokens = kv_tokens;
    const std::unique_ptr<Engine> engine = LoadEngine(path, backend_.get(), options);
    ASSERT_NE(engine, nullptr);
    const std::vector<Outcome> outcomes = RunAll(engine.get(), requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_FALSE(outcomes[i].error) << outcomes[i].error->message;
      EXPECT_EQ(outcomes[i].tokens, expected[i]) << i << " of a pool of " << kv_tokens;
      ASSERT_TRUE(outcomes[i].stats);
      EXPECT_EQ(outcomes[i].stats->prompt_tokens, std::ssize(requests[i].prompt));
    }
    EXPECT_EQ(engine->usage().preemptions > 0, kv_tokens == 128);
    EXPECT_EQ(engine->usage().pages_in_use, 0);
  }
  const std::unique_ptr<Engine> engine = LoadEngine(path, backend_.get(), options);
  const Outcome refused = RunOne(engine.get(), Request(127, 1, 3));
  ASSERT_TRUE(refused.error);
  EXPECT_NE(refused.error->message.find("127 tokens"), std::string::npos) << refused.error->message;
  GenerateRequest scored = requests[0];
  scored.prompt_logprobs = true;
  EXPECT_TRUE(RunOne(engine.get(), scored).error) << "the encoder's tokens see those after them";
  GenerateRequest endless = requests[0];  // until the context is full, whatever it says of shifting
  endless.max_tokens = -1;
  endless.shift = true;
  const Outcome full = RunOne(engine.get(), endless);
  ASSERT_TRUE(full.stats);
  EXPECT_EQ(full.stats->reason, FinishReason::kLength);
  EXPECT_EQ(full.tokens.size(), 128u - 7 - 1);
}

// The recordings are of exact arithmetic. A backend that rounds activations may choose otherwise at
// a near tie and then tells another story, so it follows the recorded one: at each of its tokens
// the recorded choice must be all but the best.
void FollowRecording(Engine* engine, const std::vector<TokenId>& prompt,
                     const std::vector<TokenId>& output, double near_tie) {
  std::vector<TokenId> tokens = prompt;
  tokens.insert(tokens.end(), output.begin(), output.end());
  const auto logits = engine->Evaluate(tokens, 32);
  ASSERT_TRUE(logits) << logits.error().message;
  const size_t vocabulary = logits->size() / tokens.size();
  int others = 0;
  for (size_t i = prompt.size(); i < tokens.size(); ++i) {
    const auto row = std::span(*logits).subspan((i - 1) * vocabulary, vocabulary);
    const float best = *std::max_element(row.begin(), row.end());
    const float recorded = row[static_cast<size_t>(tokens[i])];
    EXPECT_LE(best - recorded, near_tie) << "token " << i - prompt.size();
    others += recorded < best;
  }
  EXPECT_LE(others, static_cast<int>(output.size() / 20)) << "choices other than the recorded";
}

TEST_P(EngineModelTest, TrainedModelWritesTheRecordedText) {
  PUNA_SHARED_OR_SKIP(folder, "data/models/tinystories-656K");
  const bool exact = GetParam() == std::string("reference");
  std::ifstream in(folder / "golden.json");
  const nlohmann::json golden = nlohmann::json::parse(in);
  const std::unique_ptr<Engine> engine =
      LoadEngine(folder / "TinyStories-656K-Q8_0.gguf", backend_.get());
  ASSERT_NE(engine, nullptr);
  for (const auto& test_case : golden["cases"]) {
    SCOPED_TRACE(test_case["prompt"]);
    GenerateRequest request;
    request.prompt = test_case["prompt_ids"].get<std::vector<TokenId>>();
    request.sampling.temperature = 0;
    request.logprobs = 5;
    std::vector<TokenId> ids;
    engine->tokenizer()->Encode(test_case["prompt"].get<std::string>(),
                                {.parse_special = false, .add_special = true}, &ids);
    EXPECT_EQ(ids, request.prompt);
    const auto expected = test_case["greedy_ids"].get<std::vector<TokenId>>();
    ASSERT_FALSE(expected.empty());
    FollowRecording(engine.get(), request.prompt, expected, exact ? 0 : 0.5);

    const Outcome outcome = RunOne(engine.get(), request);
    ASSERT_TRUE(outcome.stats);
    // Differences of the recorded logits are differences of logprobs.
    const auto& top = test_case["logits_after_prompt_top5"];
    for (size_t i = 0; i < top.size(); ++i) {
      const double gap = top[0][1].get<double>() - top[i][1].get<double>();
      EXPECT_NEAR(outcome.logprobs[0][1].logprob - outcome.logprobs[0][i + 1].logprob, gap,
                  exact ? 0.02 : 0.5);
    }
    if (!exact) continue;
    std::vector<TokenId> tokens = outcome.tokens;
    if (outcome.stats->reason == FinishReason::kStop) tokens.push_back(expected.back());
    tokens.resize(std::min(tokens.size(), expected.size()));  // some recordings stop before the end
    EXPECT_EQ(tokens, expected);
    const std::string text = test_case["greedy_text"];
    EXPECT_TRUE((outcome.text + "<|end_story|>").starts_with(text)) << outcome.text;
  }
}

// Quantized weights: products of one row and of many may take different kernels, which must agree
// to the bit.
TEST_P(EngineModelTest, QuantizedModelAloneAndBesideOthersAlike) {
  PUNA_SHARED_OR_SKIP(path, "data/models/tinystories-656K/TinyStories-656K-Q8_0.gguf");
  const GenerateRequest request = Request(37, 1, 30);
  const Outcome expected = RunOne(LoadEngine(path, backend_.get()).get(), request);
  EngineOptions options;
  options.max_batch_tokens = 24;
  options.kv_tokens = 2048;
  const std::unique_ptr<Engine> crowd = LoadEngine(path, backend_.get(), options);
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 7; ++i) requests.push_back(Request(5 + 9 * i, 10 + i, 25 + i));
  requests.insert(requests.begin() + 3, request);
  EXPECT_TRUE(SameOutput(RunAll(crowd.get(), requests)[3], expected));
}

// Users with settings of all kinds in one batch. Log probabilities need whole rows of logits;
// without them the largest of a row are enough for some, and the tokens must be the same.
std::vector<GenerateRequest> RequestsOfAllKinds(int logprobs) {
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 0; i < 10; ++i) {
    GenerateRequest request = Request(5 + 7 * i, 40 + i, 20 + i);
    sampler::SamplingOptions& sampling = request.sampling;
    if (i % 5 == 1) sampling.temperature = 0;
    if (i % 5 == 2) sampling.repeat_penalty = 1.3;
    if (i % 5 == 3) sampling.top_k = i > 5 ? 0 : 2000;
    if (i % 5 == 4) sampling.logit_bias = {{5, -2}, {9, -INFINITY}, {11, i > 5 ? 2.0 : -1.0}};
    request.logprobs = logprobs;
    requests.push_back(std::move(request));
  }
  // Repeats itself, so that guesses are verified.
  GenerateRequest guessed = Request(30, 7, 40);
  for (size_t i = 0; i < guessed.prompt.size(); ++i)
    guessed.prompt[i] = static_cast<TokenId>(3 + i % 5);
  guessed.sampling.temperature = 0;
  guessed.speculate = true;
  guessed.logprobs = logprobs;
  requests.push_back(guessed);
  guessed.sampling.repeat_penalty = 1.1;
  requests.push_back(std::move(guessed));
  return requests;
}

// Counts what the programs of another backend are asked for.
class CountingBackend final : public backend::Backend {
 public:
  struct Counts {
    size_t whole = 0, ranked = 0;  // rows
  };
  explicit CountingBackend(backend::Backend* inner) : inner_(inner) {}
  std::string_view name() const override { return inner_->name(); }
  Result<std::unique_ptr<backend::Program>> Compile(
      std::shared_ptr<const backend::Plan> plan, const backend::CompileOptions& options) override {
    PUNA_ASSIGN_OR_RETURN(auto program, inner_->Compile(std::move(plan), options));
    return std::make_unique<CountingProgram>(std::move(program), &counts);
  }
  backend::MemoryUse Predict(const backend::Plan& plan,
                             const backend::CompileOptions& options) const override {
    return inner_->Predict(plan, options);
  }

  Counts counts;

 private:
  class CountingProgram final : public backend::Program {
   public:
    CountingProgram(std::unique_ptr<backend::Program> inner, Counts* counts)
        : inner_(std::move(inner)), counts_(counts) {}
    Status Run(const backend::Batch& batch, std::span<float> out) override {
      counts_->whole += batch.output_rows.size();
      counts_->ranked += batch.ranked_rows.size();
      return inner_->Run(batch, out);
    }
    int64_t most_ranked() const override { return inner_->most_ranked(); }
    void CopyPage(int32_t from, int32_t to, int64_t tokens) override {
      inner_->CopyPage(from, to, tokens);
    }
    void ReleasePage(int32_t page) override { inner_->ReleasePage(page); }
    backend::MemoryUse memory_use() const override { return inner_->memory_use(); }
    std::string Describe() const override { return inner_->Describe(); }

   private:
    std::unique_ptr<backend::Program> inner_;
    Counts* counts_;
  };

  backend::Backend* inner_;
};

// `ranks`: the backend can tell the largest logits.
void ExpectSameTokensRanked(backend::Backend* backend, bool ranks) {
  testing::TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "tiny.gguf";
  ASSERT_TRUE(testing::WriteTinyLlama(path));
  CountingBackend counting(backend);
  const std::vector<Outcome> expected =
      RunAll(LoadEngine(path, &counting).get(), RequestsOfAllKinds(0));
  EXPECT_EQ(counting.counts.ranked, 0u);
  counting.counts = {};
  const std::vector<Outcome> outcomes =
      RunAll(LoadEngine(path, &counting).get(), RequestsOfAllKinds(-1));
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_GE(expected[i].tokens.size(), 20u) << i;
    EXPECT_EQ(outcomes[i].tokens, expected[i].tokens) << i;
    EXPECT_EQ(outcomes[i].text, expected[i].text) << i;
  }
  // Three of twelve need whole rows: two that draw from all tokens, one whose bias raises a logit.
  EXPECT_GT(counting.counts.whole, 0u);
  if (ranks) {
    EXPECT_GT(counting.counts.ranked, counting.counts.whole);
  } else {
    EXPECT_EQ(counting.counts.ranked, 0u);
  }
}

TEST_P(EngineModelTest, SameTokensWhereTheLargestLogitsAreEnough) {
  ExpectSameTokensRanked(backend_.get(), backend_->name() == "reference");
}

TEST(EngineOnVulkan, SameTokensWhereTheLargestLogitsAreEnough) {
  PUNA_VULKAN_OR_SKIP(device);
  ExpectSameTokensRanked(device, /*ranks=*/true);
}

INSTANTIATE_TEST_SUITE_P(Backends, EngineModelTest, ::testing::Values("reference", "cpu"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace puna::engine
