#version 460
// Products for few input rows: the weights are read once and decoded in registers. x: groups of
// kRows output values, y: groups of kTokens input rows, z: heads. A workgroup shares the columns of
// its rows and adds up at the end. A gated pair computes the same rows of two matrices, gate and up,
// and writes f(gate) * up.
#include "common.glsl"
#include "decode.glsl"
#include "functions.glsl"
#include "products.glsl"

layout(constant_id = 2) const uint kTokens = 1;
layout(constant_id = 3) const uint kKind = 0;
layout(constant_id = 4) const bool kAligned = false;  // input rows begin at multiples of 16 bytes
layout(constant_id = 5) const bool kUnits = false;    // REQUIRES kAligned, and what UnitAt does
layout(constant_id = 6) const uint kRows = 2;
layout(constant_id = 7) const bool kPair = false;
layout(constant_id = 8) const uint kActivation = 0;
layout(constant_id = 9) const bool kClampActivated = false;
const uint kPlain = 0, kHeads = 1, kChosen = 2;
const uint kMatrixRows = kPair ? 2 * kRows : kRows;  // of both matrices

OP_RECORD(ProductParams);

shared float partial[kMatrixRows * kTokens][kThreads];  // by sum and subgroup

Eight Input(uint64_t row, uint column, uint columns) {
  if (kAligned && column + 8 <= columns) {
    return Eight(Vectors(row + 4ul * column).v[0], Vectors(row + 4ul * column).v[1]);
  }
  Eight e;
  [[unroll]] for (uint i = 0; i < 4; ++i) {
    e.low[i] = column + i < columns ? Floats(row).v[column + i] : 0;
    e.high[i] = column + 4 + i < columns ? Floats(row).v[column + 4 + i] : 0;
  }
  return e;
}

float Total(uint sum) {
  float total = 0;
  for (uint i = 0; i < gl_NumSubgroups; ++i) total += partial[sum][i];
  return total;
}

// Adds up one of the sums, and puts it where it belongs.
void Finish(ProductParams p, uint first, uint first_token, uint tokens, uint head, uint expert) {
  const uint r = gl_LocalInvocationID.x / kTokens, t = gl_LocalInvocationID.x % kTokens;
  const uint row = first + r, token = first_token + t;
  if (row >= p.rows || token >= tokens) return;
  float sum = Total(gl_LocalInvocationID.x);
  if (kPair) {
    float up = Total(kRows * kTokens + gl_LocalInvocationID.x);
    if (p.bias != 0) sum += Floats(p.bias).v[row];
    if (p.up_bias != 0) up += Floats(p.up_bias).v[row];
    Row(p.result, token).v[row] = Gate(kActivation, kClampActivated, p.limit, p.alpha, sum, up);
    return;
  }
  if (kKind == kChosen && p.weigh != 0) sum *= Floats(BufferAt(p.weight_slot)).v[token];
  PutProduct(p, token, kKind == kHeads ? head * p.out_stride : 0, expert, row, sum);
}

void main() {
  PrepareDecode();
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint first_token = gl_WorkGroupID.y * kTokens, head = gl_WorkGroupID.z, tokens = push.number;
  uint expert = head;
  if (kKind == kChosen) expert = Uints(BufferAt(p.chosen_slot)).v[first_token];
  const uint64_t weight = p.weight + expert * p.expert_bytes;
  uint64_t inputs[kTokens];
  [[unroll]] for (uint t = 0; t < kTokens; ++t) {
    uint row = min(first_token + t, tokens - 1);
    if (kKind == kChosen && p.shared_input != 0) row /= p.used;
    inputs[t] = RowAddress(p.source, row) + (kKind == kHeads ? 4ul * head * p.in_stride : 0ul);
  }
  for (uint first = gl_WorkGroupID.x * kRows; first < p.rows; first += gl_NumWorkGroups.x * kRows) {
    uint64_t rows[kMatrixRows];
    float sums[kMatrixRows][kTokens];
    [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
      rows[r] = (r < kRows ? weight : p.up_weight) + uint64_t(min(first + r % kRows, p.rows - 1)) * p.row_bytes;
      [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] = 0;
    }
    if (kUnits) {
      for (uint unit = gl_LocalInvocationID.x; unit < p.cols / 32; unit += kThreads) {
        Unit w[kMatrixRows];
        [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) w[r] = UnitAt(rows[r], unit, p.cols);
        [[unroll]] for (uint t = 0; t < kTokens; ++t) {
          [[unroll]] for (uint g = 0; g < 4; ++g) {
            const vec4 a = Vectors(inputs[t]).v[UnitColumn(unit, 2 * g) / 4];
            const vec4 b = Vectors(inputs[t]).v[UnitColumn(unit, 2 * g + 1) / 4];
            const float all = kHasOffset ? dot(a + b, vec4(1)) : 0;
            [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
              sums[r][t] += w[r].scale[g] * (dot(w[r].q[2 * g], a) + dot(w[r].q[2 * g + 1], b));
              if (kHasOffset) sums[r][t] += w[r].offset[g] * all;
            }
          }
        }
      }
    } else {
      for (uint column = gl_LocalInvocationID.x * 8; column < p.cols; column += kThreads * 8) {
        Eight x[kTokens];
        [[unroll]] for (uint t = 0; t < kTokens; ++t) x[t] = Input(inputs[t], column, p.cols);
        [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
          const Eight w = Decode(rows[r], column, p.cols);
          [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] += dot(w.low, x[t].low) + dot(w.high, x[t].high);
        }
      }
    }
    [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
      [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        const float sum = subgroupAdd(sums[r][t]);
        if (subgroupElect()) partial[r * kTokens + t][gl_SubgroupID] = sum;
      }
    }
    barrier();
    if (gl_LocalInvocationID.x < kRows * kTokens) Finish(p, first, first_token, tokens, head, expert);
    barrier();
  }
}
