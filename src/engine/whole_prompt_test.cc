// Networks whose tokens see those after them, such as diffusion models: what they say to a prompt
// is defined by the prompt as a whole. That neighbours and lost pages change nothing is
// engine_arch_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_test_support.h"
#include "tests/support/shared_data.h"

namespace puna::engine {
namespace {

using ::testing::HasSubstr;

class WholePromptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
    auto backend = backend::CreateBackend({.name = "cpu"});
    ASSERT_TRUE(backend);
    backend_ = *std::move(backend);
    auto file = gguf::File::Open(folder / "dream-dense.gguf");
    ASSERT_TRUE(file) << file.error().message;
    auto engine = Engine::Load(*file, backend_.get(),
                               {.kv_tokens = 4096, .context_length = 4096, .max_batch_tokens = 16});
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = *std::move(engine);
  }
  static GenerateRequest RequestFor(int64_t length) {
    GenerateRequest request;
    for (int64_t i = 0; i < length; ++i)
      request.prompt.push_back(static_cast<TokenId>(3 + i * i % 37));
    request.sampling.temperature = 0;
    request.max_tokens = 4;
    request.logprobs = 0;
    request.ignore_end = true;
    return request;
  }

  std::unique_ptr<backend::Backend> backend_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(WholePromptTest, IsComputedInOnePass) {
  const GenerateRequest request = RequestFor(100);
  const Outcome outcome = RunOne(engine_.get(), request);
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  const auto first_token = [&](int64_t chunk) {
    const auto logits = engine_->Evaluate(request.prompt, chunk);
    EXPECT_TRUE(logits);
    const size_t width = logits->size() / request.prompt.size();
    const auto last = std::span(*logits).last(width);
    return sampler::Sampler::Logprobs(
        last, static_cast<TokenId>(std::ranges::max_element(last) - last.begin()), 0);
  };
  EXPECT_EQ(outcome.logprobs[0][0].token, first_token(100)[0].token);
  EXPECT_EQ(outcome.logprobs[0][0].logprob, first_token(100)[0].logprob);
  EXPECT_NE(outcome.logprobs[0][0].logprob, first_token(50)[0].logprob) << "it would be no test";
}

TEST_F(WholePromptTest, LongerThanABatchIsRefused) {
  EXPECT_FALSE(RunOne(engine_.get(), RequestFor(2048)).error);
  const Outcome outcome = RunOne(engine_.get(), RequestFor(2049));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, ErrorCode::kContextExceeded);
  EXPECT_THAT(outcome.error->message, HasSubstr("2049 tokens > 2048 maximum"));
  EXPECT_THAT(outcome.error->message, HasSubstr("read at once"));
}

TEST_F(WholePromptTest, HasNoLogprobs) {
  GenerateRequest request = RequestFor(20);
  request.prompt_logprobs = true;
  const Outcome outcome = RunOne(engine_.get(), request);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message, HasSubstr("no logprobs"));
}

// Nobody waits for another's prompt for ever.
TEST_F(WholePromptTest, ReadersGoOnBesideTheLongestPrompts) {
  std::vector<GenerateRequest> requests = {RequestFor(10)};
  requests[0].max_tokens = 30;
  const Outcome alone = RunOne(engine_.get(), requests[0]);
  for (int i = 0; i < 3; ++i) requests.push_back(RequestFor(900 + i));
  const std::vector<Outcome> outcomes = RunAll(engine_.get(), requests);
  for (const Outcome& outcome : outcomes) EXPECT_FALSE(outcome.error);
  EXPECT_TRUE(SameOutput(outcomes[0], alone));
}

}  // namespace
}  // namespace puna::engine
