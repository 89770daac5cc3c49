// Queries, keys and values lie side by side in one buffer, so a backend may compute the three
// products as one. Fused attn_qkv matrices are the same three products over slices of the rows.
#include <algorithm>
#include <cmath>

#include "model/blocks.h"
#include "model/rope.h"

namespace puna::model {
namespace {

// A gate with one value per head is one op per head, so a file must not ask for many.
constexpr int64_t kMaxGatedHeads = 512;

struct Qkv {
  View all, q, k, v;
};

// Keys and values that a later layer uses again must outlive this one where no cache holds them.
bool OutlivesLayer(const PlanBuilder& plan, int64_t layer) {
  if (plan.UsesCache()) return false;
  for (const LayerConfig& other : plan.config().layers) {
    if (other.attention.kv_layer == layer) return true;
  }
  return false;
}

Qkv Lay(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention) {
  const int64_t kv_heads = attention.kv_layer < 0 ? attention.kv_heads : 0;
  const int64_t q = attention.heads * attention.k_size, k = kv_heads * attention.k_size;
  const int64_t v = kv_heads * attention.v_size;
  Qkv out;
  out.all =
      plan->Scratch(OutlivesLayer(*plan, layer) ? fmt::format("qkv.{}", layer) : "qkv", q + k + v);
  const int buffer = out.all.buffer;
  out.q = {buffer, 0, q};
  out.k = {buffer, q, k};
  out.v = {buffer, q + k, v};
  return out;
}

// Head by head, `part` 0 or 1 of rows that are twice as long as those of `out`.
void TakeHalf(PlanBuilder* plan, const AttentionConfig& attention, View both, int64_t part,
              View out) {
  const int64_t size = attention.k_size;
  plan->Add(backend::CopyHeadsOp{
      .in = {both.buffer, both.offset + part * size, (2 * attention.heads - 1) * size},
      .out = out,
      .heads = attention.heads,
      .size = size,
      .in_stride = 2 * size,
      .out_stride = size});
}

void ProjectQueries(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, View in,
                    View q) {
  const std::string name = plan->Name(layer, "attn_q");
  if (!attention.gate_in_query) {
    plan->Linear(name, in, q, attention.qkv_bias);
    return;
  }
  const View both = plan->Scratch("query_and_gate", 2 * q.width);
  plan->Linear(name, in, both, attention.qkv_bias);
  TakeHalf(plan, attention, both, 0, q);
  TakeHalf(plan, attention, both, 1, plan->Scratch("attention_gate", q.width));
}

void Project(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, View in,
             const Qkv& qkv) {
  const std::string fused = plan->Name(layer, "attn_qkv");
  const std::string v_name = plan->Name(layer, "attn_v");
  if (!plan->Has(fused + ".weight")) {
    ProjectQueries(plan, layer, attention, in, qkv.q);
    if (attention.kv_layer >= 0) return;
    plan->Linear(plan->Name(layer, "attn_k"), in, qkv.k, attention.qkv_bias);
    if (!attention.v_from_k || plan->Has(v_name + ".weight")) {
      plan->Linear(v_name, in, qkv.v, attention.qkv_bias);
    } else {
      const int64_t width = qkv.v.width;
      plan->Add(backend::CopyHeadsOp{.in = qkv.k,
                                     .out = qkv.v,
                                     .heads = 1,
                                     .size = width,
                                     .in_stride = width,
                                     .out_stride = width});
    }
    return;
  }
  // Qwen 1 has rows for as many key and value heads as query heads, whatever it uses of them.
  const int64_t thirds = 3 * qkv.q.width;
  const bool in_thirds = attention.fused_thirds || plan->RowsOf(fused + ".weight") == thirds;
  const int64_t total = in_thirds ? thirds : qkv.all.width;
  int64_t index = 0;
  for (const View& part : {qkv.q, qkv.k, qkv.v}) {
    const int64_t first = attention.fused_thirds ? index++ * qkv.q.width : part.offset;
    if (first + part.width > total) {
      return plan->Fail(
          ErrorCode::kCorrupt,
          fmt::format("tensor {}.weight has {} rows, which do not hold {} queries, {} "
                      "keys and {} values",
                      fused, total, qkv.q.width, qkv.k.width, qkv.v.width));
    }
    const RowSlice slice{.first = first, .count = part.width, .total = total};
    const WeightId weight = plan->MatrixRows(fused + ".weight", in.width, slice);
    plan->Add(backend::MatMulOp{.in = in,
                                .out = part,
                                .weight = weight,
                                .bias = plan->OptionalVectorSlice(fused + ".bias", slice)});
  }
}

// A norm over each head (a weight of one head, or of [head size, heads]) or over all heads
// together; the shape says which.
void HeadNorm(PlanBuilder* plan, const std::string& name, const AttentionConfig& attention,
              View inout) {
  const std::string tensor = name + ".weight";
  backend::NormOp op{.kind = attention.qk_norm_kind, .in = inout, .out = inout};
  op.epsilon = static_cast<float>(plan->config().norm_epsilon);
  const bool whole = plan->RowsOf(tensor) <= 1 && plan->ColsOf(tensor) == inout.width;
  op.group = whole ? inout.width : attention.k_size;
  const int64_t heads = inout.width / attention.k_size;
  if (plan->RowsOf(tensor) > 1) {
    op.weight = plan->FlatMatrix(tensor, attention.k_size, heads);
  } else {
    op.weight = plan->Vector(tensor, op.group);
  }
  if (attention.qk_norm_bias) op.bias = plan->OptionalVector(name + ".bias", op.group);
  plan->Add(op);
}

void HeadNorms(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, const Qkv& qkv) {
  if (!attention.qk_norm && !plan->Has(plan->Name(layer, "attn_q_norm.weight"))) return;
  HeadNorm(plan, plan->Name(layer, "attn_q_norm"), attention, qkv.q);
  if (attention.kv_layer < 0) HeadNorm(plan, plan->Name(layer, "attn_k_norm"), attention, qkv.k);
}

// A norm of single heads without parameters.
void PlainNorm(PlanBuilder* plan, View inout, int64_t head_size) {
  plan->Add(backend::NormOp{.in = inout,
                            .out = inout,
                            .group = head_size,
                            .epsilon = static_cast<float>(plan->config().norm_epsilon)});
}

std::vector<float> RopeFactors(PlanBuilder* plan, const RopeConfig& rope) {
  const int64_t pairs = rope.dimensions / 2;
  if (!rope.factors) return {};
  const char* all = "rope_freqs.weight";
  if (plan->Has(all)) {  // layers that turn less than others use the first of them
    std::vector<float> values = plan->Values(all, std::max(pairs, plan->ColsOf(all)));
    values.resize(static_cast<size_t>(plan->ok() ? pairs : 0));
    return values;
  }
  const int64_t wanted = plan->options().context_length;
  const int64_t context = wanted > 0 ? wanted : plan->config().context_length;
  const char* name =
      context > rope.original_context ? "rope_factors_long.weight" : "rope_factors_short.weight";
  if (!plan->Has(name)) return {};
  return plan->Values(name, pairs);
}

// inout *= f(attn_gate in), value by value or, if the gate has one row per head, head by head.
void GateOutput(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, View in,
                View inout) {
  const std::string name = plan->Name(layer, "attn_gate");
  const bool per_head =
      !attention.gate_in_query && plan->RowsOf(name + ".weight") == attention.heads;
  const View gate = plan->Scratch("attention_gate", per_head ? attention.heads : inout.width);
  if (!attention.gate_in_query) plan->Linear(name, in, gate);
  plan->Add(backend::UnaryOp{.activation = *attention.output_gate, .in = gate, .out = gate});
  if (!per_head) {
    plan->Add(backend::MulOp{.a = inout, .b = gate, .out = inout});
    return;
  }
  if (attention.heads > kMaxGatedHeads) {
    plan->Fail(ErrorCode::kUnsupported,
               fmt::format("tensor {}.weight gates {} heads, at most {} are supported", name,
                           attention.heads, kMaxGatedHeads));
    return;
  }
  for (int64_t head = 0; head < attention.heads; ++head) {
    const View part{inout.buffer, inout.offset + head * attention.v_size, attention.v_size};
    plan->Add(backend::MulOp{.a = part, .b = {gate.buffer, gate.offset + head, 1}, .out = part});
  }
}

}  // namespace

double Rotate(PlanBuilder* plan, const RopeConfig& rope, std::initializer_list<View> views,
              int64_t head_size, int64_t head_offset) {
  if (!rope.enabled) return 1;
  const RopeNumbers numbers = ComputeRope(rope, RopeFactors(plan, rope));
  for (const View& view : views) {
    plan->Add(backend::RopeOp{.kind = rope.kind,
                              .inout = view,
                              .head_size = head_size,
                              .head_offset = head_offset,
                              .inverse_frequency = numbers.inverse_frequency,
                              .magnitude = numbers.magnitude});
  }
  return numbers.score_factor;
}

void ScaleByPosition(PlanBuilder* plan, const AttentionConfig& attention, View queries) {
  if (!attention.temperature) return;
  plan->Add(backend::PositionScaleOp{.inout = queries,
                                     .scale = static_cast<float>(attention.temperature->scale),
                                     .length = attention.temperature->length,
                                     .offset = attention.temperature->offset});
}

namespace {

// Norms, rope and temperature.
void Prepare(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, const Qkv& qkv) {
  const bool own_keys = attention.kv_layer < 0;
  if (attention.clamp > 0) {
    plan->Add(backend::ScaleOp{.inout = qkv.all, .clamp = static_cast<float>(attention.clamp)});
  }
  if (attention.plain_v_norm && own_keys) PlainNorm(plan, qkv.v, attention.v_size);
  if (!attention.qk_norm_after_rope) HeadNorms(plan, layer, attention, qkv);
  if (own_keys) {
    Rotate(plan, attention.rope, {qkv.q, qkv.k}, attention.k_size, 0);
  } else {
    Rotate(plan, attention.rope, {qkv.q}, attention.k_size, 0);
  }
  ScaleByPosition(plan, attention, qkv.q);
  if (attention.qk_norm_after_rope) HeadNorms(plan, layer, attention, qkv);
  if (!attention.plain_qk_norm) return;
  PlainNorm(plan, qkv.q, attention.k_size);
  if (own_keys) PlainNorm(plan, qkv.k, attention.k_size);
}

backend::AttentionOp OpOf(const AttentionConfig& attention) {
  backend::AttentionOp op;
  op.heads = attention.heads;
  op.kv_heads = attention.kv_heads;
  op.k_size = attention.k_size;
  op.v_size = attention.v_size;
  op.scale = static_cast<float>(attention.scale != 0
                                    ? attention.scale
                                    : 1 / std::sqrt(static_cast<double>(attention.k_size)));
  op.softcap = static_cast<float>(attention.softcap);
  op.window = attention.window;
  op.chunk = attention.chunk;
  op.alibi_max_bias = static_cast<float>(attention.alibi_max_bias);
  op.causal = attention.causal;
  return op;
}

// Tokens that are ever read again.
int64_t Reach(const AttentionConfig& attention) {
  return attention.window != 0 ? attention.window : attention.chunk;
}

void FindKeys(PlanBuilder* plan, int64_t layer, const AttentionConfig& attention, const Qkv& qkv,
              backend::AttentionOp* op) {
  if (attention.kv_layer >= 0) {
    const KeysAndValues& kept = plan->Kept(attention.kv_layer);
    op->cache = kept.cache;
    op->k = kept.k;
    op->v = kept.v;
    return;
  }
  op->k = qkv.k;
  op->v = qkv.v;
  if (plan->UsesCache()) {
    op->cache = plan->AddCacheLayer(
        {attention.kv_heads, attention.k_size, attention.v_size, Reach(attention)});
    plan->Keep(layer, {.cache = op->cache});
  } else {
    plan->Keep(layer, {.k = qkv.k, .v = qkv.v});
  }
}

}  // namespace

View AttentionBlock(PlanBuilder* plan, int64_t layer, View in) {
  const AttentionConfig& attention = plan->config().layers[static_cast<size_t>(layer)].attention;
  if (attention.latent) return LatentAttentionBlock(plan, layer, in);
  const Qkv qkv = Lay(plan, layer, attention);
  Project(plan, layer, attention, in, qkv);
  Prepare(plan, layer, attention, qkv);

  backend::AttentionOp op = OpOf(attention);
  op.q = qkv.q;
  op.out = plan->Scratch("attended", attention.heads * attention.v_size);
  FindKeys(plan, layer, attention, qkv, &op);
  const std::string sinks = plan->Name(layer, "attn_sinks.weight");
  if (attention.sinks || plan->Has(sinks)) op.sinks = plan->Vector(sinks, attention.heads);
  plan->Add(op);
  if (attention.output_gate) GateOutput(plan, layer, attention, in, op.out);
  return op.out;
}

View AttentionOutput(PlanBuilder* plan, int64_t layer, View attended) {
  const std::string sub_norm = plan->Name(layer, "attn_sub_norm");
  if (plan->Has(sub_norm + ".weight")) plan->Norm(sub_norm, attended, attended);
  const View out = plan->Scratch("block_out", plan->config().width);
  const AttentionConfig& attention = plan->config().layers[static_cast<size_t>(layer)].attention;
  plan->Linear(plan->Name(layer, "attn_output"), attended, out,
               attention.output_bias && !attention.linear);
  const float scale = static_cast<float>(attention.output_scale);
  if (scale != 1) plan->Add(backend::ScaleOp{.inout = out, .scale = scale});
  return out;
}

}  // namespace puna::model
