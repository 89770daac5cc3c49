// Everything of a pass that is not a matrix product, one row at a time: norms, rotations,
// activations, the tiles of the key/value cache and attention over them. The same source
// (vector_ops_inl.h, attention_inl.h, recurrent_inl.h) is compiled once per instruction set into a
// table of function pointers.
//
// Rows are float32 of any length and alignment. In place is allowed where a function's comment says
// so. Thread safe.
#ifndef PUNA_BACKEND_CPU_VECTOR_OPS_H_
#define PUNA_BACKEND_CPU_VECTOR_OPS_H_

#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/gemm.h"
#include "backend/plan.h"

namespace puna::backend::cpu {

// How the numbers of a page are kept. KvType::kF16 means 16 bits a number, which are
//   kI16: an integer, with a float32 scale for each token of a head, where attention can multiply
//   pairs of such integers at twice the rate of float32 (x86). Rounding is about that of float16.
//   kF16: float16 elsewhere, and where values are read out of the keys or keys choose keys.
enum class KvNumbers { kF32, kF16, kI16, kQ8_0 };
KvNumbers KvNumbersOf(KvType type, const CacheLayer& layer, Isa isa);

// Where the keys and values of one (layer, kv head) lie within a page, and how. A tile holds
// kPageTokens tokens:
//   K tile: [k_size][16 tokens], so that a vector is one dimension of 16 keys and a dot product
//   never sums across lanes; V tile: [16 tokens][v_padded], v_padded a multiple of 16.
// f16 halves each value. q8_0 stores int8 and behind each tile the scales: float16 [blocks of 32
// dimensions][16 tokens]. i16 keeps what is multiplied in one step side by side, K [k_size / 2][16
// tokens][2 dimensions] and V [8][v_padded][2 tokens], and behind each tile float32 [16 tokens].
struct KvTile {
  KvNumbers numbers = KvNumbers::kF32;
  int64_t k_size = 0, v_size = 0;
  int64_t k_offset = 0, v_offset = 0;  // bytes from the start of the page
  bool v_in_k = false;                 // there is no V tile: values are the first of the keys'
};
int64_t KTileBytes(KvNumbers numbers, int64_t k_size);
int64_t VTileBytes(KvNumbers numbers, int64_t v_size);
inline int64_t PaddedValueSize(int64_t v_size) { return (v_size + 15) / 16 * 16; }

// Attention of some query heads of one kv head, for consecutive tokens of one segment, over the
// keys [key_begin, key_end). Key s lies in slot s % 16 of page pages[s / 16] (of page s / 16 itself
// if `pages` is null).
//
// Several kv heads, up to kAttendMostHeads, can be attended at once: their tiles follow each other
// every head_bytes, and q, out, slopes, sinks, bias and `partial` hold those of one behind those of
// the other. The cache is then read in longer stretches, which pays where reading it takes longer
// than the products: with few rows.
struct AttendArgs {
  const float* q = nullptr;  // q[token * q_stride + head * k_size + d]
  int64_t q_stride = 0;
  int64_t tokens = 0, heads = 0;
  int64_t kv_heads = 1, head_bytes = 0;
  const uint8_t* pool = nullptr;
  int64_t page_bytes = 0;
  const int32_t* pages = nullptr;
  KvTile tile;
  int64_t key_begin = 0, key_end = 0;
  int64_t first_key =
      0;  // the key of the first token itself; token t sees keys up to first_key + t if causal
  int64_t window = 0, chunk = 0;  // as in AttentionOp
  int64_t first_position = 0;     // of key 0, for `chunk`
  bool causal = true;
  float scale = 1, softcap = 0;
  const float* slopes = nullptr;  // [heads], ALiBi; may be null
  const float* sinks = nullptr;   // [heads]; may be null
  // Position bias: the value of head h for distance d is bias[bias_rows[clamp(d)] * bias_heads +
  // h], clamp to [-kBiasReach, kBiasReach] and counted from there. May be null.
  const float* bias = nullptr;
  const int32_t* bias_rows = nullptr;
  int64_t bias_heads = 0;
  // Bit s % 64 of selected[token * selected_stride + s / 64]: key s is seen. May be null; else one
  // word behind the last key is readable.
  const uint64_t* selected = nullptr;
  int64_t selected_stride = 0;
  float* out = nullptr;  // out[token * out_stride + head * v_size + d]
  int64_t out_stride = 0;
  // Not null: instead of `out`, the state of the running softmax is written here
  // (AttendPartialFloats), for AttendMerge.
  float* partial = nullptr;
  float* scratch = nullptr;  // AttendScratchFloats for each kv head
};
// One token of a head whose state is a matrix [k_size][v_size]:
//   known = sum over i of erase[i] * state[i] (0 if null); v' = beta * (v - known), or v if beta is
//   null
//   state[i] = keep[i] * state[i] + k[i] * v' + write[i] * known (no last term if null)
//   out = scale * sum over i of r[i] * state[i], or with a bonus, of the state before + bonus[i] *
//   k[i] * v' instead
struct RecurArgs {
  int64_t k_size = 0, v_size = 0;
  const float* keep = nullptr;  // [k_size], as all that follow but v and out
  const float* k = nullptr;
  const float* r = nullptr;
  const float* erase = nullptr;  // may be null
  const float* write = nullptr;  // may be null
  const float* bonus = nullptr;  // may be null
  const float* v = nullptr;      // [v_size]
  const float* beta = nullptr;   // one value; may be null
  float scale = 1;
  float* state = nullptr;
  float* out = nullptr;  // [v_size]
};
inline constexpr int64_t kAttendMostHeads = 4;
inline constexpr int64_t kAttendKeyBlock = 64;
// The keys of a token are summed in ranges that begin at multiples of this; who divides keys among
// threads must divide there.
inline constexpr int64_t kAttendRange = 1024;
inline constexpr int64_t kBiasReach = 128;
// [rows][largest score, sum of weights, weighted values[v_padded]], rows = tokens * heads.
inline int64_t AttendPartialFloats(int64_t rows, int64_t v_size) {
  return rows * (PaddedValueSize(v_size) + 16);
}
int64_t AttendScratchFloats(int64_t rows, int64_t k_size, int64_t v_size);

struct VectorOps {
  // out = x / rms(x), (x - mean) / deviation, x / |x|; then * weight + bias if not null. In place
  // allowed.
  void (*norm)(NormKind kind, const float* x, int64_t n, float epsilon, const float* weight,
               const float* bias, float* out);
  // Rotates the pairs (x[2i], x[2i + 1]) or (x[i], x[i + pairs]) by cos[i], sin[i].
  void (*rope)(RopeKind kind, float* x, int64_t pairs, const float* cos, const float* sin);
  // In place allowed from here to `softcap`.
  void (*unary)(Activation activation, const float* x, int64_t n, float* out);
  void (*gated)(Activation activation, const float* gate, const float* up, int64_t n, float* out);
  void (*gated_clamped)(const float* gate, const float* up, int64_t n, float limit, float alpha,
                        float* out);
  void (*add)(const float* a, const float* b, float scale, int64_t n, float* out);  // a + scale * b
  float (*dot)(const float* a, const float* b, int64_t n);
  void (*mul)(const float* a, const float* b, int64_t n, float* out);
  void (*scale)(float* x, int64_t n, float scale);
  void (*softcap)(float* x, int64_t n, float scale, float cap);  // cap * tanh(scale * x / cap)
  void (*softmax)(float* x, int64_t n);

