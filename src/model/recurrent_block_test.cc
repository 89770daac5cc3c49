// Each recurrent mixer alone, over random tensors, against a twin that is written down from its
// definition with one loop per formula.
#include "model/recurrent_block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"

namespace puna::model {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // [tokens][width]

constexpr int64_t kWidth = 12;
constexpr size_t kTokens = 9;
constexpr double kEpsilon = 1e-5;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Silu(double x) { return x * Sigmoid(x); }
double Softplus(double x) { return std::log1p(std::exp(x)); }

Row Part(const Row& row, int64_t first, int64_t count) {
  return {row.begin() + first, row.begin() + first + count};
}

Row Map(Row row, double (*f)(double)) {
  for (double& value : row) value = f(value);
  return row;
}

// x / rms(x) or x / |x| over runs of `group`, times a weight of the run's or the whole width.
Row Normed(Row row, size_t group, const std::vector<float>& weight, bool unit = false) {
  for (size_t begin = 0; begin < row.size(); begin += group) {
    double squares = 0;
    for (size_t i = begin; i < begin + group; ++i) squares += row[i] * row[i];
    const double divisor = unit ? std::max(std::sqrt(squares), kEpsilon)
                                : std::sqrt(squares / static_cast<double>(group) + kEpsilon);
    for (size_t i = begin; i < begin + group; ++i) {
      row[i] /= divisor;
      if (!weight.empty()) row[i] *= weight[i % weight.size()];
    }
  }
  return row;
}

class RecurrentBlock : public ::testing::Test {
 protected:
  // Forgets all tensors.
  void SetUpTensors() {
    tensors_.clear();
    dims_.clear();
  }
  // A tensor of the file, of random values around `mean`.
  void Tensor(const std::string& name, std::vector<int64_t> dims, double mean = 0) {
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    const double deviation = dims.size() > 1 ? 1 / std::sqrt(static_cast<double>(dims[0])) : 0.3;
    std::normal_distribution<float> distribution(static_cast<float>(mean),
                                                 static_cast<float>(deviation));
    std::vector<float>& values = tensors_[name];
    for (int64_t i = 0; i < count; ++i) values.push_back(distribution(random_));
    dims_[name] = std::move(dims);
  }
  const std::vector<float>& Values(const std::string& name) const {
    return tensors_.at("blk.0." + name);
  }
  void Layer(const std::string& name, std::vector<int64_t> dims, double mean = 0) {
    Tensor("blk.0." + name, std::move(dims), mean);
  }

  // matrix `name` (from value `first` on) times row, plus "<name>.bias" where it exists.
  Row Times(const std::string& name, const Row& row, int64_t out, int64_t first = 0) const {
    const std::vector<float>& weight = Values(name + ".weight");
    Row result(static_cast<size_t>(out), 0);
    for (size_t r = 0; r < result.size(); ++r) {
      for (size_t c = 0; c < row.size(); ++c)
        result[r] += row[c] * weight[static_cast<size_t>(first) + r * row.size() + c];
    }
    if (tensors_.contains("blk.0." + name + ".bias")) {
      for (size_t r = 0; r < result.size(); ++r) result[r] += Values(name + ".bias")[r];
    }
    return result;
  }
  // The causal convolution "<name>" of columns, then silu unless `plain`.
  Rows Convolved(const std::string& name, const Rows& in, size_t kernel, bool plain = false) const {
    const std::vector<float>& weight = Values(name + ".weight");
    Rows out = in;
    for (size_t t = 0; t < in.size(); ++t) {
      for (size_t c = 0; c < in[t].size(); ++c) {
        double sum = tensors_.contains("blk.0." + name + ".bias") ? Values(name + ".bias")[c] : 0;
        for (size_t j = 0; j < kernel; ++j) {
          if (t + j + 1 >= kernel) sum += weight[c * kernel + j] * in[t + j + 1 - kernel][c];
        }
        out[t][c] = plain ? sum : Silu(sum);
      }
    }
    return out;
  }

