#version 460
// Products for few input rows: the weights are read once and decoded in registers. x: groups of
// output values, y: groups of kTokens input rows, z: heads. A subgroup shares the columns of kRows
// values at a time, and adds up at the end. A gated pair computes the same rows of two matrices, gate and up,
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
layout(constant_id = 10) const uint kAtOnce = 1;  // units whose loads an invocation has under way

#include "vectors.glsl"

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
  const uint lane = gl_SubgroupInvocationID, subgroups = gl_NumWorkGroups.x * gl_NumSubgroups;
  for (uint first = (gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID) * kRows; first < p.rows;
       first += subgroups * kRows) {
    uint64_t rows[kMatrixRows];
    float sums[kMatrixRows][kTokens];
    [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
      rows[r] = (r < kRows ? weight : p.up_weight) + uint64_t(min(first + r % kRows, p.rows - 1)) * p.row_bytes;
      [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] = 0;
    }
    if (kUnits) {
      const uint units = p.cols / 32;
      for (uint unit = lane; unit < units; unit += kAtOnce * gl_SubgroupSize) {
        Unit w[kAtOnce][kMatrixRows];
        [[unroll]] for (uint i = 0; i < kAtOnce; ++i) {
          [[unroll]] for (uint r = 0; r < kMatrixRows; ++r)
            w[i][r] = UnitAt(rows[r], min(unit + i * gl_SubgroupSize, units - 1), p.cols);
        }
        [[unroll]] for (uint i = 0; i < kAtOnce; ++i) {
          const uint at = unit + i * gl_SubgroupSize;
          if (i > 0 && at >= units) break;
          [[unroll]] for (uint t = 0; t < kTokens; ++t) {
            [[unroll]] for (uint g = 0; g < 4; ++g) {
              const vec4 a = Vectors(inputs[t]).v[UnitColumn(at, 2 * g) / 4];
              const vec4 b = Vectors(inputs[t]).v[UnitColumn(at, 2 * g + 1) / 4];
              const float all = kHasOffset ? dot(a + b, vec4(1)) : 0;
              [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
                sums[r][t] += w[i][r].scale[g] * (dot(w[i][r].q[2 * g], a) + dot(w[i][r].q[2 * g + 1], b));
                if (kHasOffset) sums[r][t] += w[i][r].offset[g] * all;
              }
            }
          }
        }
      }
    } else {
      for (uint column = lane * 8; column < p.cols; column += gl_SubgroupSize * 8) {
        Eight x[kTokens];
        [[unroll]] for (uint t = 0; t < kTokens; ++t) x[t] = Input(inputs[t], column, p.cols);
        [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
          const Eight w = Decode(rows[r], column, p.cols);
          [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] += dot(w.low, x[t].low) + dot(w.high, x[t].high);
        }
      }
    }
    PutSums(p, first, first_token, head, expert, sums);
  }
}
