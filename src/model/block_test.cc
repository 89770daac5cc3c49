// Feed-forwards, mixtures, and the blocks around layers, each by itself.
#include "tests/support/block_fixture.h"

namespace puna::model {
namespace {

TEST_F(BlockTest, PlainFeedForwardWithBiases) {
  feed_forward().gated = false;
  feed_forward().activation = Activation::kGeluTanh;
  Tensor("blk.0.ffn_up.weight", {kWidth, 12});
  Tensor("blk.0.ffn_up.bias", {12});
  Tensor("blk.0.ffn_down.weight", {12, kWidth});
  Tensor("blk.0.ffn_down.bias", {kWidth});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec hidden = Map(Plus(Product("blk.0.ffn_up.weight", x), Row("blk.0.ffn_up.bias")), Gelu);
    return Plus(Product("blk.0.ffn_down.weight", hidden), Row("blk.0.ffn_down.bias"));
  });
}

TEST_F(BlockTest, GatedFeedForward) {
  DenseTensors("", 12);
  Open();
  CheckFeedForward([&](const Vec& x) { return Dense(x); });
}

TEST_F(BlockTest, GatedFeedForwardWithBiasesAndANormInside) {
  DenseTensors("", 12);
  for (const char* name : {"blk.0.ffn_gate.bias", "blk.0.ffn_up.bias", "blk.0.ffn_sub_norm.weight"})
    Tensor(name, {12});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec gate = Plus(Product("blk.0.ffn_gate.weight", x), Row("blk.0.ffn_gate.bias"));
    const Vec up = Plus(Product("blk.0.ffn_up.weight", x), Row("blk.0.ffn_up.bias"));
    return Product("blk.0.ffn_down.weight",
                   Rms(Times(Map(gate, Silu), up), "blk.0.ffn_sub_norm.weight"));
  });
}

TEST_F(BlockTest, MixtureOfExperts) {
  Mixture();
  Open();
  CheckFeedForward([&](const Vec& x) { return Mix(x, x); });
}

TEST_F(BlockTest, MixtureBesideASharedExpertWithAGate) {
  Mixture().shared_hidden = 5;
  DenseTensors("_shexp", 5);
  Tensor("blk.0.ffn_gate_inp_shexp.weight", {kWidth});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec weights = Row("blk.0.ffn_gate_inp_shexp.weight");
    const double gate = std::inner_product(x.begin(), x.end(), weights.begin(), 0.0);
    return Plus(Mix(x, x), Dense(x, "_shexp"), 1 / (1 + std::exp(-gate)));
  });
}

// Sigmoids, chosen with a bias that does not count in the weights, from the better of two groups.
TEST_F(BlockTest, MixtureOfTheBestGroup) {
  MoeConfig& moe = Mixture();
  moe.score = RouterScore::kSigmoid;
  moe.normalize = false;
  moe.scale = 2.5;
  moe.groups = 2;
  moe.groups_used = 1;
  Tensor("blk.0.exp_probs_b.bias", {4});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec scores = Map(Product("blk.0.ffn_gate_inp.weight", x),
                           [](double v) { return 1 / (1 + std::exp(-v)); });
    const Vec biased = Plus(scores, Row("blk.0.exp_probs_b.bias"));
    const size_t first = biased[0] + biased[1] >= biased[2] + biased[3] ? 0 : 2;
    Vec sum(kWidth, 0);
    for (size_t e = first; e < first + 2; ++e)
      sum = Plus(sum, Dense(x, "_exps", static_cast<int64_t>(e)), 2.5 * scores[e]);
    return sum;
  });
}

TEST_F(BlockTest, MixtureThatWeighsWhatGoesIn) {
  Mixture().weigh_input = true;
  Open();
  CheckFeedForward([&](const Vec& x) {
    Vec sum(kWidth, 0);
    for (const auto& [expert, weight] : BestTwo(Product("blk.0.ffn_gate_inp.weight", x)))
      sum = Plus(sum, Dense(Scaled(x, weight), "_exps", expert));
    return sum;
  });
}

// gpt-oss: the softmax is over the chosen, gates and ups are clamped, everything has a bias.
TEST_F(BlockTest, MixtureWithClampedGatesAndBiases) {
  MoeConfig& moe = Mixture();
  moe.score = RouterScore::kSoftmaxOfSelected;
  moe.normalize = false;
  moe.limit = 0.05;
  feed_forward().alpha = 1.702;
  Tensor("blk.0.ffn_gate_inp.bias", {4});
  for (const char* name : {"blk.0.ffn_gate_exps.bias", "blk.0.ffn_up_exps.bias"})
    Tensor(name, {6, 4});
  Tensor("blk.0.ffn_down_exps.bias", {kWidth, 4});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec logits =
        Plus(Product("blk.0.ffn_gate_inp.weight", x), Row("blk.0.ffn_gate_inp.bias"));
    Vec sum(kWidth, 0);
    for (const auto& [expert, weight] : BestTwo(logits)) {
      const auto of = [&](const std::string& name, const Vec& in) {
        return Plus(Product(name + ".weight", in, expert), Row(name + ".bias", expert));
      };
      const Vec gate = of("blk.0.ffn_gate_exps", x), up = of("blk.0.ffn_up_exps", x);
      Vec hidden;
      for (size_t i = 0; i < gate.size(); ++i) {
        const double g = std::min(gate[i], 0.05), u = std::clamp(up[i], -0.05, 0.05);
        hidden.push_back(g / (1 + std::exp(-1.702 * g)) * (u + 1));
      }
      sum = Plus(sum, of("blk.0.ffn_down_exps", hidden), weight);
    }
    return sum;
  });
}

TEST_F(BlockTest, MixtureInANarrowSpace) {
  MoeConfig& moe = Mixture();
  moe.latent = 5;
  Tensor("blk.0.ffn_latent_down.weight", {kWidth, 5});
  Tensor("blk.0.ffn_latent_up.weight", {5, kWidth});
  Tensor("blk.0.ffn_gate_exps.weight", {5, 6, 4});
  Tensor("blk.0.ffn_up_exps.weight", {5, 6, 4});
  Tensor("blk.0.ffn_down_exps.weight", {6, 5, 4});
  Open();
  CheckFeedForward([&](const Vec& x) {
    const Vec narrow = Product("blk.0.ffn_latent_down.weight", x);
    Vec sum(5, 0);
    for (const auto& [expert, weight] : BestTwo(Product("blk.0.ffn_gate_inp.weight", x)))
      sum = Plus(sum, Dense(narrow, "_exps", expert), weight);
    return Product("blk.0.ffn_latent_up.weight", sum);
  });
}

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
