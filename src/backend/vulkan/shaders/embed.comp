#version 460
// A row of a table per token: result = scale * row, or result += row. x: blocks of 8 columns, y: tokens.
#include "common.glsl"
#include "decode.glsl"

layout(constant_id = 2) const uint kBy = 0;  // 0: token, 1: position, 2: fixed row
layout(constant_id = 3) const bool kAdds = false;

OP_RECORD(EmbedParams);

void main() {
  PrepareDecode();
  const EmbedParams p = EmbedParamsRecord(push.op).p;
  const uint column = gl_GlobalInvocationID.x * 8, token = gl_WorkGroupID.y;
  if (column >= p.result.width) return;
  uint index = p.fixed_row;
  if (kBy == 0) index = Uints(Pass(push.pass).h.token_ids).v[token];
  if (kBy == 1) index = Position(token);
  const Eight e = Decode(p.table + uint64_t(index) * p.row_bytes, column, p.result.width);
  Floats result = Row(p.result, token);
  for (uint i = 0; i < 8 && column + i < p.result.width; ++i) {
    const float value = i < 4 ? e.low[i] : e.high[i - 4];
    if (kAdds) {
      result.v[column + i] += value;
    } else {
      result.v[column + i] = p.scale * value;
    }
  }
}
