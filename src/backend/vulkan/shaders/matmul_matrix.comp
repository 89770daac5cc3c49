#version 460
// Products for many input rows on a device with matrix units. A workgroup makes a tile of kRows output
// values x kTokens input rows, kDepth columns at a time: decoded weights and inputs (halve.comp) go to
// shared memory as float16, and each subgroup multiplies its own part of the tile. While it does, the
// next columns are on their way to registers, as they are in memory. x: tiles of output values, y: tiles of input rows, z: heads,
// or splits of the columns.
#if defined(PUNA_KHR_MATRIX)
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#elif !defined(PUNA_PLAIN_MATRIX)
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix : require
#endif
#include "common.glsl"
#include "decode.glsl"
#include "halves.glsl"
#include "products.glsl"

layout(constant_id = 2) const uint kTokens = 128;
layout(constant_id = 3) const uint kKind = 0;
layout(constant_id = 4) const uint kRows = 128;
layout(constant_id = 5) const uint kDepth = 32;
layout(constant_id = 6) const uint kRowParts = 2;    // subgroups along the output values,
layout(constant_id = 7) const uint kTokenParts = 4;  // and along the input rows
layout(constant_id = 8) const uint kBuffers = 2;     // of tiles in shared memory
// The columns are shared by so many workgroups, whose sums matmul_merge.comp adds up.
layout(constant_id = 13) const uint kSplits = 1;
#include "matrix.glsl"
#include "pairs.glsl"

const uint kHeads = 1;

OP_RECORD(ProductParams);

const uint kLine = kDepth / 8;  // units in a line of a tile
// One unit more between lines: neighbours begin in other banks.
const uint kPitch = kLine + 1;
const uint kBufferUnits = (kRows + kTokens) * kPitch;
shared uvec4 tiles[kBuffers * kBufferUnits];

// What one invocation brings to a tile.
const uint kWeightPairs = (kRows * kLine / 2 + kThreads - 1) / kThreads;
const uint kInputUnits = (kTokens * kLine + kThreads - 1) / kThreads;

// The row of a pair. With eight units in a line, four of one row are written together with four of the fourth row
// behind it, which lie in other banks.
uint PairRow(uint pair) {
  const uint row = pair / (kLine / 2);
  return kLine == 8 ? row & ~7u | row % 2 * 4 | row / 2 % 4 : row;
}

// Matrices of sums of one subgroup: PUNA_DOWN x PUNA_ACROSS, one or two each way. Each is a variable of its own, as are the factors:
// a driver keeps an array of them in memory, and no loop over them can be unrolled before constants are known.
const uint kDown = PUNA_DOWN, kAcross = PUNA_ACROSS;

#if PUNA_DOWN == 1
#define EACH_DOWN(DO) DO(0)
#else
#define EACH_DOWN(DO) DO(0) DO(1)
#endif
#if PUNA_ACROSS == 1
#define EACH_ACROSS(DO) DO(0)
#define EACH_OF_ROW(DO, i) DO(i, 0)
#else
#define EACH_ACROSS(DO) DO(0) DO(1)
#define EACH_OF_ROW(DO, i) DO(i, 0) DO(i, 1)
#endif

// Writes matrix i, j of this subgroup's sums, which is in shared memory from float `own` on.
void PutSums(ProductParams p, uint own, uint first_row, uint first_token, uint offset, uint head, uint tokens,
             uint64_t halves) {
  const uint split = gl_WorkGroupID.z % kSplits;
  for (uint e = gl_SubgroupInvocationID; e < kM * kN; e += kSubgroup) {
    const uint row = first_row + e % kM, token = first_token + e / kM;
    if (row >= p.rows || token >= tokens) continue;
    const float plain = uintBitsToFloat(tiles[(own + e) / 4][e % 4]);
    if (kSplits > 1) {
      Floats(BufferAt(p.partial_slot)).v[(split * tokens + token) * p.rows + row] = plain;
      continue;
    }
    const float sum = plain * Floats(halves + uint64_t(token) * p.rounded_bytes).v[0];
    PutProduct(p, token, offset, head, row, sum);
  }
}

