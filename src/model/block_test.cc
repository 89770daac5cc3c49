// Blocks by themselves: each is built over the embeddings of a text and compared, row by row and on
// both backends, with its formula written out.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "backend/backend.h"
#include "model/blocks.h"
#include "tests/support/tiny_model.h"

namespace puna::model {
namespace {

using testing::TinyModel;
using Vec = std::vector<double>;
using Block = std::function<View(PlanBuilder*, View)>;

constexpr int64_t kWidth = 8, kVocabulary = 10;
constexpr int kTokens = 7;

Vec Plus(Vec a, const Vec& b, double scale = 1) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += scale * b[i];
  return a;
}
Vec Times(Vec a, const Vec& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
  return a;
}
Vec Scaled(Vec a, double factor) {
  for (double& value : a) value *= factor;
  return a;
}
Vec Map(Vec a, double (*f)(double)) {
  for (double& value : a) value = f(value);
  return a;
}
double Length(const Vec& a) {
  return std::sqrt(std::inner_product(a.begin(), a.end(), a.begin(), 0.0));
}
double Silu(double x) { return x / (1 + std::exp(-x)); }
double Gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
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

TEST_F(BlockTest, FeedForwardWithXielu) {
  feed_forward().gated = false;
  feed_forward().xielu = XieluConfig{.alpha_n = 0.4, .alpha_p = 1.5, .beta = 0.5, .epsilon = -1e-6};
  Tensor("blk.0.ffn_up.weight", {kWidth, 12});
  Tensor("blk.0.ffn_down.weight", {12, kWidth});
  Open();
  CheckFeedForward([&](const Vec& x) {
    return Product(
        "blk.0.ffn_down.weight", Map(Product("blk.0.ffn_up.weight", x), [](double v) {
          const double n = 0.5 + std::log1p(std::exp(0.4)), p = std::log1p(std::exp(1.5));
          return (v > 0 ? p * v * v : n * (std::expm1(std::min(v, -1e-6)) - v)) + 0.5 * v;
        }));
  });
}

TEST_F(BlockTest, FeedForwardThatDividesWhatTheActivationGives) {
  feed_forward().gated = false;
  Tensor("blk.0.ffn_up.weight", {kWidth, 12});
  Tensor("blk.0.ffn_down.weight", {12, kWidth});
  Tensor("blk.0.ffn.act.scales", {12});
  Open();
  CheckFeedForward([&](const Vec& x) {
    Vec hidden = Map(Product("blk.0.ffn_up.weight", x), Silu);
    const Vec scales = Row("blk.0.ffn.act.scales");
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] /= scales[i];
    return Product("blk.0.ffn_down.weight", hidden);
  });
}

TEST_F(BlockTest, FeedForwardWithFewGatesOpen) {
  feed_forward().cut_deviations = 0.3;
  DenseTensors("", 12);
  Open();
  CheckFeedForward([&](const Vec& x) {
    Vec gate = Product("blk.0.ffn_gate.weight", x);
    const double mean = std::accumulate(gate.begin(), gate.end(), 0.0) / 12;
    double squares = 0;
    for (const double value : gate) squares += (value - mean) * (value - mean);
    const double cut = mean + 0.3 * std::sqrt(squares / 11);
    for (double& value : gate) value = Silu(std::max(0.0, value - cut));
    return Product("blk.0.ffn_down.weight", Times(gate, Product("blk.0.ffn_up.weight", x)));
  });
}

TEST_F(BlockTest, FeedForwardWithoutMatrices) {
  feed_forward().only_activation = true;
  Open();
  CheckFeedForward([](const Vec& x) { return Map(x, Silu); });
}

TEST_F(BlockTest, MixtureBesideTheActivationOfItsInput) {
  Mixture().shared_is_activation = true;
  Open();
  CheckFeedForward([&](const Vec& x) { return Plus(Mix(x, x), Map(x, Silu)); });
}

