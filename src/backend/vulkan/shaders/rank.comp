#version 460
// The largest values of a row, by value and then by column, in no particular order. A workgroup
// finds those of a piece of the row, or of what the workgroups of the level before found; the last
// level writes where the host reads. x: pieces, y: ranked rows.
//
// Values are compared as integers that are ordered alike (keys). The key of the last one that is
// wanted is found bit by bit: with how many is a bit more still enough? So time does not depend on
// how many are wanted, and invocations never wait for each other but to count.
#include "common.glsl"

layout(constant_id = 1) const uint kFirstLevel = 0;
layout(constant_id = 2) const uint kLastLevel = 0;

layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Candidates { RankedValue v[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) readonly buffer Requests { RankedRequest v[]; };

OP_RECORD(RankParams);

const uint kRounds = 68;
shared uint counts[kRounds];
shared uint taken;

uint keys[kRankedHeld], columns[kRankedHeld];
uint round_index = 0;

// 0 for what is not finite; both zeros are one.
uint KeyOf(float value) {
  uint bits = floatBitsToUint(value);
  if ((bits & 0x7f800000u) == 0x7f800000u) return 0;
  if (bits == 0x80000000u) bits = 0;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The sum over the workgroup.
uint CountAll(uint own) {
  const uint part = subgroupAdd(own);
  if (subgroupElect()) atomicAdd(counts[round_index], part);
  barrier();
  return counts[round_index++];
}

uint CountFrom(uint key) {
  uint own = 0;
  [[unroll]] for (uint i = 0; i < kRankedHeld; ++i) own += keys[i] >= key ? 1 : 0;
  return CountAll(own);
}

uint CountTies(uint key, uint below) {
  uint own = 0;
  [[unroll]] for (uint i = 0; i < kRankedHeld; ++i)
    own += keys[i] == key && columns[i] < below ? 1 : 0;
  return CountAll(own);
}

void Load(RankParams p, uint row, uint output_row) {
  const uint first = gl_WorkGroupID.x * kRankedHeld * kThreads + gl_LocalInvocationIndex;
  Floats values = Row(p.source, output_row);
  Candidates candidates = Candidates(BufferAt(p.source_slot) + 8ul * uint64_t(row) * p.source_stride);
  [[unroll]] for (uint i = 0; i < kRankedHeld; ++i) {
    const uint at = first + i * kThreads;
    keys[i] = 0;
    columns[i] = at;
    if (at >= p.count) continue;
    if (kFirstLevel != 0) {
      keys[i] = KeyOf(values.v[at]);
    } else {
      keys[i] = candidates.v[at].key;
      columns[i] = candidates.v[at].column;
    }
  }
}

void main() {
  const RankParams p = RankParamsRecord(push.op).p;
  const PassHeader h = Pass(push.pass).h;
  const uint row = gl_WorkGroupID.y;
  const RankedRequest wanted = Requests(h.ranked).v[row];
  for (uint i = gl_LocalInvocationIndex; i < kRounds; i += kThreads) counts[i] = 0;
  if (gl_LocalInvocationIndex == 0) taken = 0;
  Load(p, row, wanted.output_row);
  barrier();

  uint threshold = 0;  // the key of the last one that is wanted; 0: there are too few
  for (uint bit = 0x80000000u; bit != 0; bit >>= 1) {
    if (CountFrom(threshold | bit) >= wanted.count) threshold |= bit;
  }
  uint last_column = 0xffffffffu;  // of those with this key
  if (threshold != 0 && CountFrom(threshold) > wanted.count) {
    const uint ties = wanted.count - CountFrom(threshold + 1);
    last_column = 0;
    for (uint bit = 1u << findMSB(p.columns); bit != 0; bit >>= 1) {
      if (CountTies(threshold, last_column | bit) < ties) last_column |= bit;
    }
  }

  const uint piece = row * p.result_stride + gl_WorkGroupID.x * kMostRanked;
  Candidates result = Candidates(kLastLevel != 0 ? h.ranked_answer + 8ul * wanted.first
                                                 : BufferAt(p.result_slot) + 8ul * piece);
  [[unroll]] for (uint i = 0; i < kRankedHeld; ++i) {
    if (keys[i] == 0 || keys[i] < threshold) continue;
    if (keys[i] == threshold && columns[i] > last_column) continue;
    result.v[atomicAdd(taken, 1)] = RankedValue(keys[i], columns[i]);
  }
  barrier();
  const uint room = kLastLevel != 0 ? wanted.count : kMostRanked;
  for (uint i = taken + gl_LocalInvocationIndex; i < room; i += kThreads)
    result.v[i] = RankedValue(0, 0);
}
