// However the tokens of a sequence are cut into passes, whoever else is in the batch, and whatever
// was computed and taken back in between, its outputs are the same.
#include <gtest/gtest.h>

#include "backend/backend.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"

namespace puna::testing {
namespace {

struct Case {
  const char* backend;
  double tolerance;  // NMSE between the ways
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.backend; }

class BatchTest : public ::testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<backend::Backend> backend_ =
      *backend::CreateBackend({.name = GetParam().backend});

  // Logits of `tokens` in passes of the given sizes, the last size repeated.
  std::vector<float> InChunks(const LoadedModel& model, std::span<const int32_t> tokens,
                              const std::vector<size_t>& sizes) {
    model::PagePool pool = model.NewPool();
    model::PageTable pages(&pool);
    Begin(model, &pages, tokens);
    std::vector<float> out;
    size_t next = 0;
    while (!tokens.empty()) {
      const size_t size = std::min(tokens.size(), sizes[std::min(next++, sizes.size() - 1)]);
      const Part part{&pages, tokens.first(size)};
      const std::vector<float> rows = RunPass(model, {&part, 1});
      out.insert(out.end(), rows.begin(), rows.end());
      tokens = tokens.subspan(size);
    }
    return out;
  }

  // The same in one pass between two others, one of which has a past already.
  std::vector<float> BetweenStrangers(const LoadedModel& model, const Oracle& oracle) {
    model::PagePool pool = model.NewPool();
    model::PageTable pages(&pool), before(&pool), after(&pool);
    std::vector<int32_t> reversed(oracle.tokens.rbegin(), oracle.tokens.rend());
    Begin(model, &pages, oracle.tokens);
    Begin(model, &before, std::span(reversed).first(23));
    Begin(model, &after, std::span(reversed).first(5));
    const Part past{&before, std::span(reversed).first(19)};
    RunPass(model, {&past, 1});
    const Part parts[] = {{&before, std::span(reversed).subspan(19, 3)},
                          {&pages, oracle.tokens},
                          {&after, std::span(reversed).first(17)}};
    const std::vector<float> all = RunPass(model, parts);
    const size_t width = static_cast<size_t>(model.plan->output.width);
    return {all.begin() + static_cast<ptrdiff_t>(3 * width),
            all.begin() + static_cast<ptrdiff_t>((3 + oracle.tokens.size()) * width)};
  }

  // A sequence that shares its first half with another one.
  std::vector<float> AfterFork(const LoadedModel& model, const Oracle& oracle, size_t shared) {
    model::PagePool pool = model.NewPool();
    model::PageTable first(&pool);
    const int64_t fork_at = Begin(model, &first, oracle.tokens) + static_cast<int64_t>(shared);
    first.KeepCheckpointAt(fork_at);
    std::vector<int32_t> other(oracle.tokens);
    std::reverse(other.begin() + static_cast<ptrdiff_t>(shared), other.end());
    const Part whole{&first, other};
    std::vector<float> out = RunPass(model, {&whole, 1});
    out.resize(shared * static_cast<size_t>(model.plan->output.width));
    model::PageTable fork = first.Fork(fork_at);
    EXPECT_EQ(fork.length(), fork_at) << oracle.name;
    const Part rest{&fork, std::span(oracle.tokens).subspan(shared)};
    const std::vector<float> rows = RunPass(model, {&rest, 1});
    out.insert(out.end(), rows.begin(), rows.end());
    return out;
  }

  // A sequence that guessed seven tokens wrongly from `right` on and takes them back: what the
  // speculation does. `kept`: it asked for a checkpoint before; then it is back at `right`, and
  // otherwise networks with states may be further back.
  std::vector<float> AfterRollback(const LoadedModel& model, const Oracle& oracle, size_t right,
                                   bool kept) {
    model::PagePool pool = model.NewPool();
    model::PageTable pages(&pool);
    const int64_t begin = Begin(model, &pages, oracle.tokens);
    const std::span<const int32_t> tokens = oracle.tokens;
    const size_t width = static_cast<size_t>(model.plan->output.width);
    std::vector<int32_t> guess(tokens.rbegin(), tokens.rbegin() + 7);
    const Part before{&pages, tokens.first(right)}, wrong{&pages, guess};
    std::vector<float> out = RunPass(model, {&before, 1});
    const int64_t at = begin + static_cast<int64_t>(right);
    if (kept) pages.KeepCheckpointAt(at);
    RunPass(model, {&wrong, 1});
    const auto back = static_cast<size_t>(pages.Truncate(at) - begin);
    if (kept || !model.has_states()) {
      EXPECT_EQ(back, right) << oracle.name;
    }
    out.resize(back * width);
    const Part rest{&pages, tokens.subspan(back)};
    const std::vector<float> rows = RunPass(model, {&rest, 1});
    out.insert(out.end(), rows.begin(), rows.end());
    return out;
  }