TEST_F(BlockTest, MixtureWithAFactorPerExpert) {
  Mixture();
  Tensor("blk.0.ffn_down_exps.scale", {4});
  Open();
  CheckFeedForward([&](const Vec& x) {
    Vec sum(kWidth, 0);
    const Vec scale = Row("blk.0.ffn_down_exps.scale");
    for (const auto& [expert, weight] : BestTwo(Product("blk.0.ffn_gate_inp.weight", x))) {
      sum = Plus(sum, Dense(x, "_exps", expert), weight * scale[static_cast<size_t>(expert)]);
    }
    return sum;
  });
}

TEST_F(BlockTest, MixtureWithExpertsThatGroupsShare) {
  Mixture().chunks = ChunkExpertsConfig{.group = 2, .hidden = 5, .scale = 0.7};
  DenseTensors("_chexps", 5, 2);
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec logits = Product("blk.0.ffn_gate_inp.weight", x), mixed = Mix(x, x);
    // A winner e stands for the expert e / 2, with that number's probability.
    double sum = 0;
    for (const auto& [winner, weight] : BestTwo(logits))
      sum += std::exp(logits[static_cast<size_t>(winner / 2)]);
    Vec out = mixed;
    for (const auto& [winner, weight] : BestTwo(logits)) {
      const double share = std::exp(logits[static_cast<size_t>(winner / 2)]) / sum;
      out = Plus(out, Dense(mixed, "_chexps", winner / 2), 0.7 * share);
    }
    return out;
  });
}

TEST_F(BlockTest, MixtureOfTheLayersInputBesideADenseBlock) {
  Mixture().form = MixtureForm::kOfLayerInput;
  DenseTensors("", 12);
  Tensor("blk.0.ffn_norm_exps.weight", {kWidth});
  Open();
  const Block block = [](PlanBuilder* plan, View x) {
    EarlyMixture(plan, 0, x);
    plan->Add(backend::ScaleOp{.inout = x, .scale = 2});  // what attention might have made of it
    return FeedForwardBlock(plan, 0, x, x);
  };
  Check(block, [&](const Vec& x) {
    const Vec normed = Rms(x, "blk.0.ffn_norm_exps.weight");
    return Plus(Dense(Scaled(x, 2)), Mix(normed, normed));
  });
}

TEST_F(BlockTest, MixtureAndDenseBlockWithNormsOfTheirOwn) {
  Mixture().form = MixtureForm::kOwnNorms;
  feed_forward().activation = Activation::kGeluTanh;
  DenseTensors("", 12);
  Tensor("blk.0.ffn_gate_inp.scale", {kWidth});
  for (const char* norm : {"post_ffw_norm_1", "pre_ffw_norm_2", "post_ffw_norm_2"})
    Tensor(fmt::format("blk.0.{}.weight", norm), {kWidth});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec router_in =
        Times(Scaled(Rms(x), 1 / std::sqrt(8.0)), Row("blk.0.ffn_gate_inp.scale"));
    const Vec mixed = Mix(router_in, Rms(x, "blk.0.pre_ffw_norm_2.weight"), Gelu);
    return Plus(Rms(Dense(x, "", 0, Gelu), "blk.0.post_ffw_norm_1.weight"),
                Rms(mixed, "blk.0.post_ffw_norm_2.weight"));
  });
}

