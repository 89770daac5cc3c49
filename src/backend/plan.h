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

namespace puna {
class MappedFile;
}

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
  // The file that `data` is a view of; null if it is none of a file.
  const MappedFile* file = nullptr;
  int64_t row_stride_bytes = 0;  // from one row to the next; 0: RowBytes()
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

// For every expert h of the weight: out[h] = weight of h * in[h]. in[h] are `cols` values of `in`
// from h * in_stride on, out[h] are `rows` values of `out` from h * out_stride on; the values
// between them stay as they are. in.width = (experts - 1) * in_stride + cols, out.width likewise.
struct HeadMatMulOp {
  View in, out;
  int64_t in_stride = 0, out_stride = 0;
  WeightId weight = kNoWeight;  // [heads][rows][cols]
};

// out[h * out_stride + i] = in[h * in_stride + i] for h < heads, i < size; the values between stay
// as they are. An in_stride of 0 gives every head the same values. in.width = (heads - 1) *
// in_stride + size, out.width likewise.
struct CopyHeadsOp {
  View in, out;
  int64_t heads = 0, size = 0;
  int64_t in_stride = 0, out_stride = 0;
};

// inout *= 1 + scale * ln(1 + floor((position + offset) / length)): queries of later positions are
// made longer, so that the softmax over more keys stays as sharp (llama 4).
struct PositionScaleOp {
  View inout;
  float scale = 0;
  int64_t length = 1;
  int64_t offset = 0;
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
//   With a position bias, score += its value for head h in row RelativeBucket(s - t, rows,
//   !causal).
// Visible: causal: position(s) <= position(t), and position(s) > position(t) - window if window >
// 0, and not before the last multiple of `chunk` up to position(t) if chunk > 0.
//          not causal: all tokens of the same segment (|difference| <= window / 2 if window > 0).
// With cache >= 0 the keys and values of the batch are first appended to that cache layer (unless
// k.buffer < 0: read only), and everything cached for the sequence is visible. With cache = -1 only
// the segment itself is.
// `v_in_k`: the values are the first v_size values of the keys. Then v.buffer < 0, and the cache
// layer has a v_size of 0.
// `cross`: the keys and values are what the pass of an encoder stored for the sequence, all of them
// visible: read only, not causal, without window and bias by position. Other attention does not see
// the positions of the encoder's tokens (Plan::encoder_ops).
// With selection >= 0 a token sees only the keys that the IndexOp of that slot chose for it; there
// is neither a soft cap nor a linear bias then.
struct AttentionOp {
  View q, k, v;  // [heads * k_size], [kv_heads * k_size], [kv_heads * v_size]
  View out;      // [heads * v_size]
  int cache = -1;
  int64_t heads = 0, kv_heads = 0, k_size = 0, v_size = 0;
  float scale = 1;
  float softcap = 0;         // 0: none
  int64_t window = 0;        // 0: none
  int64_t chunk = 0;         // 0: none
  float alibi_max_bias = 0;  // 0: none
  bool causal = true;
  bool v_in_k = false;
  bool cross = false;
  int selection = -1;
  WeightId sinks = kNoWeight;          // [heads]
  WeightId position_bias = kNoWeight;  // [buckets][heads]
};

// Appends keys and values to a cache layer, for cross attention. In the pass of an encoder only.
struct StoreOp {
  View k, v;  // [kv_heads * k_size], [kv_heads * v_size] of the cache layer
  int cache = -1;
};

// The row of a position bias for a key that stands `distance` behind the query (T5): exact for near
// keys, logarithmic up to 128, the same for all beyond. `both_sides`: half of the rows are for keys
// in front of the query, half for keys behind; otherwise keys behind share the row of distance 0.
int64_t RelativeBucket(int64_t distance, int64_t buckets, bool both_sides);

// Chooses the keys that later attention may see (DeepSeek's sparse attention): of the keys s up to
// a token t itself the `used` best by
//   score(t, s) = sum over heads h of weights_h(t) * max(0, q_h(t) . k_s), ties by partial_sort;
// all while there are no more. Keys are appended to cache layer `cache` (one kv head, v_size 0) or,
// with -1, are those of the segment. The choice stays in its slot until another IndexOp writes it.
struct IndexOp {
  View q, k, weights;  // [heads * size], [size], [heads]
  int cache = -1;
  int64_t heads = 0, size = 0, used = 0;
  int selection = 0;
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
  kSoftplus,
  kExp
};

// out = f(in). May be in place.
struct UnaryOp {
  Activation activation = Activation::kSilu;
  View in, out;
};

// inout = alpha_p x^2 + beta x where x > 0, else alpha_n (expm1(min(x, epsilon)) - x) + beta x
// (xIELU, Huang and Schlag 2025).
struct XieluOp {
  View inout;
  float alpha_n = 0, alpha_p = 0, beta = 0, epsilon = 0;
};

// out = f(gate) * up. May be in place. With `limit` > 0 it is the clamped form of gpt-oss:
//   gate = min(gate, limit); up = clamp(up, -limit, limit); out = gate * sigmoid(alpha * gate) *
//   (up + 1)
// or, with `clamp_activated`, that of Step 3.5: out = min(f(gate), limit) * clamp(up, -limit,
// limit).
struct GatedOp {
  Activation activation = Activation::kSilu;
  View gate, up, out;
  float limit = 0;
  float alpha = 1;
  bool clamp_activated = false;
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

// out = in * weight + bias, value by value; at least one of them is there. May be in place.
struct AffineOp {
  View in, out;
  WeightId weight = kNoWeight, bias = kNoWeight;  // [width]
};

// inout = scale * weight * inout + offset, then cap * tanh(inout / cap) if cap > 0, then clamped to
// [-clamp, clamp] if clamp > 0. A weight has one value per column.
struct ScaleOp {
  View inout;
  float scale = 1;
  float softcap = 0;
  float clamp = 0;
  float offset = 0;
  WeightId weight = kNoWeight;
};

// A row as several streams of equal width: stream j of out = sum over i of weights[j * inputs + i]
// * stream i of in.
struct MixOp {
  View in, weights, out;  // [inputs * width], [outputs * inputs], [outputs * width]
  int64_t inputs = 0, outputs = 0;
};

// Stretches every run of like.width values of inout to the length |like|; runs of zeros stay.
struct MatchLengthOp {
  View inout, like;
};

// inout = max(0, inout - (mean + deviations * deviation)) over the row, the deviation with n - 1
// (the Gaussian top-k of Gemma 3n).
struct CutBelowOp {
  View inout;
  float deviations = 0;
};

// inout = its softmax over the row.
struct SoftmaxOp {
  View inout;
};

// The recurrent ops walk along the tokens of a segment. What they keep from one pass to the next is
// in state layer `state` of the plan (zeros before the first token of a sequence); with state = -1
// a segment starts at its first token and nothing is kept. Inputs and outputs lie apart.

// Every column by itself: out[t] = bias + sum over j < kernel of weight[j] * in[t - kernel + 1 +
// j]. Without a weight out[t] = in[t - kernel + 1]; kernel = 2 is the token shift of RWKV. What
// lies before the first token is zero. State: kernel - 1 rows of `in`.
struct ConvolutionOp {
  View in, out;
  int state = -1;
  int64_t kernel = 0;
  WeightId weight = kNoWeight;  // [columns][kernel]
  WeightId bias = kNoWeight;    // [columns]
};

// Selective state space (Mamba: heads of size 1 with a decay per state value; Mamba-2: one decay
// per head). Per head h a state S [head_size][state_size], of group g = h / (heads / groups):
//   d = softplus(dt_h); S[p][n] = exp(d * decay_h[n]) * S[p][n] + d * x_h[p] * b_g[n]
//   out_h[p] = sum over n of c_g[n] * S[p][n] + skip_h * x_h[p]
struct ScanOp {
  View x, dt, b, c, out;  // [heads * head_size], [heads], [groups * state_size] twice, as x
  int state = -1;
  int64_t heads = 0, head_size = 0, state_size = 0, groups = 1;
  WeightId decay = kNoWeight;  // [heads * state_size] or [heads]
  WeightId skip = kNoWeight;   // [heads]
};

// Gated delta rule (gated delta net: one decay per head; Kimi delta attention: one per key value).
// Per value head h a state S [k_size][v_size]; it reads key head h / (heads / k_heads), or h %
// k_heads if `tiled`:
//   S[i] *= exp(rate_h * softplus(decay_h[i])); S[i] += k[i] * beta_h * (v_h - sum over j of k[j] *
//   S[j]); out_h = scale * sum over i of q[i] * S[i]
struct DeltaOp {
  View q, k, v, decay, beta;  // [k_heads * k_size] twice, [heads * v_size], [heads] or
                              // [heads * k_size], [heads]
  View out;                   // as v
  int state = -1;
  int64_t heads = 0, k_heads = 0, k_size = 0, v_size = 0;
  float scale = 1;
  bool tiled = false;
  WeightId rate = kNoWeight;  // [heads]
};

// Linear attention with a decay per key value (RWKV). Per head a state S [size][size]:
//   bonus (RWKV 6):   out = sum over i of r[i] * (S[i] + bonus[i] * k[i] * v); S[i] = w[i] * S[i] +
//   k[i] * v
//   otherwise:        S[i] = w[i] * S[i] + k[i] * v + write[i] * sum over j of erase[j] * S[j]
//   (RWKV 7: with the S of before; without the last term where erase.buffer < 0);
//                     out = scale * sum over i of r[i] * S[i]
struct WkvOp {
  View r, w, k, v, out;  // [heads * size]
  View erase, write;     // [heads * size], or none
  int state = -1;
  int64_t heads = 0, size = 0;
  float scale = 1;
  WeightId bonus = kNoWeight;  // [heads * size]
};

enum class RouterScore { kSoftmax, kSigmoid, kSoftmaxOfSelected };

// Chooses experts for each token from router logits (the MatMul before it computed them).
//   probability = softmax or sigmoid of the logits (kSoftmaxOfSelected: the logits themselves,
//   softmax afterwards); selection = probability + selection_bias; with groups > 1 only the best
//   `groups_used` groups of experts (by the sum of their two best selections) stay; the `used`
//   largest selections win, ties by lower index; weight = probability of the winners, divided by
//   their sum if `normalize` (sum clamped from below at 6.1e-5 as llama.cpp does), times `scale`,
//   times the expert's own scale if there are any.
// With fold > 1 a winner e stands for expert e / fold, and its probability is that with this index
// (grovemoe); several winners may stand for the same.
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
  int64_t fold = 1;
  WeightId expert_scale = kNoWeight;  // [experts / fold]
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
  bool clamp_activated = false;
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

// What somebody else computes in the middle of a pass, by its number (CompileOptions::detour).
struct DetourOp {
  View in, out;
  int detour = 0;
};

using Op =
    std::variant<EmbedOp, AddRowOp, NormOp, MatMulOp, RopeOp, AttentionOp, UnaryOp, GatedOp, AddOp,
                 MulOp, ScaleOp, RouteOp, ExpertsOp, SelectRowsOp, PoolOp, HeadMatMulOp,
                 CopyHeadsOp, PositionScaleOp, IndexOp, XieluOp, MixOp, MatchLengthOp, CutBelowOp,
                 SoftmaxOp, AffineOp, ConvolutionOp, ScanOp, DeltaOp, WkvOp, StoreOp, DetourOp>;

// One layer of the key/value cache.
struct CacheLayer {
  int64_t kv_heads = 0;
  int64_t k_size = 0,
          v_size = 0;  // values per head and token; v_size 0: the values are in the keys
  int64_t window = 0;  // tokens that are ever read again; 0: all
};

// What a recurrent op keeps of a sequence, whatever its length.
struct StateLayer {
  int64_t values = 0;  // float32
};

struct Plan {
  std::vector<int64_t> buffer_widths;  // activation buffers
  std::vector<Weight> weights;
  std::vector<CacheLayer> cache_layers;
  std::vector<StateLayer> state_layers;
  std::vector<Op> ops;
  // So many ops at the beginning are a pass of their own (Batch::encodes): an encoder, which reads
  // a whole text and stores what cross attention of the other ops reads. It has no outputs, and the
  // others read none of its buffers. In the cache its tokens have the first positions of the
  // sequence, those of the decoder follow.
  size_t encoder_ops = 0;
  // Of parts of a plan (plan_split.h) but the first: Batch::input fills it before the first op.
  View input;
  int routes = 0;          // route slots
  int selections = 0;      // slots of chosen keys
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
