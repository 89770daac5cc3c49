#version 460
// Products for few input rows by integer dot products, for quantized weights: as matvec.comp, with inputs as int8. The
// levels of one scale meet their inputs in integers, and only these sums become float32. Inputs of several rows are
// there (round_int8.comp); one row is rounded by each workgroup for itself, which is less work than a dispatch more.
#include "common.glsl"
#include "decode.glsl"
#include "functions.glsl"
#include "int8.glsl"
#include "products.glsl"
#include "reduce.glsl"

layout(constant_id = 2) const uint kTokens = 1;
layout(constant_id = 3) const uint kKind = 0;
layout(constant_id = 4) const uint kRows = 2;
layout(constant_id = 5) const bool kPair = false;
layout(constant_id = 6) const uint kActivation = 0;
layout(constant_id = 7) const bool kClampActivated = false;
layout(constant_id = 8) const uint kOwnColumns = 0;  // of the row that the workgroup rounds, of one token; 0: it is there
layout(constant_id = 9) const bool kNorm = false;  // its input is a norm that was not computed

#include "vectors.glsl"

const bool kOwn = kOwnColumns != 0;
const uint kOwnUnits = kOwn ? kOwnColumns / 32 : 1;

// As UnitEights and UnitScales.
shared uvec2 own_eights[kOwnUnits * 4];
shared float own_scales[kOwnUnits];
shared uvec4 own_largest[kOwnUnits];  // of the eights of a block

// The nearest integers, the lowest byte of each sum: it has no room for fractions.
uint RoundFour(vec4 values, float factor) {
  const uvec4 bits = floatBitsToUint(values * factor + 12582912.0) & 255;
  return bits.x | bits.y << 8 | bits.z << 16 | bits.w << 24;
}

vec4 OwnFour(ProductParams p, uint64_t row, uint i) {
  const vec4 values = Vectors(row).v[i];
  return kNorm && p.norm_weight != 0 ? values * Vectors(p.norm_weight).v[i] : values;
}

void RoundOwn(ProductParams p, uint64_t row) {
  float squares = 0;
  for (uint eight = gl_LocalInvocationID.x; eight < kOwnUnits * 4; eight += kThreads) {
    uint largest = 0;
    [[unroll]] for (uint i = 0; i < 2; ++i) {
      const vec4 values = Vectors(row).v[2 * eight + i];
      if (kNorm) squares += dot(values, values);
      largest = max(largest, LargestBits(OwnFour(p, row, 2 * eight + i)));
    }
    own_largest[eight / 4][eight % 4] = largest;
  }
  // The factor of a norm changes the scales, and nothing else.
  float length = 1;
  if (kNorm) {
    length = 1 / sqrt(GroupSum(squares) / float(kOwnColumns) + p.norm_epsilon);
  } else {
    barrier();
  }
  for (uint eight = gl_LocalInvocationID.x; eight < kOwnUnits * 4; eight += kThreads) {
    const uvec4 bits = own_largest[eight / 4];
    const float largest = uintBitsToFloat(max(max(bits.x, bits.y), max(bits.z, bits.w)));
    const float factor = largest < kSmallest ? 0 : 127 / largest;
    own_eights[EightPlace(8 * eight, kOwnUnits)] =
        uvec2(RoundFour(OwnFour(p, row, 2 * eight), factor), RoundFour(OwnFour(p, row, 2 * eight + 1), factor));
    if (eight % 4 == 0) own_scales[ScalePlace(eight / 4, kOwnUnits)] = largest < kSmallest ? 0 : largest / 127 * length;
  }
  barrier();
}

const bool kMinimaOf16 = kType == kQ2_K;
// A middle is taken from the sums of one token, and from the levels where several meet them.
const bool kSignedLater = kMiddle != 0 && kTokens < 4;

uvec2 Levels(uvec2 words) {
  if (kMiddle != 0 && !kSignedLater) return uvec2(SignedLevelBytes(words.x), SignedLevelBytes(words.y));
  return uvec2(LevelBytes(words.x), LevelBytes(words.y));
}