class PerLayerTest : public BlockTest {
 protected:
  PerLayerTest() {
    config_.layers.resize(2, config_.layers[0]);
    config_.per_layer_width = 6;
    config_.embedding_scale = 3;
    Tensor("per_layer_token_embd.weight", {12, kVocabulary});
    Tensor("per_layer_model_proj.weight", {kWidth, 12});
    Tensor("per_layer_proj_norm.weight", {6});
    Tensor("blk.0.inp_gate.weight", {kWidth, 6});
    Tensor("blk.0.proj.weight", {6, kWidth});
    Tensor("blk.0.post_norm.weight", {kWidth});
  }
  // The first layer's embedding of a token with the (scaled) embedding x.
  Vec Own(int token, const Vec& x) {
    const Vec all = Scaled(Product("per_layer_model_proj.weight", x), 1 / std::sqrt(8.0));
    const Vec projected = Rms({all.begin(), all.begin() + 6}, "per_layer_proj_norm.weight");
    const Vec token_row = Row("per_layer_token_embd.weight", token);
    const Vec of_token = Scaled({token_row.begin(), token_row.begin() + 6}, std::sqrt(6.0));
    return Scaled(Plus(projected, of_token), std::sqrt(0.5));
  }
  Vec Delta(const Vec& x, const Vec& own) {
    const Vec gate = Times(Map(Product("blk.0.inp_gate.weight", x), Gelu), own);
    return Rms(Product("blk.0.proj.weight", gate), "blk.0.post_norm.weight");
  }
};

TEST_F(PerLayerTest, EmbeddingsOfALayersOwn) {
  Open();
  int token = 0;
  const Block block = [](PlanBuilder* plan, View x) {
    PerLayerEmbeddings(plan, x);
    return PerLayerEmbedding(plan, 0, x, false);
  };
  Check(block, [&](const Vec& x) {
    const Vec scaled = Scaled(x, 3);
    return Delta(scaled, Own(token++, scaled));
  });
}

// The first token sees only itself, so that what its attention gives is its own value.
class AltUpTest : public PerLayerTest {
 protected:
  AltUpTest() {
    config_.altup = AltUpConfig{.streams = 3, .active = 0, .laurel_rank = 2};
    config_.norms.attention_output = "post_attention_norm";
    config_.norms.feed_forward_output = "post_ffw_norm";
    Tensor("altup_proj.weight", {kWidth, kWidth, 2});
    Tensor("altup_unembd_proj.weight", {kWidth, kWidth, 2});
    Tensor("blk.0.altup_router.weight", {kWidth, 3});
    Tensor("blk.0.altup_predict_coef.weight", {3, 9});
    Tensor("blk.0.altup_correct_coef.weight", {3, 3});
    Tensor("blk.0.laurel_l.weight", {kWidth, 2});
    Tensor("blk.0.laurel_r.weight", {2, kWidth});
    for (const char* norm : {"attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm",
                             "laurel_post_norm", "altup_router_norm", "altup_correct_scale"})
      Tensor(fmt::format("blk.0.{}.weight", norm), {kWidth});
    for (const char* matrix : {"attn_q", "attn_k", "attn_v", "attn_output"})
      Tensor(fmt::format("blk.0.{}.weight", matrix), {kWidth, kWidth});
    DenseTensors("", 12);
  }

  Vec Normed(const Vec& x, const std::string& name) { return Rms(x, "blk.0." + name + ".weight"); }
  Vec Of(const std::string& name, const Vec& x) { return Product("blk.0." + name + ".weight", x); }
  Vec Modalities(const Vec& active) {
    return Map(Of("altup_router", Scaled(Normed(active, "altup_router_norm"), 1.0 / kWidth)),
               std::tanh);
  }
  Vec Activated(const Vec& active) {
    const Vec in = Normed(active, "attn_norm");
    const Vec laurel = Plus(in, Normed(Of("laurel_r", Of("laurel_l", in)), "laurel_post_norm"));
    const Vec seen = Normed(Of("attn_output", Of("attn_v", in)), "post_attention_norm");
    const Vec x = Scaled(Plus(Plus(seen, active), laurel), std::sqrt(0.5));
    return Plus(x, Normed(Dense(Normed(x, "ffn_norm")), "post_ffw_norm"));
  }
};