  void CheckFolder(const std::filesystem::path& folder) {
    const double tolerance = GetParam().tolerance;
    int checked = 0;
    for (const Oracle& oracle : LoadOracles(folder)) {
      const auto file = gguf::File::Open(oracle.gguf);
      ASSERT_TRUE(file.has_value()) << oracle.name << ": " << file.error().message;
      const auto config = model::ReadConfig(**file);
      if (!config || config->embeddings_only) continue;  // see CheckEmbeddings
      const auto model = LoadModel(oracle.gguf, backend_.get(), false, backend::KvType::kF32);
      ASSERT_TRUE(model.has_value()) << oracle.name << ": " << model.error().message;
      if (!model->cached()) continue;
      const std::vector<float> whole = InChunks(*model, oracle.tokens, {oracle.tokens.size()});
      EXPECT_LT(Nmse(BetweenStrangers(*model, oracle), whole), tolerance) << oracle.name;
      ++checked;
      // Where tokens see what comes after them, a part of the text is another text.
      if (!model->config.layers[0].attention.causal) continue;
      EXPECT_LT(Nmse(InChunks(*model, oracle.tokens, {1}), whole), tolerance) << oracle.name;
      EXPECT_LT(Nmse(InChunks(*model, oracle.tokens, {5, 17, 1, 11}), whole), tolerance)
          << oracle.name;
      EXPECT_LT(Nmse(AfterFork(*model, oracle, 21), whole), tolerance) << oracle.name;
      EXPECT_LT(Nmse(AfterRollback(*model, oracle, 27, true), whole), tolerance) << oracle.name;
      if (!model->has_states()) continue;
      EXPECT_LT(Nmse(AfterRollback(*model, oracle, 27, false), whole), tolerance) << oracle.name;
    }
    std::printf("  %d models\n", checked);
    EXPECT_GT(checked, 0);
  }

  // Models as they compute embeddings. Nothing is kept between passes then and a text is computed
  // in one piece, because most of them look ahead; so what can go wrong is the company.
  void CheckEmbeddings(const std::filesystem::path& folder) {
    int checked = 0;
    for (const Oracle& oracle : LoadOracles(folder)) {
      const auto model = LoadModel(oracle.gguf, backend_.get(), true, backend::KvType::kF32);
      ASSERT_TRUE(model.has_value()) << oracle.name << ": " << model.error().message;
      EXPECT_FALSE(model->cached()) << oracle.name;
      std::vector<int32_t> reversed(oracle.tokens.rbegin(), oracle.tokens.rend());
      const Part parts[] = {{nullptr, std::span(reversed).first(19)},
                            {nullptr, oracle.tokens},
                            {nullptr, std::span(reversed).subspan(3)}};
      const std::vector<float> alone = RunPass(*model, {&parts[1], 1}),
                               all = RunPass(*model, parts);
      const size_t before =
          (model->plan->pooled ? 1 : 19) * static_cast<size_t>(model->plan->output.width);
      EXPECT_TRUE(std::ranges::equal(std::span(all).subspan(before, alone.size()), alone))
          << oracle.name;
      ++checked;
    }
    std::printf("  %d models\n", checked);
    EXPECT_GT(checked, 0);
  }
};

TEST_P(BatchTest, Bundled) { CheckFolder(SourcePath("tests/data/oracles")); }

TEST_P(BatchTest, Architectures) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
  CheckFolder(folder);
}

TEST_P(BatchTest, Variants) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/variants");
  CheckFolder(folder);
}

TEST_P(BatchTest, Embeddings) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/embedding");
  CheckEmbeddings(folder);
  CheckFolder(folder);  // those that can generate, too
}

// Rows that nobody asked for change nothing in the ones that somebody did.
TEST_P(BatchTest, OnlyTheAskedRows) {
  for (const Oracle& oracle : LoadOracles(SourcePath("tests/data/oracles"))) {
    const auto model = LoadModel(oracle.gguf, backend_.get(), false, backend::KvType::kF32);
    if (!model) continue;
    const size_t width = static_cast<size_t>(model->plan->output.width);
    const std::vector<float> all = InChunks(*model, oracle.tokens, {oracle.tokens.size()});
    model::PagePool pool = model->NewPool();
    model::PageTable pages(&pool);
    const int64_t begin = Begin(*model, &pages, oracle.tokens);
    ASSERT_TRUE(pages.Grow(static_cast<int64_t>(oracle.tokens.size()), nullptr).has_value());
    const backend::Segment segment{.tokens = pages.length() - begin,
                                   .start_position = begin,
                                   .pages = pages.pages(),
                                   .state = pages.read_state(),
                                   .state_writes = pages.state_writes(),
                                   .encoded = pages.encoded()};
    const std::vector<int32_t> rows = {0, 7, 47};
    std::vector<float> out(rows.size() * width), expected;
    for (const int32_t row : rows) {
      const auto from = all.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(row) * width);
      expected.insert(expected.end(), from, from + static_cast<ptrdiff_t>(width));
    }
    model->program->Run({.tokens = oracle.tokens, .segments = {&segment, 1}, .output_rows = rows},
                        out);
    EXPECT_LT(Nmse(out, expected), GetParam().tolerance) << oracle.name;
    model->program->Run({.tokens = oracle.tokens, .segments = {&segment, 1}, .output_rows = {}},
                        {});
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, BatchTest,
                         ::testing::Values(Case{"reference", 1e-9}, Case{"cpu", 1e-9}),
                         [](const auto& info) { return std::string(info.param.backend); });

}  // namespace
}  // namespace puna::testing