uvec2 EightAt(uint64_t row, uint column, uint units) {
  const uint place = EightPlace(column, units);
  return kOwn ? own_eights[place] : UnitEights(row).v[place];
}

float ScaleAt(uint64_t row, uint block, uint units) {
  const uint place = ScalePlace(block, units);
  return kOwn ? own_scales[place] : UnitScalesOf(row, units).v[place];
}

// The sum of the inputs of a block, times their scale.
float BlockSum(uint64_t row, uint block, uint units) {
  if (!kOwn) {
    const vec2 sums = UnitSumsOf(row, units).v[block];
    return sums.x + sums.y;
  }
  int sum = 0;
  [[unroll]] for (uint i = 0; i < 4; ++i)
    sum = Dot(own_eights[EightPlace(32 * block + 8 * i, units)], uvec2(0x01010101u), sum);
  return own_scales[ScalePlace(block, units)] * float(sum);
}

void Load(uint64_t rows[kMatrixRows], uint unit, uint columns, out LevelUnit w[kMatrixRows]) {
  [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
    w[r] = LevelUnitAt(rows[r], unit, columns);
    [[unroll]] for (uint g = 0; g < 4; ++g) w[r].words[g] = Levels(w[r].words[g]);
  }
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
    if (kNorm) {
      inputs[t] = RowAddress(p.norm_source, row);
    } else if (kOwn) {
      inputs[t] = RowAddress(p.source, row) + (kKind == kHeads ? 4ul * head * p.in_stride : 0ul);
    } else {
      inputs[t] = BufferAt(p.rounded_slot) + uint64_t(row) * p.rounded_bytes;
    }
  }
  const uint first_unit = kKind == kHeads && !kOwn ? head * p.in_stride / 32 : 0;
  const uint row_units = kOwn ? kOwnUnits : p.source.width / 32;
  const uint lane = gl_SubgroupInvocationID, subgroups = gl_NumWorkGroups.x * gl_NumSubgroups;
  const uint units = kOwn ? kOwnUnits : p.cols / 32;
  if (kOwn) RoundOwn(p, inputs[0]);
  for (uint first = (gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID) * kRows; first < p.rows;
       first += subgroups * kRows) {
    uint64_t rows[kMatrixRows];
    float sums[kMatrixRows][kTokens];
    [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
      rows[r] = (r < kRows ? weight : p.up_weight) + uint64_t(min(first + r % kRows, p.rows - 1)) * p.row_bytes;
      [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] = 0;
    }
    // Before the loop, of several tokens: 8 users of llama-8b did 1,038 tokens a second on an H100 so, 938 without, and 982 with
    // each unit loaded before the one in front of it was computed with.
    LevelUnit w[kMatrixRows];
    if (!kOwn) Load(rows, min(lane, units - 1), p.cols, w);
    for (uint unit = lane; unit < units; unit += gl_SubgroupSize) {
      if (kOwn || unit != lane) Load(rows, unit, p.cols, w);
      [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        [[unroll]] for (uint g = 0; g < 4; ++g) {
          const uint column = UnitColumn(first_unit + unit, 2 * g);
          const uvec2 x = EightAt(inputs[t], column, row_units);
          const float scale = ScaleAt(inputs[t], column / 32, row_units);
          const int start = kSignedLater ? Dot(x, uvec2(0x01010101u * (256 - kMiddle)), 0) : 0;
          const float all = kMinimaOf16 ? scale * float(Dot(x, uvec2(0x01010101u), 0)) : 0;
          [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
            sums[r][t] += w[r].scale[g] * scale * float(Dot(w[r].words[g], x, start));
            if (kMinimaOf16) sums[r][t] += w[r].offset[g] * all;
          }
        }
        if (!kHasMinima || kMinimaOf16) continue;
        const float all = BlockSum(inputs[t], first_unit + unit, row_units);
        [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) sums[r][t] += w[r].own_offset * all;
      }
    }
    PutSums(p, first, first_token, head, expert, sums);
  }
}