TEST_F(AltUpTest, StreamsArePredictedCorrectedAndJoined) {
  Open();
  const Vec x = Scaled(Embedding(0), 3);
  std::vector<Vec> streams = {x}, predicted;
  for (int64_t i = 0; i < 2; ++i) {
    const Vec other = Product("altup_proj.weight", x, i);
    streams.push_back(Scaled(other, Length(x) / Length(other)));
  }
  const Vec mix = Of("altup_predict_coef", Modalities(x));
  for (size_t j = 0; j < 3; ++j) {
    predicted.push_back(streams[j]);
    for (size_t i = 0; i < 3; ++i) predicted[j] = Plus(predicted[j], streams[i], mix[j * 3 + i]);
  }
  const Vec activated = Activated(predicted[0]);
  const Vec weights = Of("altup_correct_coef", Modalities(activated));
  for (size_t j = 0; j < 3; ++j)
    streams[j] = Plus(predicted[j], Plus(activated, predicted[0], -1), 1 + weights[j]);
  const Vec delta = Delta(Times(streams[0], Row("blk.0.altup_correct_scale.weight")), Own(0, x));
  Vec joined = streams[0];
  for (size_t j = 1; j < 3; ++j) {
    const Vec other =
        Product("altup_unembd_proj.weight", Plus(streams[j], delta), static_cast<int64_t>(j) - 1);
    joined = Plus(joined, other, Length(streams[0]) / Length(other));
  }
  joined = Scaled(joined, 1.0 / 3);

  const Block block = [](PlanBuilder* plan, View embedded) {
    PerLayerEmbeddings(plan, embedded);
    return JoinStreams(plan, AltUpLayer(plan, 0, SplitIntoStreams(plan, embedded)), false);
  };
  for (const char* name : {"reference", "cpu"}) {
    SCOPED_TRACE(name);
    const std::vector<Vec> rows = Run(name, true, block);
    ASSERT_FALSE(rows.empty());
    ExpectNear({rows[0]}, {joined}, 1e-5);
  }
}

