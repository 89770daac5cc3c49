#version 460
// Products for many input rows: tiles of kRows x kTokens, whose decoded weights and inputs pass
// through shared memory kDepth columns at a time. 128 invocations, each with 4 x 4 sums. x: tiles of
// output values, y: tiles of input rows, z: heads.
#include "common.glsl"
#include "decode.glsl"
#include "products.glsl"

layout(constant_id = 3) const uint kKind = 0;
const uint kHeads = 1;
const uint kRows = 64, kTokens = 32, kDepth = 32, kPad = 1;

OP_RECORD(ProductParams);

shared float weights[kDepth][kRows + kPad];
shared float inputs[kDepth][kTokens + kPad];

void LoadWeights(ProductParams p, uint64_t weight, uint first_row, uint column) {
  for (uint unit = gl_LocalInvocationID.x; unit < kRows * kDepth / 8; unit += kThreads) {
    const uint r = unit / (kDepth / 8), c = unit % (kDepth / 8) * 8;
    Eight w = Eight(vec4(0), vec4(0));
    if (first_row + r < p.rows && column + c < p.cols)
      w = Decode(weight + uint64_t(first_row + r) * p.row_bytes, column + c, p.cols);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
      weights[c + i][r] = w.low[i];
      weights[c + 4 + i][r] = w.high[i];
    }
  }
}

void LoadInputs(ProductParams p, uint first_token, uint tokens, uint offset, uint column) {
  for (uint unit = gl_LocalInvocationID.x; unit < kTokens * kDepth; unit += kThreads) {
    const uint t = unit / kDepth, c = unit % kDepth;
    float value = 0;
    if (first_token + t < tokens && column + c < p.cols) value = Row(p.source, first_token + t).v[offset + column + c];
    inputs[c][t] = value;
  }
}

void main() {
  PrepareDecode();
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint first_row = gl_WorkGroupID.x * kRows, first_token = gl_WorkGroupID.y * kTokens;
  const uint head = gl_WorkGroupID.z, tokens = push.number;
  const uint64_t weight = p.weight + head * p.expert_bytes;
  const uint r0 = gl_LocalInvocationID.x % 16 * 4, t0 = gl_LocalInvocationID.x / 16 * 4;
  float sums[4][4];
  [[unroll]] for (uint r = 0; r < 4; ++r) {
    [[unroll]] for (uint t = 0; t < 4; ++t) sums[r][t] = 0;
  }
  for (uint column = 0; column < p.cols; column += kDepth) {
    barrier();
    LoadWeights(p, weight, first_row, column);
    LoadInputs(p, first_token, tokens, head * p.in_stride, column);
    barrier();
    for (uint c = 0; c < kDepth; ++c) {
      float w[4], x[4];
      [[unroll]] for (uint i = 0; i < 4; ++i) {
        w[i] = weights[c][r0 + i];
        x[i] = inputs[c][t0 + i];
      }
      [[unroll]] for (uint r = 0; r < 4; ++r) {
        [[unroll]] for (uint t = 0; t < 4; ++t) sums[r][t] += w[r] * x[t];
      }
    }
  }
  const uint offset = kKind == kHeads ? head * p.out_stride : 0;
  [[unroll]] for (uint t = 0; t < 4; ++t) {
    [[unroll]] for (uint r = 0; r < 4; ++r) {
      if (first_row + r0 + r >= p.rows || first_token + t0 + t >= tokens) continue;
      PutProduct(p, first_token + t0 + t, offset, head, first_row + r0 + r, sums[r][t]);
    }
  }
}
