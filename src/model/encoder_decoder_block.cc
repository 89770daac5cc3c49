// An encoder reads the whole text; then a decoder goes over it token by token, each of its layers
// attending to itself and to what the encoder made (T5, Raffel et al. 2020). Both see positions
// only through a bias by distance, which the first layer of each has for all.
//
// One pass computes both over the tokens of a segment. There is no cache: what the encoder makes of
// a text depends on all of it.
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

// x += output projection of the attention of norm(x) to `keys_of` (itself if that has no buffer).
View AddAttention(PlanBuilder* plan, const Stack& stack, int64_t layer, std::string_view name,
                  View x, View keys_of, bool select) {
  const AttentionConfig& attention = plan->config().layers[0].attention;
  const int64_t k_width = attention.heads * attention.k_size;
  const int64_t v_width = attention.heads * attention.v_size;
  const bool cross = keys_of.buffer >= 0;
  const auto tensor = [&](std::string_view part) {
    return TensorName(stack, layer, fmt::format("{}{}", name, part));
  };
  const View normed = plan->Scratch("normed", x.width);
  plan->Norm(tensor("_norm"), x, normed);
  const View q = plan->Scratch("q", k_width), k = plan->Scratch("k", k_width);
  const View v = plan->Scratch("v", v_width);
  plan->Linear(tensor("_q"), normed, q);
  plan->Linear(tensor("_k"), cross ? keys_of : normed, k);
  plan->Linear(tensor("_v"), cross ? keys_of : normed, v);
  backend::AttentionOp op{.q = q, .k = k, .v = v, .out = plan->Scratch("attended", v_width)};
  op.heads = op.kv_heads = attention.heads;
  op.k_size = attention.k_size;
  op.v_size = attention.v_size;
  op.causal = stack.causal && !cross;
  if (!cross) op.position_bias = PositionBias(plan, stack, layer, attention.heads);
  plan->Add(op);
  View attended = op.out;
  if (select) {
    attended = SelectRows(plan, "selected_attended", attended);
    x = SelectRows(plan, "selected_x", x);
  }
  const View out = plan->Scratch("block_out", x.width);
  plan->Linear(tensor("_o"), attended, out);
  plan->Add(backend::AddOp{.a = x, .b = out, .out = x});
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

}  // namespace

View EncoderDecoder(PlanBuilder* plan, View x, bool select) {
  const EncoderConfig& encoder = *plan->config().encoder;
  const Stack enc{.prefix = "enc.", .layers = encoder.layers};
  const bool decodes = !plan->config().embeddings_only && !plan->options().embeddings;
  View encoded = plan->Scratch("encoded", x.width);
  plan->Add(backend::CopyHeadsOp{.in = x,
                                 .out = encoded,
                                 .heads = 1,
                                 .size = x.width,
                                 .in_stride = x.width,
                                 .out_stride = x.width});
  for (int64_t layer = 0; layer < enc.layers && plan->ok(); ++layer) {
    AddAttention(plan, enc, layer, "attn", encoded, {}, false);
    AddFeedForward(plan, enc, layer, encoded);
  }
  if (!decodes && select) encoded = SelectRows(plan, "selected_x", encoded);
  plan->Norm("enc.output_norm", encoded, encoded);
  if (!decodes) return encoded;

  const Stack dec{.prefix = "dec.",
                  .layers = static_cast<int64_t>(plan->config().layers.size()),
                  .causal = true};
  for (int64_t layer = 0; layer < dec.layers && plan->ok(); ++layer) {
    AddAttention(plan, dec, layer, "attn", x, {}, false);
    x = AddAttention(plan, dec, layer, "cross_attn", x, encoded, select && layer + 1 == dec.layers);
    AddFeedForward(plan, dec, layer, x);
  }
  plan->Norm("dec.output_norm", x, x);
  return x;
}

}  // namespace puna::model