// Attention of `heads` over all tokens, written out.
Vec Attend(const std::vector<std::vector<Vec>>& q, const std::vector<std::vector<Vec>>& k,
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

Vec Turned(Vec x, int64_t position, bool halves) {
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

Vec Cut(const Vec& x, size_t first, size_t count) {
  return {x.begin() + static_cast<ptrdiff_t>(first),
          x.begin() + static_cast<ptrdiff_t>(first + count)};
}

Vec Join(Vec a, const Vec& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Two heads: keys of 3 plain and 4 turned values, values of 5, from a latent of 6.
class LatentTest : public BlockTest {
 protected:
  LatentTest() {
    AttentionConfig& attention = config_.layers[0].attention;
    attention.k_size = 7;
    attention.v_size = 5;
    attention.latent = LatentConfig{.q_rank = 9, .kv_rank = 6};
    Tensor("blk.0.attn_q_a.weight", {kWidth, 9});
    Tensor("blk.0.attn_q_a_norm.weight", {9});
    Tensor("blk.0.attn_q_b.weight", {9, 14});
    Tensor("blk.0.attn_kv_a_mqa.weight", {kWidth, 10});
    Tensor("blk.0.attn_kv_a_norm.weight", {6});
  }

  Vec NarrowQuery(int token) {
    return Rms(Product("blk.0.attn_q_a.weight", Embedding(token)), "blk.0.attn_q_a_norm.weight");
  }
  // The rows that the block should give; `k` and `v` expand the latent for a head.
  std::vector<Vec> Expected(const std::function<Vec(size_t, const Vec&)>& k,
                            const std::function<Vec(size_t, const Vec&)>& v) {
    std::vector<std::vector<Vec>> q(kTokens), keys(kTokens), values(kTokens);
    for (int t = 0; t < kTokens; ++t) {
      const Vec query = Product("blk.0.attn_q_b.weight", NarrowQuery(t));
      const Vec both = Product("blk.0.attn_kv_a_mqa.weight", Embedding(t));
      const Vec latent = Rms(Cut(both, 0, 6), "blk.0.attn_kv_a_norm.weight");
      const Vec shared = Turned(Cut(both, 6, 4), t, false);
      const size_t row = static_cast<size_t>(t);
      for (size_t h = 0; h < 2; ++h) {
        q[row].push_back(Join(Cut(query, 7 * h, 3), Turned(Cut(query, 7 * h + 3, 4), t, false)));
        keys[row].push_back(Join(k(h, latent), shared));
        values[row].push_back(v(h, latent));
      }
    }
    std::vector<Vec> out;
    for (int t = 0; t < kTokens; ++t)
      out.push_back(Attend(q, keys, values, static_cast<size_t>(t), 1 / std::sqrt(7.0), Seen(t)));
    return out;
  }
  void CheckAbsorbed() {
    const std::vector<Vec> expected = Expected(
        [&](size_t h, const Vec& latent) {  // attn_k_b maps the plain part to the latent
          Vec key(3, 0);
          for (int64_t r = 0; r < 6; ++r)
            key = Plus(key, Row("blk.0.attn_k_b.weight", r, static_cast<int64_t>(h)),
                       latent[static_cast<size_t>(r)]);
          return key;
        },
        [&](size_t h, const Vec& latent) {
          return Product("blk.0.attn_v_b.weight", latent, static_cast<int64_t>(h));
        });
    CheckRows(expected);
  }
  void CheckRows(const std::vector<Vec>& expected) {
    const Block block = [](PlanBuilder* plan, View x) { return AttentionBlock(plan, 0, x); };
    for (const char* name : {"reference", "cpu"}) {
      for (const bool cached : {true, false}) {
        SCOPED_TRACE(fmt::format("{}, {}", name, cached));
        ExpectNear(Run(name, cached, block), expected, 2e-6);
      }
    }
  }
  // Which tokens `token` sees: all before it, or what the index chooses.
  std::vector<bool> Seen(int token) {
    std::vector<bool> seen(kTokens, true);
    if (!config_.layers[0].attention.indexer) return seen;
    const auto index = [&](int t, const Vec& x) {
      return Join(Turned(Cut(x, 0, 4), t, true), Cut(x, 4, x.size() - 4));
    };
    const Vec query = Product("blk.0.indexer.attn_q_b.weight", NarrowQuery(token));
    const Vec weights = Product("blk.0.indexer.proj.weight", Embedding(token));
    std::vector<std::pair<double, size_t>> order;
    for (int s = 0; s <= token; ++s) {
      Vec key = Product("blk.0.indexer.attn_k.weight", Embedding(s));
      const double mean = std::accumulate(key.begin(), key.end(), 0.0) / 6;
      for (double& value : key) value -= mean;
      key = Plus(Times(Rms6(key), Row("blk.0.indexer.k_norm.weight")),
                 Row("blk.0.indexer.k_norm.bias"));
      key = index(s, key);
      double score = 0;
      for (size_t h = 0; h < 3; ++h) {
        const Vec head = index(token, Cut(query, 6 * h, 6));
        score += weights[h] *
                 std::max(0.0, std::inner_product(head.begin(), head.end(), key.begin(), 0.0));
      }
      order.emplace_back(-score, static_cast<size_t>(s));
    }
    std::sort(order.begin(), order.end());
    seen.assign(kTokens, false);
    for (size_t i = 0; i < std::min<size_t>(2, order.size()); ++i) seen[order[i].second] = true;
    return seen;
  }
  static Vec Rms6(const Vec& x) {
    return Scaled(x, 1 / std::sqrt(std::pow(Length(x), 2) / 6 + 1e-6));
  }
};

TEST_F(LatentTest, MatricesAbsorbed) {
  Tensor("blk.0.attn_k_b.weight", {3, 6, 2});
  Tensor("blk.0.attn_v_b.weight", {6, 5, 2});
  Open();
  CheckAbsorbed();
}

TEST_F(LatentTest, KeysAndValuesExpanded) {
  Tensor("blk.0.attn_kv_b.weight", {6, 2 * (3 + 5)});
  Open();
  const auto both = [&](size_t h, const Vec& latent) {
    return Cut(Product("blk.0.attn_kv_b.weight", latent), 8 * h, 8);
  };
  CheckRows(Expected([&](size_t h, const Vec& latent) { return Cut(both(h, latent), 0, 3); },
                     [&](size_t h, const Vec& latent) { return Cut(both(h, latent), 3, 5); }));
}

TEST_F(LatentTest, TwoChosenKeys) {
  config_.layers[0].attention.indexer =
      IndexerConfig{.heads = 3, .size = 6, .used = 2, .rope = RopeKind::kHalves};
  Tensor("blk.0.attn_k_b.weight", {3, 6, 2});
  Tensor("blk.0.attn_v_b.weight", {6, 5, 2});
  Tensor("blk.0.indexer.attn_q_b.weight", {9, 18});
  Tensor("blk.0.indexer.attn_k.weight", {kWidth, 6});
  Tensor("blk.0.indexer.proj.weight", {kWidth, 3});
  Tensor("blk.0.indexer.k_norm.weight", {6});
  Tensor("blk.0.indexer.k_norm.bias", {6});
  Open();
  CheckAbsorbed();
}

// Values are the keys of before their norm, normed without a weight; the second layer has queries
// of its own for the keys and values of the first.
TEST_F(BlockTest, AttentionToTheKeysOfAnotherLayer) {
  AttentionConfig& first = config_.layers[0].attention;
  first.rope.enabled = false;
  first.v_from_k = first.plain_v_norm = first.plain_qk_norm = true;
  config_.layers.push_back(config_.layers[0]);
  config_.layers[1].attention.kv_layer = 0;
  for (const char* name : {"blk.0.attn_q", "blk.0.attn_k", "blk.1.attn_q"})
    Tensor(std::string(name) + ".weight", {kWidth, kWidth});
  Open();
  std::vector<std::vector<Vec>> q(kTokens), kv(kTokens);
  for (int t = 0; t < kTokens; ++t) {
    for (size_t h = 0; h < 2; ++h) {
      const size_t row = static_cast<size_t>(t);
      q[row].push_back(Rms(Cut(Product("blk.1.attn_q.weight", Embedding(t)), 4 * h, 4)));
      kv[row].push_back(Rms(Cut(Product("blk.0.attn_k.weight", Embedding(t)), 4 * h, 4)));
    }
  }
  std::vector<Vec> expected;
  for (size_t t = 0; t < kTokens; ++t)
    expected.push_back(Attend(q, kv, kv, t, 0.5, std::vector<bool>(kTokens, true)));
  const Block block = [](PlanBuilder* plan, View x) {
    AttentionBlock(plan, 0, x);
    return AttentionBlock(plan, 1, x);
  };
  for (const char* name : {"reference", "cpu"}) {
    for (const bool cached : {true, false}) {
      SCOPED_TRACE(fmt::format("{}, {}", name, cached));
      ExpectNear(Run(name, cached, block), expected, 2e-6);
    }
  }
}

TEST_F(BlockTest, ClassifierOfAPooledRow) {
  config_.pooling = Pooling::kRank;
  config_.classifier = {
      .row = Pooling::kMean, .activation = Activation::kGeluTanh, .softmax = true};
  Tensor("output_norm.weight", {kWidth});
  Tensor("cls.weight", {kWidth, 5});
  Tensor("cls.bias", {5});
  Tensor("cls.output.weight", {5, 3});
  Open();
  Vec mean(kWidth, 0);
  for (int token = 0; token < kTokens; ++token)
    mean = Plus(mean, Rms(Embedding(token), "output_norm.weight"), 1.0 / kTokens);
  Vec labels =
      Product("cls.output.weight", Map(Plus(Product("cls.weight", mean), Row("cls.bias")), Gelu));
  double sum = 0;
  for (double& label : labels) sum += label = std::exp(label);
  for (const char* name : {"reference", "cpu"}) {
    const Block block = [](PlanBuilder* plan, View x) {
      OutputBlock(plan, x);
      return x;
    };
    ExpectNear(Run(name, false, block, true), {Scaled(labels, 1 / sum)}, 2e-6);
  }
}

}  // namespace
}  // namespace puna::model