void main() {
  PrepareDecode();
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint first_row = gl_WorkGroupID.x * kRows, first_token = gl_WorkGroupID.y * kTokens;
  const uint head = gl_WorkGroupID.z / kSplits, tokens = push.number;
  const uint64_t halves = BufferAt(p.rounded_slot);

  // Rows behind the last are read as the last, and not written.
  uint64_t weights[kWeightPairs], inputs[kInputUnits];
  [[unroll]] for (uint i = 0; i < kWeightPairs; ++i) {
    const uint row = min(first_row + PairRow(gl_LocalInvocationID.x + i * kThreads), p.rows - 1);
    weights[i] = p.weight + head * p.expert_bytes + uint64_t(row) * p.row_bytes;
  }
  [[unroll]] for (uint i = 0; i < kInputUnits; ++i) {
    const uint token = min(first_token + (gl_LocalInvocationID.x + i * kThreads) / kLine, tokens - 1);
    inputs[i] = halves + uint64_t(token) * p.rounded_bytes + kHalvesHeader + 2ul * head * p.in_stride;
  }

  const uint down = gl_SubgroupID % kRowParts * kDown * kM, across = gl_SubgroupID / kRowParts * kAcross * kN;
#define CLEAR_SUM(i, j)    \
  MatrixSums sum##i##j; \
  CLEAR(sum##i##j);
#define CLEAR_ROW(i) EACH_OF_ROW(CLEAR_SUM, i)
  EACH_DOWN(CLEAR_ROW)

  RawPair next_weights[kWeightPairs];
  uvec4 next_inputs[kInputUnits];
  const bool ahead = LoadsAhead(p.weight | p.row_bytes | p.expert_bytes, p.cols);
  uint buffer_begin = 0;
  const uint share = (p.cols + kDepth * kSplits - 1) / (kDepth * kSplits) * kDepth;
  const uint begin = gl_WorkGroupID.z % kSplits * share, end = min(p.cols, begin + share);
  // One turn more than there are tiles: a turn brings the next one and multiplies the one before.
  for (uint column = begin; column < end + kDepth; column += kDepth) {
    const bool more = column < end;
    if (more) {
      [[unroll]] for (uint i = 0; i < kInputUnits; ++i) {
        const uint c = column / 8 + (gl_LocalInvocationID.x + i * kThreads) % kLine;
        next_inputs[i] = Units(inputs[i]).v[c];
      }
      [[unroll]] for (uint i = 0; i < kWeightPairs; ++i) {
        const uint c = column + PairColumn((gl_LocalInvocationID.x + i * kThreads) % (kLine / 2));
        // Columns behind the last are read as the first, and then count as zeros.
        if (ahead)
          next_weights[i] = LoadPair(weights[i], c < p.cols ? c : 0, c + kApart < p.cols ? c + kApart : 0, p.cols);
      }
    }
    if (column > begin) {
      const uint weight_tile = buffer_begin + down * kPitch;
      const uint input_tile = buffer_begin + (kRows + across) * kPitch;
      [[unroll]] for (uint k = 0; k < kDepth; k += kK) {
#define TAKE_B(j) \
  MatrixB b##j;   \
  LOAD_B(b##j, input_tile + j * kN * kPitch + k / 8, kPitch);
#define ADD_PRODUCT(i, j) MULTIPLY_ADD(sum##i##j, a##i, b##j);
#define TAKE_A(i) \
  MatrixA a##i;   \
  LOAD_A(a##i, weight_tile + i * kM * kPitch + k / 8, kPitch);
#define ADD_ROW(i) TAKE_A(i) EACH_OF_ROW(ADD_PRODUCT, i)
        EACH_ACROSS(TAKE_B)
        EACH_DOWN(ADD_ROW)
      }
      if (kBuffers == 1) {
        barrier();
      } else {
        buffer_begin = kBufferUnits - buffer_begin;
      }
    }
    if (more) {
      [[unroll]] for (uint i = 0; i < kWeightPairs; ++i) {
        const uint pair = gl_LocalInvocationID.x + i * kThreads, at = PairColumn(pair % (kLine / 2)), c = column + at;
        uvec4 first = uvec4(0), second = uvec4(0);
        if (ahead) {
          DecodePair(next_weights[i], c, first, second);
          first = c < p.cols ? first : uvec4(0);
          second = c + kApart < p.cols ? second : uvec4(0);
        } else {
          if (c < p.cols) first = ToUnit(Decode(weights[i], c, p.cols));
          if (c + kApart < p.cols) second = ToUnit(Decode(weights[i], c + kApart, p.cols));
        }
        if (kRows * kLine / 2 % kThreads == 0 || pair < kRows * kLine / 2) {
          const uint to = buffer_begin + PairRow(pair) * kPitch + at / 8;
          tiles[to] = first;
          tiles[to + kApart / 8] = second;
        }
      }
      [[unroll]] for (uint i = 0; i < kInputUnits; ++i) {
        const uint unit = gl_LocalInvocationID.x + i * kThreads;
        if (unit < kTokens * kLine)
          tiles[buffer_begin + (kRows + unit / kLine) * kPitch + unit % kLine] = next_inputs[i];
      }
    }
    barrier();
  }

  // The tiles are done with, and their memory takes the sums.
  const uint own = gl_SubgroupID * kM * kN;
  const uint offset = kKind == kHeads ? head * p.out_stride : 0;
#define PUT_SUM(i, j)                                                                                                  \
  STORE_SUMS(sum##i##j, own);                                                                                           \
  barrier();                                                                                                            \
  PutSums(p, own, first_row + down + i * kM, first_token + across + j * kN, offset, head, tokens, halves);              \
  barrier();
#define PUT_ROW(i) EACH_OF_ROW(PUT_SUM, i)
  EACH_DOWN(PUT_ROW)
}
