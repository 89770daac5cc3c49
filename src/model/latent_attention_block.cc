// Multi-head latent attention (DeepSeek-V2, 2024). A token's keys and values of all heads are made
// of one narrow latent; beside it stands one rotated key that all heads share.
//
// Files come in two forms. With attn_k_b and attn_v_b the expansion of the latent is absorbed: into
// the queries in front of the attention and into what the heads saw behind it, so that the cache
// holds nothing but the latent and the rotated key, and all heads read the same. Older files have
// both matrices as rows of attn_kv_b: keys and values are expanded and cached as in any attention.
#include <cmath>

#include "model/blocks.h"

namespace puna::model {
namespace {

View Part(View view, int64_t first, int64_t width) {
  return {view.buffer, view.offset + first, width};
}

// The shape of a layer, and where its parts lie.
struct Latent {
  const AttentionConfig& attention;
  int64_t heads, rope, plain;  // plain: the part of a key that is not rotated
  int64_t rank;
};

Latent Shape(const AttentionConfig& attention) {
  const int64_t rope = attention.rope.dimensions;
  return {attention, attention.heads, rope, attention.k_size - rope, attention.latent->kv_rank};
}

View Queries(PlanBuilder* plan, int64_t layer, const Latent& latent, View in) {
  const View q = plan->Scratch("latent_q", latent.heads * latent.attention.k_size);
  const int64_t rank = latent.attention.latent->q_rank;
  if (rank == 0) {
    plan->Linear(plan->Name(layer, "attn_q"), in, q);
    return q;
  }
  const View narrow = plan->Scratch("q_narrow", rank);
  plan->Linear(plan->Name(layer, "attn_q_a"), in, narrow);
  plan->Norm(plan->Name(layer, "attn_q_a_norm"), narrow, narrow);
  plan->Linear(plan->Name(layer, "attn_q_b"), narrow, q);
  return q;
}

// Chooses the keys that the layer's tokens may see, from the input and the narrow queries. That
// llama.cpp turns both sides by a Hadamard matrix changes no product, and that it scales the
// weights no order.
void ChooseKeys(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, View in) {
  const IndexerConfig& indexer = *attention.indexer;
  const View q = plan->Scratch("index_q", indexer.heads * indexer.size);
  const View k = plan->Scratch("index_k", indexer.size);
  const View weights = plan->Scratch("index_weights", indexer.heads);
  plan->Linear(plan->Name(layer, "indexer.attn_q_b"),
               plan->Scratch("q_narrow", attention.latent->q_rank), q);
  plan->Linear(plan->Name(layer, "indexer.attn_k"), in, k);
  plan->Linear(plan->Name(layer, "indexer.proj"), in, weights);
  plan->Add(backend::NormOp{
      .kind = NormKind::kLayer,
      .in = k,
      .out = k,
      .group = k.width,
      .epsilon = static_cast<float>(indexer.norm_epsilon),
      .weight = plan->Vector(plan->Name(layer, "indexer.k_norm.weight"), k.width),
      .bias = plan->OptionalVector(plan->Name(layer, "indexer.k_norm.bias"), k.width)});
  RopeConfig rope = attention.rope;
  rope.kind = indexer.rope;
  Rotate(plan, rope, {q, k}, indexer.size, 0);
  backend::IndexOp op{.q = q, .k = k, .weights = weights};
  op.heads = indexer.heads;
  op.size = indexer.size;
  op.used = indexer.used;
  if (plan->UsesCache()) op.cache = plan->AddCacheLayer({.kv_heads = 1, .k_size = indexer.size});
  plan->UseSelections(1);
  plan->Add(op);
}

backend::AttentionOp Attend(const Latent& latent, double scale) {
  backend::AttentionOp op;
  op.heads = latent.heads;
  op.scale = static_cast<float>(scale);
  op.causal = latent.attention.causal;
  op.window = latent.attention.window;
  if (latent.attention.indexer) op.selection = 0;
  return op;
}

// The matrices absorbed: [heads * (rank + rope)] queries against one [rank + rope] key.
View AttendToLatent(PlanBuilder* plan, int64_t layer, const Latent& latent, View q, View keys,
                    double scale) {
  const int64_t heads = latent.heads, rank = latent.rank, key = rank + latent.rope;
  const int64_t k_size = latent.attention.k_size, v_size = latent.attention.v_size;
  const View wide = plan->Scratch("absorbed_q", heads * key);
  const RowSlice rank_rows{.count = rank, .total = rank};
  plan->Add(backend::HeadMatMulOp{.in = Part(q, 0, (heads - 1) * k_size + latent.plain),
                                  .out = Part(wide, 0, (heads - 1) * key + rank),
                                  .in_stride = k_size,
                                  .out_stride = key,
                                  .weight = plan->Experts(plan->Name(layer, "attn_k_b.weight"),
                                                          latent.plain, rank_rows, heads)});
  plan->Add(backend::CopyHeadsOp{.in = Part(q, latent.plain, (heads - 1) * k_size + latent.rope),
                                 .out = Part(wide, rank, (heads - 1) * key + latent.rope),
                                 .heads = heads,
                                 .size = latent.rope,
                                 .in_stride = k_size,
                                 .out_stride = key});
  ScaleByPosition(plan, latent.attention, wide);

  backend::AttentionOp op = Attend(latent, scale);
  op.q = wide;
  op.k = keys;
  op.v_in_k = true;
  op.kv_heads = 1;
  op.k_size = key;
  op.v_size = rank;
  op.out = plan->Scratch("attended_latent", heads * rank);
  if (plan->UsesCache()) {
    op.cache = plan->AddCacheLayer({.kv_heads = 1, .k_size = key, .window = op.window});
  }
  plan->Add(op);

  const View out = plan->Scratch("attended", heads * v_size);
  const RowSlice v_rows{.count = v_size, .total = v_size};
  plan->Add(backend::HeadMatMulOp{
      .in = op.out,
      .out = out,
      .in_stride = rank,
      .out_stride = v_size,
      .weight = plan->Experts(plan->Name(layer, "attn_v_b.weight"), rank, v_rows, heads)});
  return out;
}

// Keys and values of every head, expanded from the latent.
View AttendToHeads(PlanBuilder* plan, int64_t layer, const Latent& latent, View q, View keys,
                   double scale) {
  const int64_t heads = latent.heads, plain = latent.plain;
  const int64_t k_size = latent.attention.k_size, v_size = latent.attention.v_size;
  const int64_t both = plain + v_size;
  const View kv = plan->Scratch("expanded_kv", heads * both);
  plan->Linear(plan->Name(layer, "attn_kv_b"), Part(keys, 0, latent.rank), kv);
  const View k = plan->Scratch("expanded_k", heads * k_size);
  const View v = plan->Scratch("expanded_v", heads * v_size);
  if (plain > 0) {
    plan->Add(backend::CopyHeadsOp{.in = Part(kv, 0, (heads - 1) * both + plain),
                                   .out = Part(k, 0, (heads - 1) * k_size + plain),
                                   .heads = heads,
                                   .size = plain,
                                   .in_stride = both,
                                   .out_stride = k_size});
  }
  plan->Add(backend::CopyHeadsOp{.in = Part(keys, latent.rank, latent.rope),
                                 .out = Part(k, plain, (heads - 1) * k_size + latent.rope),
                                 .heads = heads,
                                 .size = latent.rope,
                                 .in_stride = 0,
                                 .out_stride = k_size});
  plan->Add(backend::CopyHeadsOp{.in = Part(kv, plain, (heads - 1) * both + v_size),
                                 .out = v,
                                 .heads = heads,
                                 .size = v_size,
                                 .in_stride = both,
                                 .out_stride = v_size});
  ScaleByPosition(plan, latent.attention, q);

  backend::AttentionOp op = Attend(latent, scale);
  op.q = q;
  op.k = k;
  op.v = v;
  op.kv_heads = heads;
  op.k_size = k_size;
  op.v_size = v_size;
  op.out = plan->Scratch("attended", heads * v_size);
  if (plan->UsesCache()) op.cache = plan->AddCacheLayer({heads, k_size, v_size, op.window});
  plan->Add(op);
  return op.out;
}

}  // namespace

View LatentAttentionBlock(PlanBuilder* plan, int64_t layer, View in) {
  const AttentionConfig& attention = plan->config().layers[static_cast<size_t>(layer)].attention;
  const Latent latent = Shape(attention);
  const View q = Queries(plan, layer, latent, in);
  if (attention.indexer && attention.indexer->chooses) ChooseKeys(plan, layer, attention, in);
  const View keys = plan->Scratch("latent_kv", latent.rank + latent.rope);
  plan->Linear(plan->Name(layer, "attn_kv_a_mqa"), in, keys);
  const View narrow = Part(keys, 0, latent.rank);
  plan->Norm(plan->Name(layer, "attn_kv_a_norm"), narrow, narrow);
  Rotate(plan, attention.rope, {Part(keys, latent.rank, latent.rope)}, latent.rope, 0);
  const double growth = Rotate(plan, attention.rope, {q}, attention.k_size, latent.plain);
  const double scale = attention.scale != 0
                           ? attention.scale
                           : growth / std::sqrt(static_cast<double>(attention.k_size));
  const bool absorbed = latent.plain > 0 && plan->Has(plan->Name(layer, "attn_k_b.weight"));
  return absorbed ? AttendToLatent(plan, layer, latent, q, keys, scale)
                  : AttendToHeads(plan, layer, latent, q, keys, scale);
}

}  // namespace puna::model
