// What a network computes, as data: a static list of ops over activation buffers. The model layer
// builds a plan once per load; a backend compiles and executes it. The list of op kinds is closed:
// a backend that misses one does not compile.
//
// Activations are float32 matrices [rows, width], one row per token of the batch. An op reads and
// writes Views of them. Ops run in list order; an op may write what it reads only where its comment
// says so. Nothing here allocates or computes.
#ifndef PUNA_BACKEND_PLAN_H_
#define PUNA_BACKEND_PLAN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "quant/quant.h"

namespace puna::backend {

// Columns [offset, offset + width) of activation buffer `buffer`.
struct View {
  int buffer = -1;
  int64_t offset = 0;
  int64_t width = 0;
};

// Index into Plan::weights.
using WeightId = int;
inline constexpr WeightId kNoWeight = -1;

// A parameter: a matrix [experts][rows][cols], rows in `type`'s blocks; a vector has rows = 1. Rows
// of one GGUF tensor may be split over several weights (fused q/k/v, fused gate/up), each pointing
// into the same bytes: reach a row through Row().
struct Weight {
  std::string name;  // the GGUF tensor, for errors and traces
  quant::TensorType type = quant::TensorType::kF32;
  int64_t cols = 0;  // length of a row: the input width of a matrix product
  int64_t rows = 1;  // the output width of a matrix product
  int64_t experts = 1;
  const uint8_t* data = nullptr;  // the first row, alive as long as Plan::owner
  int64_t row_stride_bytes = 0;   // from one row to the next; 0: RowBytes()
  int64_t expert_stride_bytes =
      0;  // from one expert's first row to the next expert's; 0: rows * row stride
  // Where the rows are in the tensor, for adapters: `first_row` is the place of row 0 among the
  // `tensor_rows` (0: rows) rows of an expert.
  int64_t first_row = 0, tensor_rows = 0;

