#version 460
// Products for many input rows by integer dot products, for quantized weights: tiles of 64 x kTokens, whose
// levels and inputs (round_int8.comp) pass through shared memory as int8. The levels of one scale meet their
// inputs in integers, and only these sums become float32. 128 invocations, each with 4 x kEach sums of rows and
// tokens that lie apart, so that neighbours read neighbouring memory. x: tiles of output values, y: tiles of input rows, z: heads.
#include "common.glsl"
#include "decode.glsl"
#include "int8.glsl"
#include "products.glsl"

layout(constant_id = 2) const uint kTokens = 64;
layout(constant_id = 3) const uint kKind = 0;
const uint kHeads = 1;
const uint kRows = 64, kDepth = kInt8Step;
const uint kDown = 16, kAcross = 8;  // invocations along the output values, and along the input rows
const uint kEach = kTokens / kAcross;

// A line of a tile in pieces of 16 values, and one more: neighbours begin in other banks.
const uint kPieces = kDepth / 16, kPitch = kPieces + 1;
// Levels that have a scale together.
const uint kGroup = kType == kQ2_K || kType == kQ3_K || kType == kQ6_K ? 16 : 32;
const uint kGroups = kDepth / kGroup, kGroupPieces = kGroup / 16;

OP_RECORD(ProductParams);

shared uvec4 weights[kRows * kPitch], inputs[kTokens * kPitch];
shared vec2 weight_scales[kGroups * kRows];  // scale and offset
shared vec2 input_scales[kGroups * kTokens];  // scale, and scale * sum of the inputs

void LoadWeights(ProductParams p, uint64_t weight, uint first_row, uint column) {
  for (uint unit = gl_LocalInvocationID.x; unit < kRows * kPieces; unit += kThreads) {
    const uint r = unit / kPieces, piece = unit % kPieces, c = column + 16 * piece;
    uvec4 levels16 = uvec4(0);
    vec2 scale = vec2(0);
    if (c < p.cols) {
      const uint64_t row = weight + uint64_t(min(first_row + r, p.rows - 1)) * p.row_bytes;
      const Packed low = PackedEight(LoadEight(row, c, p.cols), c), high = PackedEight(LoadEight(row, c + 8, p.cols), c + 8);
      levels16 = uvec4(SignedLevelBytes(low.q.x), SignedLevelBytes(low.q.y), SignedLevelBytes(high.q.x), SignedLevelBytes(high.q.y));
      scale = vec2(low.scale, low.offset);
    }
    weights[r * kPitch + piece] = levels16;
    if (piece % kGroupPieces == 0) weight_scales[piece / kGroupPieces * kRows + r] = scale;
  }
}

void LoadInputs(ProductParams p, uint64_t rounded, uint first_token, uint tokens, uint column) {
  for (uint unit = gl_LocalInvocationID.x; unit < kTokens * kPieces; unit += kThreads) {
    const uint t = unit / kPieces, piece = unit % kPieces;
    const uint64_t row = rounded + uint64_t(min(first_token + t, tokens - 1)) * p.rounded_bytes;
    inputs[t * kPitch + piece] = Int8Values(row).v[column / 16 + piece];
    if (piece % kGroupPieces != 0) continue;
    const Int8Block block = Int8ScalesOf(row, p.int8_blocks).v[(column / 16 + piece) / 2];
    const int first = bitfieldExtract(int(block.sums), 0, 16), second = int(block.sums) >> 16;
    const int sum = kGroup == 32 ? first + second : piece % 2 == 0 ? first : second;
    input_scales[piece / kGroupPieces * kTokens + t] = vec2(block.scale, block.scale * float(sum));
  }
}

void main() {
  PrepareDecode();
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint first_row = gl_WorkGroupID.x * kRows, first_token = gl_WorkGroupID.y * kTokens;
  const uint head = gl_WorkGroupID.z, tokens = push.number;
  const uint64_t weight = p.weight + head * p.expert_bytes;
  const uint64_t rounded = BufferAt(p.rounded_slot);
  const uint r0 = gl_LocalInvocationID.x % kDown, t0 = gl_LocalInvocationID.x / kDown;
  float sums[4][kEach];
  [[unroll]] for (uint r = 0; r < 4; ++r) {
    [[unroll]] for (uint t = 0; t < kEach; ++t) sums[r][t] = 0;
  }
  for (uint column = 0; column < p.cols; column += kDepth) {
    barrier();
    LoadWeights(p, weight, first_row, column);
    LoadInputs(p, rounded, first_token, tokens, head * p.in_stride + column);
    barrier();
    [[dont_unroll]] for (uint group = 0; group < kGroups; ++group) {
      uvec4 w[4][kGroupPieces];
      vec2 scale[4];
      [[unroll]] for (uint r = 0; r < 4; ++r) {
        scale[r] = weight_scales[group * kRows + r0 + r * kDown];
        [[unroll]] for (uint i = 0; i < kGroupPieces; ++i)
          w[r][i] = weights[(r0 + r * kDown) * kPitch + group * kGroupPieces + i];
      }
      [[unroll]] for (uint t = 0; t < kEach; ++t) {
        const uint token = t0 + t * kAcross;
        const vec2 input_scale = input_scales[group * kTokens + token];
        uvec4 x[kGroupPieces];
        [[unroll]] for (uint i = 0; i < kGroupPieces; ++i) x[i] = inputs[token * kPitch + group * kGroupPieces + i];
        [[unroll]] for (uint r = 0; r < 4; ++r) {
          int products = 0;
          [[unroll]] for (uint i = 0; i < kGroupPieces; ++i) products = Dot(w[r][i], x[i], products);
          sums[r][t] += scale[r].x * input_scale.x * float(products);
          if (kHasMinima) sums[r][t] += scale[r].y * input_scale.y;
        }
      }
    }
  }
  const uint offset = kKind == kHeads ? head * p.out_stride : 0;
  [[unroll]] for (uint t = 0; t < kEach; ++t) {
    [[unroll]] for (uint r = 0; r < 4; ++r) {
      const uint row = first_row + r0 + r * kDown, token = first_token + t0 + t * kAcross;
      if (row < p.rows && token < tokens) PutProduct(p, token, offset, head, row, sums[r][t]);
    }
  }
}
