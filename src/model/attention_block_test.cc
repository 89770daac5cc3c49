// Attention by itself: over keys and values per head, with every option that changes what a head
// sees or how it weighs it, and over one latent for all heads.
#include "tests/support/block_fixture.h"

namespace puna::model {
namespace {

// Four heads that share two of keys and values. The twin reads the same config.
class AttentionTest : public BlockTest {
 protected:
  AttentionTest() {
    attention().heads = 4;
    attention().kv_heads = 2;
    attention().rope.kind = RopeKind::kHalves;
    Tensor("blk.0.attn_q.weight", {kWidth, 16});
    Tensor("blk.0.attn_k.weight", {kWidth, 8});
    Tensor("blk.0.attn_v.weight", {kWidth, 8});
  }
  AttentionConfig& attention() { return config_.layers[0].attention; }
  bool Has(const std::string& name) { return file_->FindTensor(name) != nullptr; }

  // `count` values of queries, keys or values; fused they begin at `first`.
  Vec Projected(const std::string& name, const Vec& x, size_t first, size_t count) {
    if (Has("blk.0.attn_qkv.weight")) {
      return Plus(Cut(Product("blk.0.attn_qkv.weight", x), first, count),
                  Cut(Row("blk.0.attn_qkv.bias"), first, count));
    }
    const Vec out = Product("blk.0." + name + ".weight", x);
    return Has("blk.0." + name + ".bias") ? Plus(out, Row("blk.0." + name + ".bias")) : out;
  }
  Vec HeadOf(const std::string& norm, const Vec& all, size_t head, int64_t position) {
    Vec values = Cut(all, 4 * head, 4);
    if (Has(norm)) values = Rms(values, norm);
    return attention().rope.enabled
               ? Turned(values, position, attention().rope.kind == RopeKind::kHalves)
               : values;
  }
  bool Sees(int t, int s) {
    const int64_t window = attention().window, chunk = attention().chunk;
    if (!attention().causal) return window == 0 || std::abs(t - s) <= window / 2;
    return s <= t && (window == 0 || s > t - window) && (chunk == 0 || s >= t / chunk * chunk);
  }
  double Score(const Vec& q, const Vec& k, int64_t distance, size_t head) {
    double score = 0.5 * std::inner_product(q.begin(), q.end(), k.begin(), 0.0);
    const double cap = attention().softcap, bias = attention().alibi_max_bias;
    if (cap > 0) score = cap * std::tanh(score / cap);
    return score - (bias > 0 ? std::exp2(-bias * static_cast<double>(head + 1) / 4) : 0) *
                       static_cast<double>(std::abs(distance));
  }
  Vec Expected(int t) {
    const Vec queries = Projected("attn_q", Embedding(t), 0, 16);
    Vec out;
    for (size_t h = 0; h < 4; ++h) {
      const Vec q = HeadOf("blk.0.attn_q_norm.weight", queries, h, t);
      double sum = Has("blk.0.attn_sinks.weight") ? std::exp(Row("blk.0.attn_sinks.weight")[h]) : 0;
      Vec head(4, 0);
      for (int s = 0; s < kTokens; ++s) {
        if (!Sees(t, s)) continue;
        const Vec x = Embedding(s);
        const Vec k = HeadOf("blk.0.attn_k_norm.weight", Projected("attn_k", x, 16, 8), h / 2, s);
        const double weight = std::exp(Score(q, k, t - s, h));
        sum += weight;
        head = Plus(head, Cut(Projected("attn_v", x, 24, 8), 4 * (h / 2), 4), weight);
      }
      out = Join(out, Scaled(head, 1 / sum));
    }
    return out;
  }
  void CheckAttention(
      const std::function<Vec(int, const Vec&)>& after = nullptr,
      const Block& block = [](PlanBuilder* plan, View x) { return AttentionBlock(plan, 0, x); }) {
    Open();
    std::vector<Vec> expected;
    for (int t = 0; t < kTokens; ++t)
      expected.push_back(after ? after(t, Expected(t)) : Expected(t));
    for (const char* name : {"reference", "cpu"}) {
      for (const bool cached : {true, false}) {
        SCOPED_TRACE(fmt::format("{}, {}", name, cached));
        ExpectNear(Run(name, cached, block), expected, 4e-6);
      }
    }
  }
};

TEST_F(AttentionTest, HeadsShareKeys) { CheckAttention(); }

TEST_F(AttentionTest, TurnsPairsSideBySide) {
  attention().rope.kind = RopeKind::kInterleaved;
  CheckAttention();
}

TEST_F(AttentionTest, BiasesOfTheProjections) {
  Tensor("blk.0.attn_q.bias", {16});
  Tensor("blk.0.attn_k.bias", {8});
  Tensor("blk.0.attn_v.bias", {8});
  CheckAttention();
}

TEST_F(AttentionTest, FusedProjectionWithBias) {
  Tensor("blk.0.attn_qkv.weight", {kWidth, 32});
  Tensor("blk.0.attn_qkv.bias", {32});
  CheckAttention();
}

TEST_F(AttentionTest, NormsOfHeads) {
  Tensor("blk.0.attn_q_norm.weight", {4});
  Tensor("blk.0.attn_k_norm.weight", {4});
  attention().qk_norm = true;
  CheckAttention();
}

TEST_F(AttentionTest, Window) {
  attention().window = 3;
  CheckAttention();
}

TEST_F(AttentionTest, Chunk) {
  attention().chunk = 3;
  CheckAttention();
}

TEST_F(AttentionTest, BothSides) {
  attention().causal = false;
  CheckAttention();
}

TEST_F(AttentionTest, BothSidesOfAWindow) {
  attention().causal = false;
  attention().window = 4;
  CheckAttention();
}

TEST_F(AttentionTest, SoftCap) {
  attention().softcap = 0.1;
  CheckAttention();
}

TEST_F(AttentionTest, LinearBiasesInsteadOfRope) {
  attention().rope.enabled = false;
  attention().alibi_max_bias = 8;
  CheckAttention();
}

TEST_F(AttentionTest, Sinks) {
  attention().sinks = true;
  Tensor("blk.0.attn_sinks.weight", {4});
  CheckAttention();
}

TEST_F(AttentionTest, GateOfEveryValueAndOfEveryHead) {
  attention().output_gate = Activation::kSigmoid;
  for (const int64_t gates : {16, 4}) {
    Tensor("blk.0.attn_gate.weight", {kWidth, gates});
    CheckAttention([&](int t, Vec seen) {
      const Vec gate = Product("blk.0.attn_gate.weight", Embedding(t));
      for (size_t i = 0; i < seen.size(); ++i)
        seen[i] /= 1 + std::exp(-gate[gates == 16 ? i : i / 4]);
      return seen;
    });
  }
}

TEST_F(AttentionTest, OutputProjectionWithNormAndBias) {
  Tensor("blk.0.attn_sub_norm.weight", {16});
  Tensor("blk.0.attn_output.weight", {16, kWidth});
  Tensor("blk.0.attn_output.bias", {kWidth});
  CheckAttention(
      [&](int, const Vec& seen) {
        return Plus(Product("blk.0.attn_output.weight", Rms(seen, "blk.0.attn_sub_norm.weight")),
                    Row("blk.0.attn_output.bias"));
      },
      [](PlanBuilder* plan, View x) {
        return AttentionOutput(plan, 0, AttentionBlock(plan, 0, x));
      });
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

}  // namespace
}  // namespace puna::model