  // Writes one token's key [k_size] and value [v_size] into slot `slot` of a page. `v` is not read
  // if tile.v_in_k.
  void (*append)(const KvTile& tile, uint8_t* page, int64_t slot, const float* k, const float* v);
  void (*attend)(const AttendArgs& args);
  // Joins `parts` partial states that lie part_stride floats apart into args.out.
  void (*attend_merge)(const AttendArgs& args, const float* partials, int64_t parts,
                       int64_t part_stride);

  // min(f(gate), limit) * clamp(up, -limit, limit). In place allowed.
  void (*gated_limited)(Activation activation, const float* gate, const float* up, int64_t n,
                        float limit, float* out);
  // As XieluOp, in place.
  void (*xielu)(float* x, int64_t n, float alpha_n, float alpha_p, float beta, float epsilon);
  // For one token: scores[s] = sum over args.heads of weights[h] * max(0, q_h . k_s) for the keys
  // [0, key_end) of args; what lies up to 64 places behind them is overwritten.
  void (*index_scores)(const AttendArgs& args, const float* weights, float* scores);

  // out = bias + sum over j of weight[j] * rows[j], weight [kernel][n], rows of n; bias may be
  // null.
  void (*convolve)(const float* const* rows, int64_t kernel, const float* weight, const float* bias,
                   int64_t n, float* out);
  // One token of n heads of size 1 (ScanOp): decay and state are [state_size][n], x, dt, skip and
  // out [n].
  void (*scan_channels)(const float* x, const float* dt, const float* decay, const float* b,
                        const float* c, const float* skip, int64_t state_size, int64_t n,
                        float* state, float* out);
  // keep = exp(rate * softplus(decay))
  void (*keep)(const float* decay, float rate, int64_t n, float* keep);
  void (*recur)(const RecurArgs& args);
};

// The table of an instruction set; IsaAvailable(isa) must hold for its functions to run.
// Instruction sets of other processor families get the scalar table.
const VectorOps& VectorOpsOf(Isa isa);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_VECTOR_OPS_H_
