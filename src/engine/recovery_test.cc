// Devices that fail under an engine: nobody's output changes when one is full, and only those in
// the pass feel that one is lost.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_test_support.h"

namespace puna::engine {
namespace {

constexpr int64_t kVocabulary = 50;
constexpr int64_t kLayers = 8, kLayerBytes = 100;

// A program with layers on a device; its passes succeed until `fails` says otherwise.
class OnDevice final : public testing::HistoryProgram {
 public:
  OnDevice(int64_t pages, int64_t max_rows, int64_t slots, int64_t layers,
           std::function<std::optional<Error>(int64_t layers)> fails)
      : HistoryProgram(kVocabulary, pages, max_rows, slots),
        layers_(layers),
        fails_(std::move(fails)) {}
  Status Run(const backend::Batch& batch, std::span<float> out) override {
    if (auto error = fails_(layers_)) return tl::unexpected<Error>(*std::move(error));
    return HistoryProgram::Run(batch, out);
  }
  backend::MemoryUse memory_use() const override {
    backend::MemoryUse use = HistoryProgram::memory_use();
    use.on_device.layers = layers_;
    use.on_device.weights = layers_ * kLayerBytes;
    return use;
  }

 private:
  int64_t layers_;
  std::function<std::optional<Error>(int64_t)> fails_;
};

class RecoveryTest : public ::testing::TestWithParam<bool> {
 protected:
  // On eight layers of a device.
  void Start(EngineOptions options = {}) {
    Engine::Parts parts;
    parts.config.context_length = 512;
    parts.options = ResolveOptions(std::move(options), parts.config);
    parts.states = GetParam();
    const int64_t pages = parts.options.kv_tokens / backend::kPageTokens;
    const int64_t rows = parts.options.max_batch_tokens;
    const int64_t slots = parts.states ? parts.options.state_slots : 0;
    parts.recompile =
        [this, pages, rows,
         slots](std::optional<int64_t> bytes) -> Result<std::unique_ptr<backend::Program>> {
      compiled_.push_back(bytes ? *bytes / kLayerBytes : kLayers);
      if (compile_error_) return tl::unexpected<Error>(*compile_error_);
      return std::make_unique<OnDevice>(pages, rows, slots, compiled_.back(), fails_);
    };
    parts.program = std::make_unique<OnDevice>(pages, rows, slots, kLayers, fails_);
    parts.vocabulary = parts.output_width = kVocabulary;
    engine_ = Engine::FromParts(std::move(parts));
  }
  static GenerateRequest Request(int seed, int64_t max_tokens = 60) {
    GenerateRequest request;
    for (int i = 0; i < 5 + 9 * seed; ++i) request.prompt.push_back((i * seed + i) % kVocabulary);
    request.max_tokens = max_tokens;
    request.sampling.seed = seed;
    request.logprobs = 2;
    return request;
  }
  static std::vector<GenerateRequest> Requests() {
    std::vector<GenerateRequest> requests;
    for (int seed = 0; seed < 6; ++seed) requests.push_back(Request(seed));
    return requests;
  }

  std::function<std::optional<Error>(int64_t)> fails_ = [](int64_t) { return std::nullopt; };
  std::vector<int64_t> compiled_;  // layers of the programs after the first
  std::optional<Error> compile_error_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(RecoveryTest, AFullDeviceLowersItsShareAndNobodySeesIt) {
  Start();
  const std::vector<Outcome> expected = RunAll(engine_.get(), Requests());
  int passes = 0;
  fails_ = [&](int64_t layers) -> std::optional<Error> {
    if (++passes % 7 != 0 || layers == 0) return std::nullopt;
    return Error{ErrorCode::kResourceExhausted, "no memory"};
  };
  Start();
  const std::vector<Outcome> outcomes = RunAll(engine_.get(), Requests());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(SameOutput(outcomes[i], expected[i])) << i;
  EXPECT_EQ(compiled_, (std::vector<int64_t>{6, 4, 3, 2, 1, 0}));
  EXPECT_TRUE(engine_->failure().has_value());
}

TEST_P(RecoveryTest, ALostDeviceFailsThoseInThePassAndTheOthersGoOn) {
  int passes = 0;
  fails_ = [&](int64_t) -> std::optional<Error> {
    if (++passes != 5) return std::nullopt;
    return Error{ErrorCode::kUnavailable, "the device is lost"};
  };
  EngineOptions options;
  options.max_sequences = 2;
  Start(options);
  const std::vector<Outcome> outcomes = RunAll(engine_.get(), Requests());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (i < 2) {
      ASSERT_TRUE(outcomes[i].error);
      EXPECT_EQ(outcomes[i].error->message, "the device is lost");
    } else {
      EXPECT_EQ(outcomes[i].tokens.size(), 60u);
    }
  }
  EXPECT_EQ(compiled_, std::vector<int64_t>{8});
}

TEST_P(RecoveryTest, ADeviceThatNeverWorkedIsNotTriedAgain) {
  fails_ = [](int64_t layers) -> std::optional<Error> {
    if (layers == 0) return std::nullopt;
    return Error{ErrorCode::kUnavailable, "the device is lost"};
  };
  Start();
  EXPECT_TRUE(RunOne(engine_.get(), Request(1)).error);
  EXPECT_EQ(RunOne(engine_.get(), Request(1)).tokens.size(), 60u);
  EXPECT_EQ(compiled_, std::vector<int64_t>{0});
}

TEST_P(RecoveryTest, WithoutAnotherProgramItIsTheEnd) {
  fails_ = [](int64_t) { return Error{ErrorCode::kResourceExhausted, "no memory"}; };
  compile_error_ = Error{ErrorCode::kResourceExhausted, "none at all"};
  Start();
  auto stream = std::make_shared<TokenStream>();
  engine_->Submit(Request(1), stream);
  while (engine_->Step()) {
  }
  ASSERT_FALSE(engine_->failure().has_value());
  EXPECT_EQ(engine_->failure().error().message, "none at all");
  engine_->FailAll(engine_->failure().error());
  EXPECT_TRUE(Collect(stream.get()).error);
}

INSTANTIATE_TEST_SUITE_P(States, RecoveryTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "recurrent" : "attention"; });

}  // namespace
}  // namespace puna::engine
