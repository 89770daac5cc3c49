// Model files that are cut short while an engine reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/mapping_guard.h"
#include "engine/engine_test_support.h"
#include "gguf/gguf.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_llama.h"

namespace puna::engine {
namespace {

namespace fs = std::filesystem;

GenerateRequest UnreadableRequest() {
  GenerateRequest request;
  for (int i = 0; i < 20; ++i) request.prompt.push_back(3 + i * 7 % 250);
  request.max_tokens = 100;
  request.sampling.seed = 1;
  request.ignore_end = true;
  request.speculate = false;
  return request;
}

void ExpectUnreadable(const Status& status, const fs::path& path) {
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(status.error().message,
              ::testing::HasSubstr("the model's file can no longer be read"));
  EXPECT_THAT(status.error().message, ::testing::HasSubstr(path.string()));
}

// Whether the weights stay in the file.
class UnreadableTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override { ASSERT_TRUE(testing::WriteTinyLlama(path_)); }
  Result<std::unique_ptr<Engine>> Load(const std::shared_ptr<const gguf::File>& file,
                                       backend::Backend* backend) {
    return Engine::Load(file, backend, {.weights_in_file = GetParam(), .kv_tokens = 2048});
  }
  std::unique_ptr<Engine> Load() { return *Load(*gguf::File::Open(path_), cpu_.get()); }
  // Where the tensors begin.
  uintmax_t HeaderBytes() const {
    const auto file = *gguf::File::Open(path_);
    return static_cast<uintmax_t>(file->tensors()[0].data.data() -
                                  file->tensors()[0].file->bytes().data());
  }

  testing::TemporaryDirectory directory_;
  const fs::path path_ = directory_.path() / "tiny.gguf";
  const std::unique_ptr<backend::Backend> cpu_ = *backend::CreateBackend({.name = "cpu"});
};

TEST_P(UnreadableTest, AnAnswerEndsWithAnErrorAndWithoutATokenTooMany) {
  const std::vector<TokenId> expected = RunOne(Load().get(), UnreadableRequest()).tokens;
  const auto engine = Load();
  const auto stream = std::make_shared<TokenStream>();
  engine->Submit(UnreadableRequest(), stream);
  Outcome outcome;
  while (outcome.tokens.size() < 10) {
    ASSERT_TRUE(engine->Step());
    outcome.Add(stream->Take());
  }
  fs::resize_file(path_, 0);
  while (engine->Step()) {
  }
  ExpectUnreadable(engine->failure(), path_);
  engine->FailAll(engine->failure().error());
  outcome.Add(stream->Take());
  EXPECT_TRUE(outcome.error);
  EXPECT_TRUE(std::equal(outcome.tokens.begin(), outcome.tokens.end(), expected.begin()));
}

// A cut within a page leaves zeros in the mapping, and no fault.
TEST_P(UnreadableTest, EvaluationsFail) {
  const uintmax_t size = fs::file_size(path_);
  const std::vector<TokenId> tokens = UnreadableRequest().prompt;
  for (const uintmax_t left : {size - 1, HeaderBytes()}) {
    ASSERT_TRUE(testing::WriteTinyLlama(path_));
    const auto engine = Load();
    ASSERT_TRUE(engine->Evaluate(tokens, 8));
    fs::resize_file(path_, left);
    const auto logits = engine->Evaluate(tokens, 8);
    ExpectUnreadable(logits ? Status() : tl::unexpected<Error>(logits.error()), path_);
  }
}

TEST_P(UnreadableTest, LoadingFails) {
  const uintmax_t header_bytes = HeaderBytes();
  for (const char* name : {"cpu", "reference"}) {
    ASSERT_TRUE(testing::WriteTinyLlama(path_));
    const auto file = *gguf::File::Open(path_);
    fs::resize_file(path_, header_bytes);
    const auto engine = Load(file, backend::CreateBackend({.name = name})->get());
    ExpectUnreadable(engine ? Status() : tl::unexpected<Error>(engine.error()), path_);
    EXPECT_FALSE(file->IsCurrent());
  }
}

INSTANTIATE_TEST_SUITE_P(InFile, UnreadableTest, ::testing::Bool());

// Weights are brought into place while nobody asks.
TEST(UnreadableWhileSettlingTest, TheEngineFails) {
  const testing::TemporaryDirectory directory;
  const fs::path path = directory.path() / "tiny.gguf";
  ASSERT_TRUE(testing::WriteTinyLlama(path));
  Engine::Parts parts;
  parts.config.context_length = 512;
  parts.options = ResolveOptions({.kv_tokens = 1024}, parts.config);
  parts.file = parts.unsettled = *gguf::File::Open(path);
  const std::span<const uint8_t> bytes = parts.file->tensors()[0].file->bytes();
  GuardMapping(bytes);
  auto program = std::make_unique<testing::HistoryProgram>(50, 64, 512);
  int settled = 0;
  program->on_settle = [&](double) {
    if (++settled == 2) MarkUnreadable(bytes.data());
    return true;
  };
  parts.program = std::move(program);
  parts.vocabulary = parts.output_width = 50;
  const auto engine = Engine::FromParts(std::move(parts));
  EXPECT_TRUE(engine->Settle());
  EXPECT_TRUE(engine->failure());
  EXPECT_FALSE(engine->Settle());
  ExpectUnreadable(engine->failure(), path);
}

}  // namespace
}  // namespace puna::engine
