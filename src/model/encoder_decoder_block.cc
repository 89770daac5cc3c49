// An encoder reads the whole text; then a decoder goes over its own text token by token, each of
// its layers attending to itself and to what the encoder made (T5, Raffel et al. 2020). Both see
// positions only through a bias by distance, which the first layer of each has for all.
//
// What the decoder's layers need of the encoder is their keys and values of its output, which are
// computed once and stay in the cache.
#include "model/blocks.h"

namespace puna::model {
namespace {

// "enc." or "dec.", the tensors of a stack.
struct Stack {
  std::string prefix;
  int64_t layers = 0;
  bool causal = false;
};

std::string TensorName(const Stack& stack, int64_t layer, std::string_view name) {
  return fmt::format("{}blk.{}.{}", stack.prefix, layer, name);
}

WeightId PositionBias(PlanBuilder* plan, const Stack& stack, int64_t layer, int64_t heads) {
  const std::string own = TensorName(stack, layer, "attn_rel_b.weight");
  return plan->Matrix(plan->Has(own) ? own : TensorName(stack, 0, "attn_rel_b.weight"), heads,
                      plan->config().encoder->position_buckets);
}

// Queries from norm(x) and an op around them, the keys of which are still missing.
backend::AttentionOp Queries(PlanBuilder* plan, const std::string& name, View x, View* normed) {
  const AttentionConfig& attention = plan->config().layers[0].attention;
  *normed = plan->Scratch("normed", x.width);
  plan->Norm(name + "_norm", x, *normed);
  backend::AttentionOp op{.q = plan->Scratch("q", attention.heads * attention.k_size),
                          .out = plan->Scratch("attended", attention.heads * attention.v_size),
                          .heads = attention.heads,
                          .kv_heads = attention.heads,
                          .k_size = attention.k_size,
                          .v_size = attention.v_size};
  plan->Linear(name + "_q", *normed, op.q);
  return op;
}

void KeysAndValuesOf(PlanBuilder* plan, const std::string& name, View in, View* k, View* v) {
  const AttentionConfig& attention = plan->config().layers[0].attention;
  *k = plan->Scratch("k", attention.heads * attention.k_size);
  *v = plan->Scratch("v", attention.heads * attention.v_size);
  plan->Linear(name + "_k", in, *k);
  plan->Linear(name + "_v", in, *v);
}

int AddCache(PlanBuilder* plan) {
  const AttentionConfig& attention = plan->config().layers[0].attention;
  return plan->AddCacheLayer({attention.heads, attention.k_size, attention.v_size, 0});
}

// x += output projection of what was attended to.
void AddOutput(PlanBuilder* plan, const std::string& name, View attended, View x) {
  const View out = plan->Scratch("block_out", x.width);
  plan->Linear(name + "_o", attended, out);
  plan->Add(backend::AddOp{.a = x, .b = out, .out = x});
}

void AddSelfAttention(PlanBuilder* plan, const Stack& stack, int64_t layer, View x) {
  const std::string name = TensorName(stack, layer, "attn");
  View normed;
  backend::AttentionOp op = Queries(plan, name, x, &normed);
  KeysAndValuesOf(plan, name, normed, &op.k, &op.v);
  if (stack.causal) op.cache = AddCache(plan);
  op.causal = stack.causal;
  op.position_bias = PositionBias(plan, stack, layer, op.heads);
  plan->Add(op);
  AddOutput(plan, name, op.out, x);
}

// Returns where the residual stream is afterwards. `select`: drop the rows that are not asked for.
View AddCrossAttention(PlanBuilder* plan, const Stack& stack, int64_t layer, View x, bool select) {
  const std::string name = TensorName(stack, layer, "cross_attn");
  View normed;
  backend::AttentionOp op = Queries(plan, name, x, &normed);
  op.cache = plan->Kept(layer).cache;
  op.causal = false;
  op.cross = true;
  plan->Add(op);
  if (select) {
    op.out = SelectRows(plan, "selected_attended", op.out);
    x = SelectRows(plan, "selected_x", x);
  }
  AddOutput(plan, name, op.out, x);
  return x;
}

// With a gate GELU, without one ReLU.
void AddFeedForward(PlanBuilder* plan, const Stack& stack, int64_t layer, View x) {
  const int64_t hidden = plan->config().layers[0].feed_forward.hidden;
  const View normed = plan->Scratch("normed", x.width), up = plan->Scratch("up", hidden);
  plan->Norm(TensorName(stack, layer, "ffn_norm"), x, normed);
  plan->Linear(TensorName(stack, layer, "ffn_up"), normed, up);
  const std::string gate_name = TensorName(stack, layer, "ffn_gate");
  if (plan->Has(gate_name + ".weight")) {
    const View gate = plan->Scratch("gate", hidden);
    plan->Linear(gate_name, normed, gate);
    plan->Add(
        backend::GatedOp{.activation = Activation::kGeluTanh, .gate = gate, .up = up, .out = up});
  } else {
    plan->Add(backend::UnaryOp{.activation = Activation::kRelu, .in = up, .out = up});
  }
  const View out = plan->Scratch("block_out", x.width);
  plan->Linear(TensorName(stack, layer, "ffn_down"), up, out);
  plan->Add(backend::AddOp{.a = x, .b = out, .out = x});
}

Stack DecoderStack(const PlanBuilder& plan) {
  return {.prefix = "dec.",
          .layers = static_cast<int64_t>(plan.config().layers.size()),
          .causal = true};
}

}  // namespace

View Encoder(PlanBuilder* plan, View x, bool select) {
  const Stack stack{.prefix = "enc.", .layers = plan->config().encoder->layers};
  for (int64_t layer = 0; layer < stack.layers && plan->ok(); ++layer) {
    AddSelfAttention(plan, stack, layer, x);
    AddFeedForward(plan, stack, layer, x);
  }
  if (select) x = SelectRows(plan, "selected_x", x);
  plan->Norm("enc.output_norm", x, x);
  return x;
}

void EncoderPass(PlanBuilder* plan) {
  const View encoded = Encoder(plan, EmbeddingBlock(plan), false);
  const Stack stack = DecoderStack(*plan);
  for (int64_t layer = 0; layer < stack.layers && plan->ok(); ++layer) {
    backend::StoreOp op{.cache = AddCache(plan)};
    KeysAndValuesOf(plan, TensorName(stack, layer, "cross_attn"), encoded, &op.k, &op.v);
    plan->Add(op);
    plan->Keep(layer, {.cache = op.cache});
  }
  plan->EndEncoder();
}

View Decoder(PlanBuilder* plan, View x) {
  const Stack stack = DecoderStack(*plan);
  for (int64_t layer = 0; layer < stack.layers && plan->ok(); ++layer) {
    AddSelfAttention(plan, stack, layer, x);
    x = AddCrossAttention(plan, stack, layer, x, layer + 1 == stack.layers);
    AddFeedForward(plan, stack, layer, x);
  }
  plan->Norm("dec.output_norm", x, x);
  return x;
}

}  // namespace puna::model
