#version 460
// The experts of each row. x: rows, a workgroup each.
#include "common.glsl"
#include "functions.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint kExperts = 8;
const uint kSoftmax = 0, kSigmoid = 1, kSoftmaxOfSelected = 2;
const float kSmallestWeightSum = 6.103515625e-5;
const float kNever = -3.0e38;

OP_RECORD(RouteParams);

shared float probability[kExperts];
shared float selection[kExperts];
shared float group_score[kExperts];

// The largest of values[0, count) that is left, the first of equals; it is the same for all
// invocations.
uint Best(bool of_groups, uint count) {
  float largest = kNever;
  for (uint i = gl_LocalInvocationID.x; i < count; i += kThreads)
    largest = max(largest, of_groups ? group_score[i] : selection[i]);
  largest = GroupMax(largest);
  float first = float(count);  // exact: there are fewer than 2^24
  for (uint i = gl_LocalInvocationID.x; i < count; i += kThreads) {
    if ((of_groups ? group_score[i] : selection[i]) == largest) first = min(first, float(i));
  }
  return uint(-GroupMax(-first));
}

void Probabilities(RouteParams p, Floats logits) {
  float largest = kNever, sum = 1;
  if (p.score == kSoftmax) {
    for (uint i = gl_LocalInvocationID.x; i < kExperts; i += kThreads) largest = max(largest, logits.v[i]);
    largest = GroupMax(largest);
    sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < kExperts; i += kThreads) sum += exp(logits.v[i] - largest);
    sum = GroupSum(sum);
  }
  for (uint i = gl_LocalInvocationID.x; i < kExperts; i += kThreads) {
    float value = logits.v[i];
    if (p.score == kSoftmax) value = exp(value - largest) / sum;
    if (p.score == kSigmoid) value = Sigmoid(value);
    probability[i] = value;
    selection[i] = p.selection_bias != 0 ? value + Floats(p.selection_bias).v[i] : value;
  }
  barrier();
}

// Puts the experts of all but the best groups out of the race.
void KeepBestGroups(RouteParams p) {
  const uint size = p.experts / p.groups;
  for (uint g = gl_LocalInvocationID.x; g < p.groups; g += kThreads) {
    float best = kNever, second = kNever;
    for (uint i = g * size; i < (g + 1) * size; ++i) {
      const float value = selection[i];
      second = max(second, min(best, value));
      best = max(best, value);
    }
    group_score[g] = size > 1 ? best + second : best;
  }
  barrier();
  for (uint n = 0; n < p.groups_used; ++n) {
    const uint g = min(Best(true, p.groups), p.groups - 1);
    barrier();
    // A chosen group is marked by a value that no score has.
    if (gl_LocalInvocationID.x == 0) group_score[g] = kNever;
    barrier();
  }
  for (uint i = gl_LocalInvocationID.x; i < p.experts; i += kThreads) {
    if (group_score[i / size] != kNever) selection[i] = kNever;
  }
  barrier();
}

void main() {
  const RouteParams p = RouteParamsRecord(push.op).p;
  const uint row = gl_WorkGroupID.x;
  Probabilities(p, Row(p.logits, row));
  if (p.groups > 1) KeepBestGroups(p);
  Uints chosen = Uints(BufferAt(p.chosen_slot) + 4ul * row * p.used);
  Floats weights = Floats(BufferAt(p.weight_slot) + 4ul * row * p.used);
  float sum = 0, largest = kNever;
  for (uint n = 0; n < p.used; ++n) {
    const uint winner = min(Best(false, p.experts), p.experts - 1), expert = winner / p.fold;
    const float weight = probability[expert];
    barrier();
    if (gl_LocalInvocationID.x == 0) {
      selection[winner] = kNever;
      chosen.v[n] = expert;
      weights.v[n] = weight;
    }
    barrier();
    sum += weight;
    largest = max(largest, weight);
  }
  if (gl_LocalInvocationID.x != 0) return;
  if (p.score == kSoftmaxOfSelected) {
    sum = 0;
    for (uint n = 0; n < p.used; ++n) {
      weights.v[n] = exp(weights.v[n] - largest);
      sum += weights.v[n];
    }
    for (uint n = 0; n < p.used; ++n) weights.v[n] /= sum;
    sum = 1;
  }
  for (uint n = 0; n < p.used; ++n) {
    float weight = weights.v[n];
    if (p.normalize != 0) weight /= max(sum, kSmallestWeightSum);
    if (p.expert_scale != 0) weight *= Floats(p.expert_scale).v[chosen.v[n]];
    weights.v[n] = weight * p.scale;
  }
}
