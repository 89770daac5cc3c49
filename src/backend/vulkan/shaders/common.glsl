// What every shader begins with: the push constants, pointers, and rows of activation buffers.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require

#include "../op_params.h"

// Invocations of a workgroup.
layout(local_size_x_id = 0) in;
#define kThreads gl_WorkGroupSize.x

layout(push_constant, scalar) uniform PushBlock { Push push; };

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Floats { float v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) readonly buffer Vectors { vec4 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 16) buffer WritableVectors { vec4 v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Uints { uint v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Halves { uint16_t v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 1) readonly buffer Bytes { uint8_t v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer Addresses { uint64_t v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer Pass { PassHeader h; };
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer SegmentInfos { SegmentInfo v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer StateWrites { StateWriteInfo v[]; };

#define OP_RECORD(Type) \
  layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer Type##Record { Type p; }

uint64_t BufferAt(uint slot) { return Addresses(Pass(push.pass).h.buffers).v[slot]; }

uint64_t RowAddress(Matrix m, uint row) {
  return m.address + 4ul * (uint64_t(row) * m.stride);
}
Floats Row(Matrix m, uint row) { return Floats(RowAddress(m, row)); }

uint Position(uint row) { return Uints(Pass(push.pass).h.positions).v[row]; }
uint SegmentOf(uint row) { return Uints(Pass(push.pass).h.row_segments).v[row]; }
SegmentInfo SegmentAt(uint index) { return SegmentInfos(Pass(push.pass).h.segment_infos).v[index]; }

float HalfAt(uint64_t address) { return unpackHalf2x16(uint(Halves(address).v[0])).x; }

uint PackBytes(ivec4 v) {
  return uint(v.x) & 255 | (uint(v.y) & 255) << 8 | (uint(v.z) & 255) << 16 | uint(v.w) << 24;
}