  int64_t RowBytes() const { return quant::BytesFor(type, cols); }
  const uint8_t* Row(int64_t expert, int64_t row) const {
    const int64_t row_stride = row_stride_bytes != 0 ? row_stride_bytes : RowBytes();
    const int64_t expert_stride =
        expert_stride_bytes != 0 ? expert_stride_bytes : rows * row_stride;
    return data + expert * expert_stride + row * row_stride;
  }
};

// out[t] = scale * weight.row(token[t])
struct EmbedOp {
  WeightId table = kNoWeight;  // [vocabulary, width]
  View out;
  float scale = 1;
};

// inout[t] += weight.row(position of t) (learned positions), or += weight.row(fixed_row) if
// fixed_row >= 0 (token type 0).
struct AddRowOp {
  WeightId table = kNoWeight;
  View inout;
  int64_t fixed_row = -1;
};

enum class NormKind { kRms, kLayer, kL2 };

// Normalizes each run of `group` values by itself (group = width: the whole row; group = head size:
// per head). kRms: x / sqrt(mean(x^2) + epsilon); kLayer: (x - mean) / sqrt(var + epsilon); kL2: x
// / max(|x|, epsilon). Then * weight + bias, each of `group` values (shared by the groups) or of
// the whole width, if present. May be in place.
struct NormOp {
  NormKind kind = NormKind::kRms;
  View in, out;
  int64_t group = 0;
  float epsilon = 0;
  WeightId weight = kNoWeight;
  WeightId bias = kNoWeight;
};

// out = weight * in + bias. in.width = cols, out.width = rows.
struct MatMulOp {
  View in, out;
  WeightId weight = kNoWeight;
  WeightId bias = kNoWeight;  // [rows]
};

// Which pairs of a head's first `2 * pairs` values rotate together: (2i, 2i+1) or (i, i + pairs).
enum class RopeKind { kInterleaved, kHalves };

// Rotates pair i of every head by the angle position * inverse_frequency[i]; then multiplies the
// rotated values by `magnitude`. All of YaRN, linear scaling, long-context factors and bases is in
// these numbers. In place. Values of a head from `2 * pairs` on stay as they are.
struct RopeOp {
  RopeKind kind = RopeKind::kInterleaved;
  View inout;  // [heads * head_size]
  int64_t head_size = 0;
  int64_t head_offset = 0;               // first rotated value within a head
  std::vector<float> inverse_frequency;  // [pairs], radians per position
  float magnitude = 1;
};

// Scaled dot-product attention with grouped heads: query head h reads key/value head h / (heads /
// kv_heads).
//   score(t, s) = scale * q_t . k_s;  softcap: score = cap * tanh(score / cap);  alibi: -= slope_h
//   * |s - t| weights = softmax over the visible s, with exp(sink_h) added to the denominator if
//   there are sinks. slope_h with n = the largest power of two <= heads, b = alibi_max_bias:
//     h < n: 2^(-b (h + 1) / n); otherwise: 2^(-b (2 (h - n) + 1) / (2 n)).   (Press et al. 2022)
// Visible: causal: position(s) <= position(t), and position(s) > position(t) - window if window >
// 0.
//          not causal: all tokens of the same segment (|difference| <= window / 2 if window > 0).
// With cache >= 0 the keys and values of the batch are first appended to that cache layer (unless
// k.buffer < 0: read only), and everything cached for the sequence is visible. With cache = -1 only
// the segment itself is.
struct AttentionOp {
  View q, k, v;  // [heads * k_size], [kv_heads * k_size], [kv_heads * v_size]
  View out;      // [heads * v_size]
  int cache = -1;
  int64_t heads = 0, kv_heads = 0, k_size = 0, v_size = 0;
  float scale = 1;
  float softcap = 0;         // 0: none
  int64_t window = 0;        // 0: none
  float alibi_max_bias = 0;  // 0: none
  bool causal = true;
  WeightId sinks = kNoWeight;  // [heads]
};

enum class Activation {
  kIdentity,
  kSilu,
  kGeluTanh,
  kGeluErf,
  kGeluQuick,
  kRelu,
  kReluSquared,
  kSigmoid,
  kTanh,
  kSoftplus
};

// out = f(in). May be in place.
struct UnaryOp {
  Activation activation = Activation::kSilu;
  View in, out;
};

// out = f(gate) * up. May be in place. With `limit` > 0 it is the clamped form of gpt-oss:
//   gate = min(gate, limit); up = clamp(up, -limit, limit); out = gate * sigmoid(alpha * gate) *
//   (up + 1)
struct GatedOp {
  Activation activation = Activation::kSilu;
  View gate, up, out;
  float limit = 0;
  float alpha = 1;
};

// out = a + scale * b. May be in place.
struct AddOp {
  View a, b, out;
  float scale = 1;
};

// out = a * b, value by value; b may be one column wide and then multiplies the whole row. May be
// in place.
struct MulOp {
  View a, b, out;
};

// inout = scale * inout, then cap * tanh(inout / cap) if cap > 0, then clamped to [-clamp, clamp]
// if clamp > 0.
struct ScaleOp {
  View inout;
  float scale = 1;
  float softcap = 0;
  float clamp = 0;
};

enum class RouterScore { kSoftmax, kSigmoid, kSoftmaxOfSelected };

// Chooses experts for each token from router logits (the MatMul before it computed them).
//   probability = softmax or sigmoid of the logits (kSoftmaxOfSelected: the logits themselves,
//   softmax afterwards); selection = probability + selection_bias; with groups > 1 only the best
//   `groups_used` groups of experts (by the sum of their two best selections) stay; the `used`
//   largest selections win, ties by lower index; weight = probability of the winners, divided by
//   their sum if `normalize` (sum clamped from below at 6.1e-5 as llama.cpp does), times `scale`.
// The result goes to route slot `route`, which ExpertsOp reads.
struct RouteOp {
  View logits;  // [experts]
  int route = 0;
  RouterScore score = RouterScore::kSoftmax;
  int64_t experts = 0, used = 0;
  int64_t groups = 1, groups_used = 1;
  bool normalize = false;
  float scale = 1;
  WeightId selection_bias = kNoWeight;  // [experts]
};

// out[t] = sum over the chosen experts e of weight_e * down_e(f(gate_e in) * up_e in). Without
// `gate`: f(up_e in). `weigh_input`: the weight multiplies the expert's input instead of its output
// (llama4).
struct ExpertsOp {
  View in, out;
  int route = 0;
  WeightId gate = kNoWeight, up = kNoWeight,
           down = kNoWeight;  // [experts][hidden][in], [experts][out][hidden]
  WeightId gate_bias = kNoWeight, up_bias = kNoWeight,
           down_bias = kNoWeight;  // [experts][hidden], [experts][out]
  Activation activation = Activation::kSilu;
  float limit = 0, alpha = 1;  // as in GatedOp
  bool weigh_input = false;
};

// From here on the batch has only the rows that outputs were asked for: out.row(i) =
// in.row(output_rows[i]). At most one in a plan per buffer; every later op reads buffers that were
// selected or written after it.
struct SelectRowsOp {
  View in, out;
};

enum class Pooling { kNone, kMean, kFirst, kLast, kRank };

// One row per segment: the mean of its rows, its first or its last. Later ops run on [segments]
// rows.
struct PoolOp {
  Pooling pooling = Pooling::kMean;
  View in, out;
};

using Op = std::variant<EmbedOp, AddRowOp, NormOp, MatMulOp, RopeOp, AttentionOp, UnaryOp, GatedOp,
                        AddOp, MulOp, ScaleOp, RouteOp, ExpertsOp, SelectRowsOp, PoolOp>;

// One layer of the key/value cache.
struct CacheLayer {
  int64_t kv_heads = 0;
  int64_t k_size = 0, v_size = 0;  // values per head and token
  int64_t window = 0;              // tokens that are ever read again; 0: all
};

struct Plan {
  std::vector<int64_t> buffer_widths;  // activation buffers
  std::vector<Weight> weights;
  std::vector<CacheLayer> cache_layers;
  std::vector<Op> ops;
  int routes = 0;          // route slots
  int64_t vocabulary = 0;  // token ids are in [0, vocabulary)
  int64_t positions = 0;   // positions are in [0, positions): the rows of learned ones; 0: any
  View output;  // what Run returns: logits [output rows, vocabulary], or pooled rows [segments,
                // width]
  bool pooled = false;                // the plan ends in a PoolOp: one output row per segment
  std::shared_ptr<const void> owner;  // keeps the bytes of the weights alive
};

// The kind of an op as one lower-case word, for traces.
const char* OpName(const Op& op);

// Does the plan keep every rule of this page: views inside their buffers, weights of the shapes
// that their op needs, buffers written before they are read and in the row space (tokens, output
// rows, segments) that the op runs in, inputs and outputs apart where an op may not work in place?
// A plan that passes can be executed without further checks. kInternal naming the op.
Status ValidatePlan(const Plan& plan);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_PLAN_H_