  Rows Inputs() {
    Tensor("token_embd.weight", {kWidth, kTokens});
    Rows rows;
    const std::vector<float>& values = tensors_.at("token_embd.weight");
    for (size_t t = 0; t < kTokens; ++t) {
      const auto from = values.begin() + static_cast<ptrdiff_t>(t * kWidth);
      rows.emplace_back(from, from + kWidth);
    }
    return rows;
  }

  // What the block makes of the inputs, against `expected`.
  template <typename Build>
  void Check(const Rows& expected, Build build) {
    const testing::TemporaryDirectory folder;
    gguf::Writer writer;
    writer.Set("general.architecture", std::string("none"));
    for (const auto& [name, values] : tensors_) {
      const std::span<const float> data = values;
      writer.AddTensor(name, quant::TensorType::kF32, dims_.at(name),
                       {reinterpret_cast<const uint8_t*>(data.data()), data.size_bytes()});
    }
    ASSERT_TRUE(writer.WriteFile(folder.path() / "block.gguf"));
    auto file = gguf::File::Open(folder.path() / "block.gguf");
    ASSERT_TRUE(file) << file.error().message;
    ModelConfig config;
    config.vocabulary = kTokens;
    config.width = kWidth;
    config.norm_epsilon = kEpsilon;
    config.layers.resize(1);
    const PlanOptions options;
    PlanBuilder builder(config, *file, options);
    const View in = builder.Scratch("in", kWidth);
    builder.Add(
        backend::EmbedOp{.table = builder.Matrix("token_embd.weight", kWidth, kTokens), .out = in});
    const View out = build(&builder, in);
    ASSERT_TRUE(builder.ok()) << builder.status().error().message;
    builder.SetOutput(out, false);
    const auto plan = std::make_shared<backend::Plan>(builder.Take());
    const Status valid = backend::ValidatePlan(*plan);
    ASSERT_TRUE(valid) << valid.error().message;

    const auto backend = *backend::CreateBackend({.name = "reference"});
    const auto program = *backend->Compile(plan, {.state_slots = 1});
    std::vector<int32_t> tokens;
    std::vector<float> want;
    for (size_t t = 0; t < kTokens; ++t) {
      tokens.push_back(static_cast<int32_t>(t));
      want.insert(want.end(), expected[t].begin(), expected[t].end());
    }
    std::vector<float> got(kTokens * static_cast<size_t>(out.width));
    const backend::Segment segment{.tokens = kTokens};
    program->Run({.tokens = tokens, .segments = {&segment, 1}, .output_rows = tokens}, got);
    EXPECT_LT(testing::Nmse(got, want), 1e-11);
  }

