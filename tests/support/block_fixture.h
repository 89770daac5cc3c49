// For tests of single blocks: a block is built over the embeddings of a text and compared, row by
// row and on both backends, with its formula written out.
#ifndef TESTS_SUPPORT_BLOCK_FIXTURE_H_
#define TESTS_SUPPORT_BLOCK_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "model/blocks.h"
#include "tests/support/tiny_model.h"

namespace puna::model {

using testing::TinyModel;
using Vec = std::vector<double>;
using Block = std::function<View(PlanBuilder*, View)>;

inline constexpr int64_t kWidth = 8, kVocabulary = 10;
inline constexpr int kTokens = 7;

inline Vec Plus(Vec a, const Vec& b, double scale = 1) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += scale * b[i];
  return a;
}
inline Vec Times(Vec a, const Vec& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
  return a;
}
inline Vec Scaled(Vec a, double factor) {
  for (double& value : a) value *= factor;
  return a;
}
inline Vec Map(Vec a, double (*f)(double)) {
  for (double& value : a) value = f(value);
  return a;
}
inline double Length(const Vec& a) {
  return std::sqrt(std::inner_product(a.begin(), a.end(), a.begin(), 0.0));
}
inline double Silu(double x) { return x / (1 + std::exp(-x)); }
inline double Gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

inline Vec Turned(Vec x, int64_t position, bool halves) {
  const size_t pairs = x.size() / 2;
  for (size_t i = 0; i < pairs; ++i) {
    const double angle =
        static_cast<double>(position) *
        std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(x.size()));
    double &a = x[halves ? i : 2 * i], &b = x[halves ? i + pairs : 2 * i + 1];
    const double turned = a * std::cos(angle) - b * std::sin(angle);
    b = a * std::sin(angle) + b * std::cos(angle);
    a = turned;
  }
  return x;
}

inline Vec Cut(const Vec& x, size_t first, size_t count) {
  return {x.begin() + static_cast<ptrdiff_t>(first),
          x.begin() + static_cast<ptrdiff_t>(first + count)};
}

