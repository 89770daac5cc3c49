// For tests: plans that use every op, of many shapes, and the batches that are run through them.
#ifndef PUNA_BACKEND_CPU_TEST_NETWORKS_H_
#define PUNA_BACKEND_CPU_TEST_NETWORKS_H_

#include <cmath>
#include <memory>
#include <vector>

#include "backend/cpu/test_plans.h"

namespace puna::backend::cpu {

// Widths around the vector widths.
inline constexpr int64_t kWidths[] = {1, 3, 8, 15, 16, 17, 40, 100, 256};

// embed -> op -> output, with two random buffers x and y and somewhere to write.
template <typename MakeOp>
std::shared_ptr<const Plan> ElementPlan(int64_t width, MakeOp make_op) {
  PlanBuilder b(static_cast<uint32_t>(width));
  b.plan().vocabulary = 50;
  const View x = b.Buffer(width), y = b.Buffer(width), out = b.Buffer(width);
  b.Do(EmbedOp{b.Add(1, 50, width, 2.0f), x, 1.5f});
  b.Do(EmbedOp{b.Add(1, 50, width, 2.0f), y});
  make_op(&b, x, y, out);
  return b.Finish(out);
}

// The ops on rows of several streams, one after the other.
inline std::shared_ptr<const Plan> StreamPlan(int64_t width) {
  return ElementPlan(width, [&](PlanBuilder* b, View x, View y, View out) {
    const View three = b->Buffer(3 * width), weights = b->Buffer(6), two = b->Buffer(2 * width);
    b->Do(CopyHeadsOp{x, three, 3, width, 0, width});
    b->Do(XieluOp{{three.buffer, 0, width}, 0.8f, 1.1f, 0.5f, -1e-6f});
    if (width > 1) b->Do(CutBelowOp{{three.buffer, width, width}, 0.3f});
    b->Do(MatchLengthOp{three, y});
    b->Do(MatMulOp{y, weights, b->Matrix(6, width)});
    b->Do(SoftmaxOp{weights});
    b->Do(MixOp{three, weights, two, 3, 2});
    b->Do(GatedOp{Activation::kSilu, y, {two.buffer, 0, width}, out, 0.9f, 1, true});
    b->Do(ScaleOp{out, 0.7f, 0, 0, 0.1f, b->Vector(width)});
    b->Do(PositionScaleOp{out, 0.3f, 4, 2});
    b->Do(AddOp{out, {two.buffer, width, width}, out});
  });
}

struct Shape {
  int64_t width = 48, heads = 4, kv_heads = 2, k_size = 16, v_size = 16, hidden = 80, layers = 2;
  quant::TensorType type = quant::TensorType::kF32;
  bool qk_norm = false, biases = false, sinks = false, post_norm = false, tied = false,
       parallel = false;
  bool select_attended = false;  // rows are selected behind the attention of the last layer
  float softcap = 0, alibi = 0;
  int64_t window = 0;
  int64_t experts = 0, used = 2;
  bool shared_expert = false, weigh_input = false, experts_biased = false, gateless = false;
  float limit = 0;
};

inline void AddFeedForward(PlanBuilder* b, const Shape& s, View normed, View result) {
  const View gate = b->Buffer(s.hidden), up = b->Buffer(s.hidden);
  b->Do(MatMulOp{normed, gate, b->Matrix(s.hidden, s.width, s.type)});
  b->Do(MatMulOp{normed, up, b->Matrix(s.hidden, s.width, s.type)});
  b->Do(GatedOp{Activation::kSilu, gate, up, gate});
  b->Do(MatMulOp{gate, result, b->Matrix(s.width, s.hidden, s.type),
                 s.biases ? b->Vector(s.width) : kNoWeight});
}

inline void AddExperts(PlanBuilder* b, const Shape& s, View normed, View result) {
  const View logits = b->Buffer(s.experts);
  const float in = 1 / std::sqrt(static_cast<float>(s.width)),
              hidden = 1 / std::sqrt(static_cast<float>(s.hidden));
  b->plan().routes = 1;
  b->Do(MatMulOp{normed, logits, b->Matrix(s.experts, s.width)});
  RouteOp route{logits, 0, s.limit > 0 ? RouterScore::kSoftmaxOfSelected : RouterScore::kSigmoid,
                s.experts, s.used};
  route.normalize = true;
  route.scale = 1.3f;
  if (s.experts % 4 == 0 && s.used <= s.experts / 2) {
    route.groups = 4;
    route.groups_used = 2;
    route.selection_bias = b->Vector(s.experts);
  }
  b->Do(route);
  ExpertsOp op{normed, result, 0};
  if (!s.gateless) op.gate = b->Add(s.experts, s.hidden, s.width, in, 0, s.type);
  op.up = b->Add(s.experts, s.hidden, s.width, in, 0, s.type);
  op.down = b->Add(s.experts, s.width, s.hidden, hidden, 0, s.type);
  if (s.experts_biased) {
    if (!s.gateless) op.gate_bias = b->Add(s.experts, 1, s.hidden, 0.3f);
    op.up_bias = b->Add(s.experts, 1, s.hidden, 0.3f);
    op.down_bias = b->Add(s.experts, 1, s.width, 0.3f);
  }
  op.limit = s.limit;
  op.alpha = 1.702f;
  op.weigh_input = s.weigh_input;
  b->Do(op);
  if (!s.shared_expert) return;
  const View extra = b->Buffer(s.width);
  AddFeedForward(b, s, normed, extra);
  b->Do(AddOp{result, extra, result});
}

inline void AddLayer(PlanBuilder* b, const Shape& s, View h, int layer) {
  const bool select = s.select_attended && layer == s.layers - 1;
  const View normed = b->Buffer(s.width), result = b->Buffer(s.width);
  const View q = b->Buffer(s.heads * s.k_size), kv = b->Buffer(s.kv_heads * (s.k_size + s.v_size));
  const View attended = b->Buffer(s.heads * s.v_size);
  const View k{kv.buffer, 0, s.kv_heads * s.k_size}, v{kv.buffer, k.width, s.kv_heads * s.v_size};
  b->Do(NormOp{NormKind::kRms, h, normed, s.width, 1e-5f, b->Vector(s.width, 1)});
  b->Do(MatMulOp{normed, q, b->Matrix(q.width, s.width, s.type),
                 s.biases ? b->Vector(q.width) : kNoWeight});
  if (s.qk_norm) b->Do(NormOp{NormKind::kRms, q, q, s.k_size, 1e-5f, b->Vector(s.k_size, 1)});
  const std::vector<float> frequencies = b->Frequencies(s.k_size / 2);
  b->Do(RopeOp{RopeKind::kHalves, q, s.k_size, 0, frequencies});
  b->Do(MatMulOp{normed, k, b->Matrix(k.width, s.width, s.type),
                 s.biases ? b->Vector(k.width) : kNoWeight});
  if (s.qk_norm) b->Do(NormOp{NormKind::kRms, k, k, s.k_size, 1e-5f, b->Vector(s.k_size, 1)});
  b->Do(RopeOp{RopeKind::kHalves, k, s.k_size, 0, frequencies});
  b->Do(MatMulOp{normed, v, b->Matrix(v.width, s.width, s.type)});
  AttentionOp attention{q, k, v, attended, layer, s.heads, s.kv_heads, s.k_size, s.v_size};
  attention.scale = 1.5f / std::sqrt(static_cast<float>(s.k_size));
  attention.softcap = s.softcap;
  attention.window = layer % 2 == 0 ? s.window : 0;
  attention.alibi_max_bias = s.alibi;
  if (s.sinks) attention.sinks = b->Vector(s.heads, 1);
  b->plan().cache_layers.push_back({s.kv_heads, s.k_size, s.v_size, attention.window});
  b->Do(attention);
  if (select) {
    b->Do(SelectRowsOp{attended, attended});
    b->Do(SelectRowsOp{h, h});
  }
  b->Do(MatMulOp{attended, result, b->Matrix(s.width, attended.width, s.type)});
  if (s.post_norm)
    b->Do(NormOp{NormKind::kRms, result, result, s.width, 1e-5f, b->Vector(s.width, 1)});
  if (!s.parallel) {
    b->Do(AddOp{h, result, h});
    b->Do(NormOp{NormKind::kLayer, h, normed, s.width, 1e-5f, b->Vector(s.width, 1),
                 b->Vector(s.width)});
  }
  const View fed = b->Buffer(s.width);
  if (s.experts > 0) {
    AddExperts(b, s, normed, fed);
  } else {
    AddFeedForward(b, s, normed, fed);
  }
  if (s.parallel) b->Do(AddOp{h, result, h});
  b->Do(AddOp{h, fed, h, 0.8f});
}

inline std::shared_ptr<const Plan> Decoder(const Shape& s, uint32_t seed = 1) {
  PlanBuilder b(seed);
  const int64_t vocabulary = 77;
  b.plan().vocabulary = vocabulary;
  const View h = b.Buffer(s.width);
  const WeightId table = b.Add(1, vocabulary, s.width, 1.0f, 0, s.type);
  b.Do(EmbedOp{table, h, 1.1f});
  for (int layer = 0; layer < s.layers; ++layer) AddLayer(&b, s, h, layer);
  const View logits = b.Buffer(vocabulary);
  const View last = s.select_attended ? h : b.Buffer(s.width);
  if (!s.select_attended) b.Do(SelectRowsOp{h, last});
  b.Do(NormOp{NormKind::kRms, last, last, s.width, 1e-5f, b.Vector(s.width, 1)});
  b.Do(MatMulOp{last, logits, s.tied ? table : b.Matrix(vocabulary, s.width, s.type)});
  b.Do(ScaleOp{logits, 0.9f, 20.0f});
  return b.Finish(logits);
}

// A prompt, then generation of two sequences beside another's prompt.
inline const std::vector<std::vector<Piece>> kMixed = {{{0, 37}},
                                                       {{0, 1}},
                                                       {{1, 90}, {0, 1}},
                                                       {{0, 1}, {1, 1}},
                                                       {{2, 3}, {0, 1}, {1, 1}, {3, 70}},
                                                       {{0, 1}, {1, 17}, {2, 1}, {3, 1}}};

// A chosen few of the keys, chunks, a bias by distance, keys that hold the values, and products per
// head: with a cache and without.
struct LatentShape {
  int64_t heads = 5, rank = 32, rope = 8, v_size = 20;
  int64_t chunk = 0, used = 0;
  bool cached = true, bias = false, causal = true;
};

inline std::shared_ptr<const Plan> LatentPlan(const LatentShape& s) {
  PlanBuilder b(3);
  const int64_t key = s.rank + s.rope, heads = s.heads;
  b.plan().vocabulary = 50;
  const View h = b.Buffer(36), q = b.Buffer(heads * 24), wide = b.Buffer(heads * key);
  const View k = b.Buffer(key), seen = b.Buffer(heads * s.rank), out = b.Buffer(heads * s.v_size);
  b.Do(EmbedOp{b.Add(1, 50, 36, 1.0f), h});
  b.Do(MatMulOp{h, q, b.Matrix(heads * 24, 36)});
  b.Do(MatMulOp{h, k, b.Matrix(key, 36)});
  b.Do(HeadMatMulOp{{q.buffer, 0, (heads - 1) * 24 + 16},
                    {wide.buffer, 0, (heads - 1) * key + s.rank},
                    24,
                    key,
                    b.Add(heads, s.rank, 16, 0.2f)});
  b.Do(CopyHeadsOp{{q.buffer, 16, (heads - 1) * 24 + s.rope},
                   {wide.buffer, s.rank, (heads - 1) * key + s.rope},
                   heads,
                   s.rope,
                   24,
                   key});
  AttentionOp attention{wide, k, {}, seen, -1, heads, 1, key, s.rank, 0.3f};
  attention.v_in_k = true;
  attention.chunk = s.chunk;
  attention.causal = s.causal;
  if (s.bias) attention.position_bias = b.Add(1, 32, heads, 1.0f);
  if (s.used > 0) {
    const View index = b.Buffer(3 * 12), index_k = b.Buffer(12), weights = b.Buffer(3);
    b.Do(MatMulOp{h, index, b.Matrix(36, 36)});
    b.Do(MatMulOp{h, index_k, b.Matrix(12, 36)});
    b.Do(MatMulOp{h, weights, b.Matrix(3, 36)});
    IndexOp op{index, index_k, weights, -1, 3, 12, s.used, 0};
    if (s.cached) {
      op.cache = 0;
      b.plan().cache_layers.push_back({1, 12, 0, 0});
    }
    b.plan().selections = 1;
    b.Do(op);
    attention.selection = 0;
  }
  if (s.cached) {
    attention.cache = static_cast<int>(b.plan().cache_layers.size());
    b.plan().cache_layers.push_back({1, key, 0, 0});
  }
  b.Do(attention);
  b.Do(HeadMatMulOp{seen, out, s.rank, s.v_size, b.Add(heads, s.v_size, s.rank, 0.2f)});
  return b.Finish(out);
}

// An encoder: no cache, attention within the segment.
inline std::shared_ptr<const Plan> PooledPlan(bool causal, int64_t window, Pooling pooling) {
  PlanBuilder b(7);
  b.plan().vocabulary = 60;
  b.plan().pooled = true;
  b.plan().positions = 100;
  const View h = b.Buffer(36), q = b.Buffer(36), kv = b.Buffer(72), out = b.Buffer(36);
  b.Do(EmbedOp{b.Add(1, 60, 36, 1.0f), h});
  b.Do(AddRowOp{b.Add(1, 100, 36, 1.0f), h});
  b.Do(AddRowOp{b.Add(1, 2, 36, 1.0f), h, 1});
  b.Do(MatMulOp{h, q, b.Matrix(36, 36)});
  b.Do(MatMulOp{h, kv, b.Matrix(72, 36)});
  AttentionOp attention{q, {kv.buffer, 0, 36}, {kv.buffer, 36, 36}, h, -1, 3, 3, 12, 12, 0.4f};
  attention.causal = causal;
  attention.window = window;
  attention.alibi_max_bias = window > 0 ? 4 : 0;
  b.Do(attention);
  b.Do(PoolOp{pooling, h, out});
  b.Do(UnaryOp{Activation::kTanh, out, out});
  return b.Finish(out);
}

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_TEST_NETWORKS_H_
