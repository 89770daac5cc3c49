// What the host tells a shader, read by both compilers: C++ and GLSL (in scalar layout, which is
// that of C). A shader gets three push constants (Push): the record of its op, which never changes,
// the pass at hand, and a number that the recording knows. So a recorded command buffer is good for
// every pass of the same shape.
#ifndef PUNA_BACKEND_VULKAN_OP_PARAMS_H_
#define PUNA_BACKEND_VULKAN_OP_PARAMS_H_

#ifdef __cplusplus
#include <cstdint>
namespace puna::backend::vulkan {
using uint = uint32_t;
#endif

// `width` columns of a buffer whose rows are `stride` floats apart. The address of its first value
// is put in when memory is taken (PlanCompiler::Record).
struct Matrix {
  uint64_t address;
  uint stride;
  uint width;
};

struct Push {
  uint64_t op;
  uint64_t pass;
  uint number;
};

// All addresses lead to arrays.
struct PassHeader {
  uint tokens;
  uint outputs;
  uint segments;
  uint selection_words;      // per token
  uint64_t buffers;          // uint64_t [slots]: address of each buffer
  uint64_t token_ids;        // uint [tokens]
  uint64_t positions;        // uint [tokens]
  uint64_t row_segments;     // uint [tokens]
  uint64_t output_rows;      // uint [outputs]
  uint64_t segment_infos;    // SegmentInfo [segments]
  uint64_t pages;            // uint64_t: address of each page, segment after segment
  uint64_t state_writes;     // StateWriteInfo
  uint64_t ropes;            // float: cosines and sines of each table
  uint64_t selections;       // uint [slots][tokens][selection_words]
  uint64_t index_scores;     // float [tokens][32 * selection_words]
  uint64_t index_order;      // uint, likewise
  uint64_t low_rank;         // LowRankEntry [weights][segments][adapters]
  uint64_t narrow;           // float [rows][heads][most_rank]
  uint64_t attention_tiles;  // AttentionTile: those of one token, those of several, and the split
                             // ones of both, each list filled up with tiles of no rows
  uint adapters;
  uint most_rank;
  uint64_t given;          // float [tokens][width of Plan::input]
  uint64_t answer;         // where the outputs go
  uint64_t ranked;         // RankedRequest, one for each ranked row
  uint64_t ranked_answer;  // RankedValue: where what they ask for goes
};

struct SegmentInfo {
  uint first_row;
  uint tokens;
  uint start_position;
  uint encoded;
  uint first_page;    // in PassHeader::pages
  uint scratch_page;  // its first page where keys are kept for one op only
  uint first_write;   // in PassHeader::state_writes
  uint writes;
  uint64_t state;  // where its states are read from; 0: it begins
};

// Query rows of one segment that a workgroup takes together, and which part of their keys.
struct AttentionTile {
  SegmentInfo segment;
  uint first_row;  // of the batch
  uint rows;
  uint position;  // of the first row
  uint part;
  uint parts;
  uint partial;  // with several parts: row r and part i have record partial + r * parts + i
};

struct StateWriteInfo {
  uint64_t to;
  uint tokens;
  uint unused;
};

struct EmbedParams {
  Matrix result;
  uint64_t table;
  uint row_bytes;
  uint fixed_row;
  float scale;
  uint weight_id;
  uint rows;
};

struct ReduceParams {
  Matrix source;
  Matrix result;
  Matrix like;
  uint64_t weight;  // 0: none; float
  uint64_t bias;
  uint group;
  uint weight_period;  // values of the weight and of the bias: `group` or the whole width
  uint bias_period;
  float epsilon;  // or the deviations of a cut
};

struct ElementParams {
  Matrix a;
  Matrix b;
  Matrix result;
  uint64_t weight;  // 0: none; float
  uint64_t bias;
  float scale;
  float limit;
  float alpha;
  float offset;
  float beta;
  float epsilon;
  uint heads;  // of CopyHeads, or inputs of Mix
  uint size;   // of a head, or outputs of Mix
  uint in_stride;
  uint out_stride;
  uint period;
  uint position_offset;
};

struct RopeParams {
  Matrix inout_rows;
  uint table;  // first cosine in PassHeader::ropes; the sines follow
  uint pairs;
  uint head_size;
  uint head_offset;
  uint interleaved;
};

// A product, of one of three kinds. Plain: result[t] = weight * source[t] + bias. Heads: head z of
// the weight times columns from z * in_stride on. Chosen: row p stands for expert chosen[p].
struct ProductParams {
  Matrix source;
  Matrix result;
  uint64_t weight;
  uint64_t expert_bytes;
  uint64_t bias;  // 0: none; float [experts][rows]
  uint cols;
  uint rows;
  uint row_bytes;
  uint in_stride;
  uint out_stride;
  uint chosen_slot;  // uint [rows * used]
  uint weight_slot;  // float, likewise
  uint used;         // of chosen: rows per input row
  uint weight_id;
  uint shared_input;   // of chosen: the `used` rows of a token have one input
  uint weigh;          // of chosen: multiply the product by the weight of the expert
  uint rounded_slot;   // the source as RoundParams makes it
  uint rounded_bytes;  // per row
  uint int8_blocks;    // likewise
  uint partial_slot;   // float [splits][tokens][rows]: sums of shares of the columns
  Matrix residual;     // of plain ones: added to the product; width 0: none
  // Of a gated pair: result = f(product of weight) * product of up_weight, in the same type.
  uint64_t up_weight;
  uint64_t up_bias;
  float limit;
  float alpha;
  // What the source is the norm of, for products that compute it themselves: source = norm_source /
  // its root mean square * norm_weight.
  float norm_epsilon;
  uint64_t norm_weight;
  Matrix norm_source;
};

// Rows as float16 (shaders/halves.glsl), or as int8 (shaders/int8.glsl).
struct RoundParams {
  Matrix source;
  uint rounded_slot;
  uint row_bytes;
  uint int8_blocks;  // per row
};

struct RouteParams {
  Matrix logits;
  uint64_t selection_bias;
  uint64_t expert_scale;
  uint chosen_slot;
  uint weight_slot;
  uint score;
  uint experts;
  uint used;
  uint groups;
  uint groups_used;
  uint normalize;
  uint fold;
  float scale;
};

// result[t] = sum over the chosen of weight * source[t * used + i]
struct CombineParams {
  Matrix source;
  Matrix result;
  uint weight_slot;
  uint used;
  uint weighed;
};

struct SelectParams {
  Matrix source;
  Matrix result;
  uint pooling;
};

// Where a cache layer lies in a page: keys of head h from key_offset + h * key_head on, as
// [k_size / 8][16 tokens][8], values from value_offset + h * value_head on, as [16][v_size]. In
// bytes.
struct CacheParams {
  uint key_offset;
  uint key_head;
  uint value_offset;
  uint value_head;
  uint scratch_page_bytes;  // with `scratch`: the pages are there, behind each other
  uint scratch_slot;
  uint is_scratch;
};

struct StoreParams {
  Matrix k;
  Matrix v;
  CacheParams cache;
  uint kv_heads;
  uint k_size;
  uint v_size;
  // As in RopeParams, of the keys: they are rotated on their way. No pairs: they are not.
  uint rope_table;
  uint rope_pairs;
  uint rope_offset;
  uint rope_interleaved;
};

struct AttentionParams {
  Matrix q;
  Matrix result;
  CacheParams cache;
  uint64_t sinks;   // float [heads]; 0: none
  uint64_t slopes;  // float [heads]; 0: none
  uint64_t bias;    // float [heads][2 * bias_reach + 1], by distance to the key; 0: none
  uint bias_reach;
  uint heads;
  uint kv_heads;
  uint window;
  uint chunk;
  uint causal;
  uint is_cross;
  uint selection;     // slot + 1; 0: none
  uint partial_slot;  // float [records][heads][v_size + 2]: sums, largest score, denominator
  float scale;
  float softcap;
};

struct IndexParams {
  Matrix q;
  Matrix weights;
  CacheParams cache;
  uint heads;
  uint size;
  uint used;
  uint selection;
};

// Of all recurrent ops; `state_offset` in floats within a slot.
struct RecurrentParams {
  Matrix a;  // in; x; q; r
  Matrix b;  // dt; k; w
  Matrix c;  // b; v; k
  Matrix d;  // c; decay; v
  Matrix e;  // beta; erase
  Matrix f;  // write
  Matrix result;
  uint64_t weight;  // float: kernel; decay; rate; bonus
  uint64_t bias;    // float: bias; skip
  uint state_offset;
  uint keeps_state;
  uint heads;
  uint groups;  // of a scan; key heads of a delta rule
  uint head_size;
  uint flag;   // scan: a decay per value; delta: tiled; wkv: erases
  uint flag2;  // delta: a decay per key value
  float scale;
};

// Of a workgroup that ranks: values that each invocation holds, and the most that it finds.
const uint kRankedHeld = 16;
const uint kMostRanked = 256;

struct RankedRequest {
  uint output_row;
  uint count;  // up to kMostRanked
  uint first;  // in PassHeader::ranked_answer
};

// A value as an integer: bits of positive ones with the sign set, of negative ones inverted. 0:
// nothing.
struct RankedValue {
  uint key;
  uint column;
};

// One level of ranking: the first reads rows of `source`, later ones what the one before has found.
struct RankParams {
  Matrix source;
  uint count;        // values of a row at this level
  uint columns;      // of the source
  uint source_slot;  // RankedValue [ranked rows][source_stride]
  uint source_stride;
  uint result_slot;  // likewise; the last level writes to PassHeader::ranked_answer
  uint result_stride;
};

// Columns of a tile of int8 products.
const uint kInt8Step = 64;

struct LowRankEntry {
  uint64_t a;
  uint64_t b;
  uint rank;
  float scale;
};

#ifdef __cplusplus
}  // namespace puna::backend::vulkan
#endif

#endif  // PUNA_BACKEND_VULKAN_OP_PARAMS_H_
