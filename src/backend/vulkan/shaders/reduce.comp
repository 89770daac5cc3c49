#version 460
// Ops that need a sum or a maximum over a run of a row. x: runs, y: rows; a workgroup each.
#include "common.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint kKind = 0;
// Vectors of a run that an invocation keeps in registers between the sum and the result; 0: runs are
// read twice, value by value. REQUIRES: runs of whole vectors, aligned, and a norm without mean and bias.
layout(constant_id = 2) const uint kHeld = 0;
const uint kHeldSize = kHeld == 0 ? 1 : kHeld;
const uint kRms = 0, kLayer = 1, kL2 = 2, kSoftmax = 3, kMatchLength = 4, kCutBelow = 5;

OP_RECORD(ReduceParams);

float SquaresFrom(Floats values, uint begin, uint end, float mean) {
  float sum = 0;
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) sum += (values.v[i] - mean) * (values.v[i] - mean);
  return GroupSum(sum);
}

float MeanOf(Floats values, uint begin, uint end) {
  float sum = 0;
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) sum += values.v[i];
  return GroupSum(sum) / float(end - begin);
}

void Softmax(Floats values, Floats result, uint begin, uint end) {
  float largest = values.v[begin];
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) largest = max(largest, values.v[i]);
  largest = GroupMax(largest);
  float sum = 0;
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) sum += exp(values.v[i] - largest);
  const float factor = 1 / GroupSum(sum);
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) result.v[i] = exp(values.v[i] - largest) * factor;
}

// Of kRms and kL2.
float LengthFactor(ReduceParams p, float squares) {
  return 1 / (kKind == kL2 ? max(sqrt(squares), p.epsilon) : sqrt(squares / float(p.group) + p.epsilon));
}

void NormHeld(ReduceParams p, uint64_t source, uint64_t result) {
  const uint vectors = p.group / 4;
  vec4 held[kHeldSize];
  float squares = 0;
  [[unroll]] for (uint i = 0; i < kHeldSize; ++i) {
    const uint at = gl_LocalInvocationID.x + i * kThreads;
    held[i] = at < vectors ? Vectors(source).v[at] : vec4(0);
    squares += dot(held[i], held[i]);
  }
  const float factor = LengthFactor(p, GroupSum(squares));
  const uint64_t weight = p.weight + (p.weight_period == p.group ? 0ul : 4ul * gl_WorkGroupID.x * p.group);
  [[unroll]] for (uint i = 0; i < kHeldSize; ++i) {
    const uint at = gl_LocalInvocationID.x + i * kThreads;
    if (at >= vectors) break;
    vec4 value = held[i] * factor;
    if (p.weight != 0) value *= Vectors(weight).v[at];
    WritableVectors(result).v[at] = value;
  }
}

void main() {
  const ReduceParams p = ReduceParamsRecord(push.op).p;
  const uint row = gl_WorkGroupID.y, begin = gl_WorkGroupID.x * p.group, end = begin + p.group;
  Floats source = Row(p.source, row), result = Row(p.result, row);
  if (kHeld > 0) {
    NormHeld(p, RowAddress(p.source, row) + 4ul * begin, RowAddress(p.result, row) + 4ul * begin);
    return;
  }
  if (kKind == kSoftmax) {
    Softmax(source, result, begin, end);
    return;
  }
  const float n = float(p.group);
  const float mean = kKind == kLayer || kKind == kCutBelow ? MeanOf(source, begin, end) : 0;
  const float squares = SquaresFrom(source, begin, end, mean);
  if (kKind == kCutBelow) {
    const float cut = mean + p.epsilon * sqrt(squares / (n - 1));
    for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) result.v[i] = max(0.0, source.v[i] - cut);
    return;
  }
  float factor = 1;
  if (kKind == kMatchLength) {
    const float target = SquaresFrom(Row(p.like, row), 0, p.group, 0);
    factor = squares == 0 ? 1 : sqrt(target) / sqrt(squares);
  } else {
    factor = LengthFactor(p, squares);
  }
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += kThreads) {
    float value = (source.v[i] - mean) * factor;
    if (p.weight != 0) value *= Floats(p.weight).v[p.weight_period == p.group ? i - begin : i];
    if (p.bias != 0) value += Floats(p.bias).v[p.bias_period == p.group ? i - begin : i];
    result.v[i] = value;
  }
}