 private:
  std::mt19937 random_{3};
  std::map<std::string, std::vector<float>> tensors_;
  std::map<std::string, std::vector<int64_t>> dims_;
};

// One token of a head of a selective state space; `decay` one per state value or one for all.
Row ScanToken(Rows* state, const Row& x, double step, const Row& decay, const Row& b, const Row& c,
              double skip) {
  Row out;
  for (size_t p = 0; p < x.size(); ++p) {
    double sum = skip * x[p];
    for (size_t n = 0; n < b.size(); ++n) {
      double& value = (*state)[p][n];
      value = std::exp(step * decay[n % decay.size()]) * value + step * x[p] * b[n];
      sum += c[n] * value;
    }
    out.push_back(sum);
  }
  return out;
}

TEST_F(RecurrentBlock, MambaAsPublishedAsJambaAndAsPlamo) {
  for (const std::string kind : {"mamba", "jamba", "plamo"}) {
    const bool plamo = kind == "plamo";
    const int64_t inner = 24, heads = plamo ? 4 : inner, size = inner / heads, state = 5, rank = 3;
    const MambaConfig config{.inner = inner,
                             .heads = heads,
                             .kernel = 4,
                             .state = state,
                             .rank = rank,
                             .step_norms = plamo,
                             .plamo = plamo};
    SCOPED_TRACE(kind);
    SetUpTensors();
    const Rows in = Inputs();
    Layer("ssm_in.weight", {kWidth, 2 * inner});
    Layer("ssm_conv1d.weight", {4, inner});
    if (!plamo) Layer("ssm_conv1d.bias", {inner});
    Layer("ssm_x.weight", {inner, rank + 2 * state});
    Layer("ssm_dt.weight", {rank, heads});
    Layer("ssm_dt.bias", {heads});
    Layer("ssm_a", plamo ? std::vector<int64_t>{heads} : std::vector<int64_t>{state, heads}, -1);
    Layer("ssm_d", {heads});
    if (kind != "mamba") {
      Layer("ssm_dt_norm.weight", {rank}, 1);
      Layer("ssm_b_norm.weight", {state}, 1);
      Layer("ssm_c_norm.weight", {state}, 1);
    }
    Rows xs, zs;
    for (const Row& row : in) {
      const Row both = Times("ssm_in", row, 2 * inner);
      Row x = Part(both, 0, inner), z = Part(both, inner, inner);
      for (int64_t i = 0; plamo && i < inner; ++i) {
        z[static_cast<size_t>(i)] = both[static_cast<size_t>(i / size * 2 * size + i % size)];
        x[static_cast<size_t>(i)] =
            both[static_cast<size_t>(i / size * 2 * size + size + i % size)];
      }
      xs.push_back(x);
      zs.push_back(z);
    }
    xs = Convolved("ssm_conv1d", xs, 4);
    std::vector<Rows> states(static_cast<size_t>(heads),
                             Rows(static_cast<size_t>(size), Row(state, 0)));
    Rows expected;
    for (size_t t = 0; t < in.size(); ++t) {
      const Row small = Times("ssm_x", xs[t], rank + 2 * state);
      Row dt = Part(small, plamo ? 2 * state : 0, rank), b = Part(small, plamo ? 0 : rank, state),
          c = Part(small, plamo ? state : rank + state, state);
      if (kind != "mamba") {
        dt = Normed(dt, dt.size(), Values("ssm_dt_norm.weight"));
        b = Normed(b, b.size(), Values("ssm_b_norm.weight"));
        c = Normed(c, c.size(), Values("ssm_c_norm.weight"));
      }
      const Row steps = Map(Times("ssm_dt", dt, heads), Softplus);
      Row out;
      for (int64_t h = 0; h < heads; ++h) {
        const size_t head = static_cast<size_t>(h);
        const std::vector<float>& a = Values("ssm_a");
        const Row decay =
            plamo ? Row{a[head]} : Row(a.begin() + h * state, a.begin() + (h + 1) * state);
        const Row y = ScanToken(&states[head], Part(xs[t], h * size, size), steps[head], decay, b,
                                c, Values("ssm_d")[head]);
        out.insert(out.end(), y.begin(), y.end());
      }
      for (size_t i = 0; i < out.size(); ++i) out[i] *= Silu(zs[t][i]);
      expected.push_back(out);
    }
    Check(expected, [&](PlanBuilder* plan, View x) { return MambaBlock(plan, 0, config, x); });
  }
}

TEST_F(RecurrentBlock, Mamba2) {
  const int64_t inner = 24, heads = 6, groups = 2, state = 5, size = inner / heads;
  const int64_t shared = groups * state, mixed = inner + 2 * shared;
  const Mamba2Config config{
      .inner = inner, .heads = heads, .groups = groups, .kernel = 3, .state = state};
  const Rows in = Inputs();
  Layer("ssm_in.weight", {kWidth, inner + mixed + heads});
  Layer("ssm_conv1d.weight", {3, mixed});
  Layer("ssm_conv1d.bias", {mixed});
  Layer("ssm_dt.bias", {heads});
  Layer("ssm_a", {1, heads}, -1);
  Layer("ssm_d", {1, heads});
  Layer("ssm_norm.weight", {inner / groups, groups}, 1);
  Rows projected, xbc;
  for (const Row& row : in) {
    projected.push_back(Times("ssm_in", row, inner + mixed + heads));
    xbc.push_back(Part(projected.back(), inner, mixed));
  }
  xbc = Convolved("ssm_conv1d", xbc, 3);
  std::vector<Rows> states(heads, Rows(size, Row(state, 0)));
  Rows expected;
  for (size_t t = 0; t < in.size(); ++t) {
    Row out;
    for (int64_t h = 0; h < heads; ++h) {
      const size_t head = static_cast<size_t>(h);
      const int64_t group = h / (heads / groups);
      const double dt = projected[t][static_cast<size_t>(inner + mixed + h)];
      const Row y = ScanToken(
          &states[head], Part(xbc[t], h * size, size), Softplus(dt + Values("ssm_dt.bias")[head]),
          {Values("ssm_a")[head]}, Part(xbc[t], inner + group * state, state),
          Part(xbc[t], inner + shared + group * state, state), Values("ssm_d")[head]);
      out.insert(out.end(), y.begin(), y.end());
    }
    for (size_t i = 0; i < out.size(); ++i) out[i] *= Silu(projected[t][i]);
    expected.push_back(Normed(out, inner / groups, Values("ssm_norm.weight")));
  }
  Check(expected, [&](PlanBuilder* plan, View x) { return Mamba2Block(plan, 0, config, x); });
}

TEST_F(RecurrentBlock, ShortConvolution) {
  const Rows in = Inputs();
  Layer("shortconv.in_proj.weight", {kWidth, 3 * kWidth});
  Layer("shortconv.conv.weight", {3, kWidth});
  Rows products, gates;
  for (const Row& row : in) {
    const Row all = Times("shortconv.in_proj", row, 3 * kWidth);
    Row product = Part(all, 0, kWidth);
    for (size_t i = 0; i < product.size(); ++i) product[i] *= all[2 * kWidth + i];
    products.push_back(product);
    gates.push_back(Part(all, kWidth, kWidth));
  }
  Rows expected = Convolved("shortconv.conv", products, 3, /*plain=*/true);
  for (size_t t = 0; t < expected.size(); ++t) {
    for (size_t i = 0; i < expected[t].size(); ++i) expected[t][i] *= gates[t][i];
  }
  Check(expected, [&](PlanBuilder* plan, View x) {
    return ShortConvolutionBlock(plan, 0, {.kernel = 3}, x);
  });
}

// One token of a head of a delta net: S = diag(keep) S; S += k (beta (v - S^T k))^T; S^T q.
Row DeltaToken(Rows* state, const Row& q, const Row& k, const Row& v, const Row& keep,
               double beta) {
  Row out(v.size(), 0);
  for (size_t c = 0; c < v.size(); ++c) {
    double known = 0;
    for (size_t i = 0; i < k.size(); ++i) {
      (*state)[i][c] *= keep[i % keep.size()];
      known += k[i] * (*state)[i][c];
    }
    for (size_t i = 0; i < k.size(); ++i) {
      (*state)[i][c] += k[i] * beta * (v[c] - known);
      out[c] += q[i] * (*state)[i][c] / std::sqrt(static_cast<double>(k.size()));
    }
  }
  return out;
}

TEST_F(RecurrentBlock, GatedDeltaNetFusedOrNotTiledOrNot) {
  const int64_t heads = 4, k_heads = 2, size = 6, keys = k_heads * size, values = heads * size;
  for (const bool fused : {false, true}) {
    const bool tiled = !fused;
    SCOPED_TRACE(fused);
    SetUpTensors();
    const Rows in = Inputs();
    const int64_t group = values / k_heads, share = heads / k_heads;
    if (fused) {
      Layer("ssm_in.weight", {kWidth, 2 * keys + 2 * values});
      Layer("ssm_ba.weight", {kWidth, 2 * heads});
    } else {
      Layer("attn_qkv.weight", {kWidth, 2 * keys + values});
      Layer("attn_gate.weight", {kWidth, values});
      Layer("ssm_beta.weight", {kWidth, heads});
      Layer("ssm_alpha.weight", {kWidth, heads});
    }
    Layer("ssm_conv1d.weight", {4, 2 * keys + values});
    Layer("ssm_dt.bias", {heads});
    Layer("ssm_a", {heads}, -1);
    Layer("ssm_norm.weight", {size}, 1);
    Rows qkv, zs, betas, decays;
    for (const Row& row : in) {
      if (!fused) {
        qkv.push_back(Times("attn_qkv", row, 2 * keys + values));
        zs.push_back(Times("attn_gate", row, values));
        betas.push_back(Times("ssm_beta", row, heads));
        decays.push_back(Times("ssm_alpha", row, heads));
        continue;
      }
      const Row all = Times("ssm_in", row, 2 * keys + 2 * values);
      const Row rates = Times("ssm_ba", row, 2 * heads);
      Row parts[4], rate_parts[2];
      for (int64_t k = 0; k < k_heads; ++k) {
        const int64_t first = k * (2 * size + 2 * group);
        const int64_t begin[] = {0, size, 2 * size, 2 * size + group, 2 * size + 2 * group};
        for (int i = 0; i < 4; ++i) {
          const Row part = Part(all, first + begin[i], begin[i + 1] - begin[i]);
          parts[i].insert(parts[i].end(), part.begin(), part.end());
        }
        for (int i = 0; i < 2; ++i) {
          const Row part = Part(rates, k * 2 * share + i * share, share);
          rate_parts[i].insert(rate_parts[i].end(), part.begin(), part.end());
        }
      }
      qkv.push_back(parts[0]);
      for (int i : {1, 2}) qkv.back().insert(qkv.back().end(), parts[i].begin(), parts[i].end());
      zs.push_back(parts[3]);
      betas.push_back(rate_parts[0]);
      decays.push_back(rate_parts[1]);
    }
    qkv = Convolved("ssm_conv1d", qkv, 4);
    std::vector<Rows> states(heads, Rows(size, Row(size, 0)));
    Rows expected;
    for (size_t t = 0; t < in.size(); ++t) {
      Row out;
      for (int64_t h = 0; h < heads; ++h) {
        const size_t head = static_cast<size_t>(h);
        const int64_t key = tiled ? h % k_heads : h / share;
        const double step = Softplus(decays[t][head] + Values("ssm_dt.bias")[head]);
        const Row y =
            DeltaToken(&states[head], Normed(Part(qkv[t], key * size, size), size, {}, true),
                       Normed(Part(qkv[t], keys + key * size, size), size, {}, true),
                       Part(qkv[t], 2 * keys + h * size, size),
                       {std::exp(Values("ssm_a")[head] * step)}, Sigmoid(betas[t][head]));
        out.insert(out.end(), y.begin(), y.end());
      }
      out = Normed(out, size, Values("ssm_norm.weight"));
      for (size_t i = 0; i < out.size(); ++i) out[i] *= Silu(zs[t][i]);
      expected.push_back(out);
    }
    const DeltaNetConfig config{
        .heads = heads, .k_heads = k_heads, .size = size, .kernel = 4, .tiled = tiled};
    Check(expected, [&](PlanBuilder* plan, View x) { return DeltaNetBlock(plan, 0, config, x); });
  }
}

TEST_F(RecurrentBlock, KimiDeltaAttention) {
  const int64_t heads = 3, size = 4, width = heads * size;
  const Rows in = Inputs();
  std::map<std::string, Rows> qkv;
  for (const std::string part : {"q", "k", "v"}) {
    Layer("attn_" + part + ".weight", {kWidth, width});
    Layer("ssm_conv1d_" + part + ".weight", {4, 1, width});
    for (const Row& row : in) qkv[part].push_back(Times("attn_" + part, row, width));
    qkv[part] = Convolved("ssm_conv1d_" + part, qkv[part], 4);
  }
  for (const std::string gate : {"f", "g"}) {
    Layer("ssm_" + gate + "_a.weight", {kWidth, size});
    Layer("ssm_" + gate + "_b.weight", {size, width});
  }
  Layer("ssm_beta.weight", {kWidth, heads});
  Layer("ssm_dt.bias", {width});
  Layer("ssm_a", {1, heads}, -1);
  Layer("ssm_norm.weight", {size}, 1);
  std::vector<Rows> states(heads, Rows(size, Row(size, 0)));
  Rows expected;
  for (size_t t = 0; t < in.size(); ++t) {
    const Row decay = Times("ssm_f_b", Times("ssm_f_a", in[t], size), width);
    const Row beta = Times("ssm_beta", in[t], heads);
    Row out;
    for (int64_t h = 0; h < heads; ++h) {
      const size_t head = static_cast<size_t>(h);
      Row keep;
      for (int64_t i = h * size; i < (h + 1) * size; ++i) {
        const size_t at = static_cast<size_t>(i);
        keep.push_back(
            std::exp(Values("ssm_a")[head] * Softplus(decay[at] + Values("ssm_dt.bias")[at])));
      }
      const Row y =
          DeltaToken(&states[head], Normed(Part(qkv["q"][t], h * size, size), size, {}, true),
                     Normed(Part(qkv["k"][t], h * size, size), size, {}, true),
                     Part(qkv["v"][t], h * size, size), keep, Sigmoid(beta[head]));
      out.insert(out.end(), y.begin(), y.end());
    }
    out = Normed(out, size, Values("ssm_norm.weight"));
    const Row gate = Times("ssm_g_b", Times("ssm_g_a", in[t], size), width);
    for (size_t i = 0; i < out.size(); ++i) out[i] *= Sigmoid(gate[i]);
    expected.push_back(out);
  }
  const DeltaNetConfig config{
      .heads = heads, .k_heads = heads, .size = size, .kernel = 4, .decay_per_key = true};
  Check(expected, [&](PlanBuilder* plan, View x) { return DeltaNetBlock(plan, 0, config, x); });
}

// row + (before - row) * weight
Row Lerp(const Row& row, const Row& before, const Row& weight) {
  Row out = row;
  for (size_t i = 0; i < out.size(); ++i) out[i] += (before[i] - row[i]) * weight[i];
  return out;
}
Row AsRow(const std::vector<float>& values) { return {values.begin(), values.end()}; }

TEST_F(RecurrentBlock, RwkvTimeMix) {
  const int64_t size = 4, heads = kWidth / size, mix = 3, narrow = 5;
  const Rows in = Inputs();
  Layer("time_mix_lerp_x.weight", {kWidth});
  Layer("time_mix_w1.weight", {kWidth, 5 * mix});
  Layer("time_mix_w2.weight", {mix, kWidth, 5});
  Layer("time_mix_lerp_fused.weight", {kWidth, 1, 1, 5});
  for (const std::string name : {"key", "value", "receptance", "gate"})
    Layer("time_mix_" + name + ".weight", {kWidth, kWidth});
  Layer("time_mix_decay_w1.weight", {kWidth, narrow});
  Layer("time_mix_decay_w2.weight", {narrow, kWidth});
  Layer("time_mix_decay.weight", {kWidth});
  Layer("time_mix_first.weight", {size, heads});
  Layer("time_mix_ln.weight", {kWidth}, 1);
  Layer("time_mix_ln.bias", {kWidth});
  std::vector<Rows> states(heads, Rows(size, Row(size, 0)));
  Rows expected;
  Row before(kWidth, 0);
  for (const Row& row : in) {
    const Row mixed = Lerp(row, before, AsRow(Values("time_mix_lerp_x.weight")));
    const Row small = Map(Times("time_mix_w1", mixed, 5 * mix), std::tanh);
    Rows mixtures;  // w, k, v, r, g
    for (int64_t i = 0; i < 5; ++i) {
      Row weight = Times("time_mix_w2", Part(small, i * mix, mix), kWidth, i * mix * kWidth);
      for (size_t c = 0; c < weight.size(); ++c)
        weight[c] += Values("time_mix_lerp_fused.weight")[static_cast<size_t>(i) * kWidth + c];
      mixtures.push_back(Lerp(row, before, weight));
    }
    const Row decay =
        Times("time_mix_decay_w2", Map(Times("time_mix_decay_w1", mixtures[0], narrow), std::tanh),
              kWidth);
    const Row k = Times("time_mix_key", mixtures[1], kWidth);
    const Row v = Times("time_mix_value", mixtures[2], kWidth);
    const Row r = Times("time_mix_receptance", mixtures[3], kWidth);
    const Row gate = Map(Times("time_mix_gate", mixtures[4], kWidth), Silu);
    Row out(kWidth, 0);
    for (size_t c = 0; c < kWidth; ++c) {
      const size_t head = c / size;
      for (size_t i = 0; i < size; ++i) {
        const size_t at = head * size + i;
        double& state = states[head][i][c % size];
        out[c] += r[at] * (state + Values("time_mix_first.weight")[at] * k[at] * v[c]);
        const double keep = std::exp(-std::exp(decay[at] + Values("time_mix_decay.weight")[at]));
        state = keep * state + k[at] * v[c];
      }
    }
    for (size_t begin = 0; begin < kWidth; begin += size) {
      double mean = 0, variance = 0;
      for (size_t i = begin; i < begin + size; ++i) mean += out[i] / size;
      for (size_t i = begin; i < begin + size; ++i)
        variance += (out[i] - mean) * (out[i] - mean) / size;
      for (size_t i = begin; i < begin + size; ++i) {
        out[i] = (out[i] - mean) / std::sqrt(variance + 64e-5);
        out[i] =
            (out[i] * Values("time_mix_ln.weight")[i] + Values("time_mix_ln.bias")[i]) * gate[i];
      }
    }
    expected.push_back(out);
    before = row;
  }
  const RwkvConfig config{.head_size = size, .mix_rank = mix, .decay_rank = narrow};
  Check(expected, [&](PlanBuilder* plan, View x) { return TimeMix(plan, 0, config, x); });
}

TEST_F(RecurrentBlock, RwkvChannelMix) {
  const int64_t hidden = 20;
  const Rows in = Inputs();
  Layer("channel_mix_lerp_k.weight", {kWidth});
  Layer("channel_mix_lerp_r.weight", {kWidth});
  Layer("channel_mix_key.weight", {kWidth, hidden});
  Layer("channel_mix_value.weight", {hidden, kWidth});
  Layer("channel_mix_receptance.weight", {kWidth, kWidth});
  Rows expected;
  Row before(kWidth, 0);
  for (const Row& row : in) {
    Row wide = Times("channel_mix_key",
                     Lerp(row, before, AsRow(Values("channel_mix_lerp_k.weight"))), hidden);
    for (double& value : wide) value = value > 0 ? value * value : 0;
    Row out = Times("channel_mix_value", wide, kWidth);
    const Row gate = Times("channel_mix_receptance",
                           Lerp(row, before, AsRow(Values("channel_mix_lerp_r.weight"))), kWidth);
    for (size_t i = 0; i < out.size(); ++i) out[i] *= Sigmoid(gate[i]);
    expected.push_back(out);
    before = row;
  }
  FeedForwardConfig config;
  config.hidden = hidden;
  Check(expected, [&](PlanBuilder* plan, View x) {
    const View out = plan->Scratch("out", kWidth);
    ChannelMix(plan, 0, config, x, out);
    return out;
  });
}

}  // namespace
}  // namespace puna::model