inline Vec Join(Vec a, const Vec& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Attention of `heads` over all tokens, written out.
inline Vec Attend(const std::vector<std::vector<Vec>>& q, const std::vector<std::vector<Vec>>& k,
                  const std::vector<std::vector<Vec>>& v, size_t t, double scale,
                  const std::vector<bool>& seen) {
  Vec out;
  for (size_t h = 0; h < q[t].size(); ++h) {
    double sum = 0;
    Vec head(v[0][h].size(), 0);
    for (size_t s = 0; s <= t; ++s) {
      if (!seen[s]) continue;
      const double weight = std::exp(
          scale * std::inner_product(q[t][h].begin(), q[t][h].end(), k[s][h].begin(), 0.0));
      sum += weight;
      head = Plus(head, v[s][h], weight);
    }
    for (const double value : head) out.push_back(value / sum);
  }
  return out;
}

class BlockTest : public ::testing::Test {
 protected:
  BlockTest() {
    config_.architecture = "test";
    config_.vocabulary = kVocabulary;
    config_.context_length = 64;
    config_.width = kWidth;
    config_.layers.resize(1);
    AttentionConfig& attention = config_.layers[0].attention;
    attention.heads = attention.kv_heads = 2;
    attention.k_size = attention.v_size = 4;
    attention.rope.dimensions = 4;
    config_.layers[0].feed_forward.hidden = 12;
    Tensor("token_embd.weight", {kWidth, kVocabulary});
  }

  void Tensor(const std::string& name, std::vector<int64_t> dims) {
    model_.tensors[name] = {std::move(dims)};
  }
  FeedForwardConfig& feed_forward() { return config_.layers[0].feed_forward; }
  void Open() { file_ = *model_.Open(); }

  // Row `row` of expert `expert`.
  Vec Row(const std::string& name, int64_t row = 0, int64_t expert = 0) {
    const gguf::Tensor& tensor = *file_->FindTensor(name);
    const auto* values = reinterpret_cast<const float*>(tensor.data.data());
    values += (expert * tensor.dims[1] + row) * tensor.dims[0];
    return {values, values + tensor.dims[0]};
  }
  Vec Product(const std::string& name, const Vec& x, int64_t expert = 0) {
    Vec out;
    for (int64_t row = 0; row < file_->FindTensor(name)->dims[1]; ++row) {
      const Vec weights = Row(name, row, expert);
      out.push_back(std::inner_product(x.begin(), x.end(), weights.begin(), 0.0));
    }
    return out;
  }
  Vec Rms(const Vec& x, const std::string& name = "") {
    const double mean = std::pow(Length(x), 2) / static_cast<double>(x.size());
    const Vec normed = Scaled(x, 1 / std::sqrt(mean + config_.norm_epsilon));
    return name.empty() ? normed : Times(normed, Row(name));
  }
  Vec Embedding(int token) { return Row("token_embd.weight", token); }
  Vec Dense(const Vec& x, const std::string& suffix = "", int64_t expert = 0,
            double (*f)(double) = Silu) {
    const std::string end = suffix + ".weight";
    return Product("blk.0.ffn_down" + end,
                   Times(Map(Product("blk.0.ffn_gate" + end, x, expert), f),
                         Product("blk.0.ffn_up" + end, x, expert)),
                   expert);
  }
  // The best two experts by softmax of `logits`: (expert, weight), the weights of sum one.
  static std::vector<std::pair<int64_t, double>> BestTwo(const Vec& logits) {
    std::vector<std::pair<int64_t, double>> chosen;
    for (size_t i = 0; i < logits.size(); ++i)
      chosen.emplace_back(static_cast<int64_t>(i), std::exp(logits[i]));
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    chosen.resize(2);
    const double sum = chosen[0].second + chosen[1].second;
    for (auto& [expert, weight] : chosen) weight /= sum;
    return chosen;
  }

  // The block's rows for tokens 0, 1, ... of one sequence.
  std::vector<Vec> Run(const std::string& backend_name, bool cached, const Block& block,
                       bool pooled = false) {
    PlanOptions options;
    options.embeddings = !cached;
    PlanBuilder builder(config_, file_, options);
    const View out = block(&builder, EmbeddingBlock(&builder));
    EXPECT_TRUE(builder.ok()) << builder.status().error().message;
    if (!builder.ok()) return {};
    if (!pooled) builder.SetOutput(out, false);
    const auto plan = std::make_shared<backend::Plan>(builder.Take());
    const Status valid = backend::ValidatePlan(*plan);
    EXPECT_TRUE(valid.has_value()) << valid.error().message;
    if (!valid) return {};
    const auto backend = *backend::CreateBackend({.name = backend_name});
    const auto program = *backend->Compile(plan, {.kv_type = backend::KvType::kF32, .kv_pages = 4});
    std::vector<int32_t> tokens(kTokens);
    std::iota(tokens.begin(), tokens.end(), 0);
    const std::vector<int32_t> pages = {2};
    const backend::Segment segment{.tokens = kTokens, .pages = pages};
    const size_t rows = pooled ? 1 : tokens.size();
    std::vector<float> values(rows * static_cast<size_t>(plan->output.width));
    program->Run({.tokens = tokens, .segments = {&segment, 1}, .output_rows = tokens}, values);
    std::vector<Vec> result;
    for (auto at = values.begin(); at != values.end(); at += plan->output.width)
      result.emplace_back(at, at + plan->output.width);
    return result;
  }

  static void ExpectNear(const std::vector<Vec>& actual, const std::vector<Vec>& expected,
                         double tolerance) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t row = 0; row < actual.size(); ++row) {
      ASSERT_EQ(actual[row].size(), expected[row].size());
      for (size_t i = 0; i < actual[row].size(); ++i)
        EXPECT_NEAR(actual[row][i], expected[row][i], tolerance) << "row " << row << ", " << i;
    }
  }

  // Compares a block that looks at one row at a time with `formula` of its embedding.
  void Check(const Block& block, const std::function<Vec(const Vec&)>& formula) {
    std::vector<Vec> expected;
    for (int token = 0; token < kTokens; ++token) expected.push_back(formula(Embedding(token)));
    for (const char* name : {"reference", "cpu"}) {
      SCOPED_TRACE(name);
      ExpectNear(Run(name, true, block), expected, 2e-6);
    }
  }
  void CheckFeedForward(const std::function<Vec(const Vec&)>& formula) {
    Check(
        [](PlanBuilder* plan, View x) {
          const View in = plan->Scratch("normed", x.width);
          plan->Add(backend::AddOp{.a = x, .b = x, .out = in, .scale = 0});
          return FeedForwardBlock(plan, 0, x, in);
        },
        formula);
  }

  void DenseTensors(const std::string& suffix, int64_t hidden, int64_t experts = 0) {
    const auto dims = [experts](int64_t in, int64_t out) {
      return experts > 0 ? std::vector<int64_t>{in, out, experts} : std::vector<int64_t>{in, out};
    };
    Tensor("blk.0.ffn_gate" + suffix + ".weight", dims(kWidth, hidden));
    Tensor("blk.0.ffn_up" + suffix + ".weight", dims(kWidth, hidden));
    Tensor("blk.0.ffn_down" + suffix + ".weight", dims(hidden, kWidth));
  }
  MoeConfig& Mixture() {
    feed_forward().moe = MoeConfig{.experts = 4, .used = 2, .hidden = 6, .normalize = true};
    Tensor("blk.0.ffn_gate_inp.weight", {kWidth, 4});
    DenseTensors("_exps", 6, 4);
    return *feed_forward().moe;
  }
  Vec Mix(const Vec& router_in, const Vec& x, double (*f)(double) = Silu) {
    Vec sum(kWidth, 0);
    for (const auto& [expert, weight] : BestTwo(Product("blk.0.ffn_gate_inp.weight", router_in)))
      sum = Plus(sum, Dense(x, "_exps", expert, f), weight);
    return sum;
  }

  ModelConfig config_;
  TinyModel model_;
  std::shared_ptr<const gguf::File> file_;
};

}  // namespace puna::model

#endif  // TESTS_SUPPORT_BLOCK_FIXTURE_H_
