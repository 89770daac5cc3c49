#version 460
// Rows of one space become rows of the next. x: columns, y: rows of the result.
#include "common.glsl"

layout(constant_id = 1) const uint kKind = 0;
// In place: one invocation per column moves its values to lower rows, one after the other.
// kAnswer: the outputs, rows of all tokens, leave the device. kInput: what another device computed
// comes in.
const uint kSelect = 0, kSelectInPlace = 1, kPool = 2, kAnswer = 3, kInput = 4;
const uint kFirst = 2, kLast = 3;

OP_RECORD(SelectParams);

float Pool(SelectParams p, SegmentInfo s, uint column) {
  if (p.pooling == kFirst) return Row(p.source, s.first_row).v[column];
  if (p.pooling == kLast) return Row(p.source, s.first_row + s.tokens - 1).v[column];
  // Compensated (Kahan): a text may have thousands of rows.
  precise float sum = 0, lost = 0;
  for (uint i = 0; i < s.tokens; ++i) {
    precise const float value = Row(p.source, s.first_row + i).v[column] - lost;
    precise const float next = sum + value;
    lost = (next - sum) - value;
    sum = next;
  }
  return sum / float(s.tokens);
}

void main() {
  const SelectParams p = SelectParamsRecord(push.op).p;
  const uint column = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (column >= p.source.width) return;
  const PassHeader h = Pass(push.pass).h;
  Uints rows = Uints(h.output_rows);
  if (kKind == kSelect) {
    Row(p.result, row).v[column] = Row(p.source, rows.v[row]).v[column];
  } else if (kKind == kSelectInPlace) {
    for (uint i = 0; i < h.outputs; ++i) Row(p.result, i).v[column] = Row(p.source, rows.v[i]).v[column];
  } else if (kKind == kInput) {
    Row(p.result, row).v[column] = Floats(h.given + 4ul * row * p.source.width).v[column];
  } else if (kKind == kPool) {
    Row(p.result, row).v[column] = Pool(p, SegmentAt(row), column);
  } else {
    Floats(h.answer + 4ul * row * p.source.width).v[column] = Row(p.source, rows.v[row]).v[column];
  }
}
