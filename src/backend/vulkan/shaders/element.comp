#version 460
// Ops on each value by itself. x: columns, y: rows.
#include "common.glsl"
#include "functions.glsl"

layout(constant_id = 1) const uint kKind = 0;
layout(constant_id = 2) const uint kActivation = 0;
layout(constant_id = 3) const bool kClampActivated = false;
const uint kUnary = 0, kXielu = 1, kGated = 2, kAdd = 3, kMul = 4, kAffine = 5, kScale = 6, kPositionScale = 7,
           kCopyHeads = 8, kMix = 9;

OP_RECORD(ElementParams);

void CopyHeads(ElementParams p, uint row, uint column) {
  if (column >= p.heads * p.size) return;
  const uint head = column / p.size, i = column % p.size;
  Row(p.result, row).v[head * p.out_stride + i] = Row(p.a, row).v[head * p.in_stride + i];
}

float Mix(ElementParams p, uint row, uint column) {
  const uint width = p.a.width / p.heads, j = column / width, d = column % width;
  Floats source = Row(p.a, row), weights = Row(p.b, row);
  float sum = 0;
  for (uint i = 0; i < p.heads; ++i) sum += weights.v[j * p.heads + i] * source.v[i * width + d];
  return sum;
}

float Scale(ElementParams p, uint column, float x) {
  x *= p.scale;
  if (p.weight != 0) x *= Floats(p.weight).v[column];
  x += p.offset;
  if (p.limit > 0) x = p.limit * Tanh(x / p.limit);
  return p.alpha > 0 ? clamp(x, -p.alpha, p.alpha) : x;
}

float Xielu(ElementParams p, float x) {
  return (x > 0 ? p.alpha * x * x : p.limit * (Expm1(min(x, p.epsilon)) - x)) + p.beta * x;
}

float Affine(ElementParams p, uint column, float x) {
  if (p.weight != 0) x *= Floats(p.weight).v[column];
  return p.bias != 0 ? x + Floats(p.bias).v[column] : x;
}

float PositionScale(ElementParams p, uint row, float x) {
  return x * (1 + p.scale * Log1p(float((Position(row) + p.position_offset) / p.period)));
}

void main() {
  const ElementParams p = ElementParamsRecord(push.op).p;
  const uint column = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (kKind == kCopyHeads) {
    CopyHeads(p, row, column);
    return;
  }
  if (column >= p.result.width) return;
  Floats result = Row(p.result, row);
  if (kKind == kMix) {
    result.v[column] = Mix(p, row, column);
    return;
  }
  const float a = Row(p.a, row).v[column];
  switch (kKind) {
    case kUnary: result.v[column] = Activate(kActivation, a); break;
    case kXielu: result.v[column] = Xielu(p, a); break;
    case kGated:
      result.v[column] = Gate(kActivation, kClampActivated, p.limit, p.alpha, a, Row(p.b, row).v[column]);
      break;
    case kAdd: result.v[column] = a + p.scale * Row(p.b, row).v[column]; break;
    case kMul: result.v[column] = a * Row(p.b, row).v[p.b.width == 1 ? 0 : column]; break;
    case kAffine: result.v[column] = Affine(p, column, a); break;
    case kScale: result.v[column] = Scale(p, column, a); break;
    case kPositionScale: result.v[column] = PositionScale(p, row, a); break;
  }
}
