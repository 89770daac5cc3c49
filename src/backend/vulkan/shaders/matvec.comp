#version 460
// Products for few input rows: the weights are read once and decoded in registers. x: groups of
// kRows output values, y: groups of kTokens input rows, z: heads. A workgroup shares the columns of
// its rows, eight at a time, and adds up at the end.
#include "common.glsl"
#include "decode.glsl"

layout(constant_id = 2) const uint kTokens = 1;
layout(constant_id = 3) const uint kKind = 0;
layout(constant_id = 4) const bool kAligned = false;  // input rows begin at multiples of 16 bytes
const uint kPlain = 0, kHeads = 1, kChosen = 2;
const uint kRows = 2;

OP_RECORD(ProductParams);

shared float partial[kRows * kTokens][kThreads];  // by sum and subgroup

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

// Adds up one of the sums, and puts it where it belongs.
void Finish(ProductParams p, uint first, uint first_token, uint tokens, uint head, uint64_t bias) {
  const uint r = gl_LocalInvocationID.x / kTokens, t = gl_LocalInvocationID.x % kTokens;
  if (first + r >= p.rows || first_token + t >= tokens) return;
  float sum = 0;
  for (uint i = 0; i < gl_NumSubgroups; ++i) sum += partial[gl_LocalInvocationID.x][i];
  if (kKind == kChosen && p.weigh != 0) sum *= Floats(BufferAt(p.weight_slot)).v[first_token];
  if (p.bias != 0) sum += Floats(bias).v[first + r];
  Row(p.result, first_token + t).v[(kKind == kHeads ? head * p.out_stride : 0) + first + r] = sum;
}

void main() {
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint first_token = gl_WorkGroupID.y * kTokens, head = gl_WorkGroupID.z, tokens = push.number;
  uint expert = head;
  if (kKind == kChosen) expert = Uints(BufferAt(p.chosen_slot)).v[first_token];
  const uint64_t weight = p.weight + expert * p.expert_bytes;
  const uint64_t bias = p.bias + 4ul * expert * p.rows;
  uint64_t inputs[kTokens];
  [[unroll]] for (uint t = 0; t < kTokens; ++t) {
    uint row = min(first_token + t, tokens - 1);
    if (kKind == kChosen && p.shared_input != 0) row /= p.used;
    inputs[t] = RowAddress(p.source, row) + (kKind == kHeads ? 4ul * head * p.in_stride : 0ul);
  }
  for (uint first = gl_WorkGroupID.x * kRows; first < p.rows; first += gl_NumWorkGroups.x * kRows) {
    float sums[kRows][kTokens];
    [[unroll]] for (uint r = 0; r < kRows; ++r) {
      [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] = 0;
    }
    for (uint column = gl_LocalInvocationID.x * 8; column < p.cols; column += kThreads * 8) {
      Eight x[kTokens];
      [[unroll]] for (uint t = 0; t < kTokens; ++t) x[t] = Input(inputs[t], column, p.cols);
      [[unroll]] for (uint r = 0; r < kRows; ++r) {
        const Eight w = Decode(weight + uint64_t(min(first + r, p.rows - 1)) * p.row_bytes, column, p.cols);
        [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] += dot(w.low, x[t].low) + dot(w.high, x[t].high);
      }
    }
    [[unroll]] for (uint r = 0; r < kRows; ++r) {
      [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        const float sum = subgroupAdd(sums[r][t]);
        if (subgroupElect()) partial[r * kTokens + t][gl_SubgroupID] = sum;
      }
    }
    barrier();
    if (gl_LocalInvocationID.x < kRows * kTokens) Finish(p, first, first_token, tokens, head, bias);
    barrier();
  }
}
