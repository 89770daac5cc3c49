#version 460
// Adds up what the workgroups of matmul_matrix.comp made that share the columns of a product. x: output values,
// y: input rows.
#include "common.glsl"
#include "products.glsl"

layout(constant_id = 1) const uint kSplits = 2;

OP_RECORD(ProductParams);

void main() {
  const ProductParams p = ProductParamsRecord(push.op).p;
  const uint row = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y, tokens = push.number;
  if (row >= p.rows) return;
  Floats parts = Floats(BufferAt(p.partial_slot));
  float sum = 0;
  [[unroll]] for (uint split = 0; split < kSplits; ++split) sum += parts.v[(split * tokens + token) * p.rows + row];
  const float scale = Floats(BufferAt(p.rounded_slot) + uint64_t(token) * p.rounded_bytes).v[0];
  PutProduct(p, token, 0, 0, row, sum * scale);
}
