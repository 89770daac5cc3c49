#version 460
// Attention of a tile of queries, tokens of a prompt times the heads that share a key/value head:
// kTile keys at a time pass through shared memory, and after them their values through the same
// place. Each phase of products has its outputs in registers:
//   products: of two keys, kTile / 2 apart, with kRowsOfKeys queries;
//   sums:     of eight columns with kRowsOfValues queries.
// The next bytes are asked for before what lies there is computed with. x: tiles of rows from
// push.number on, y: groups of heads.
#include "attention.glsl"

layout(constant_id = 5) const uint kTile = 32;
layout(constant_id = 6) const uint kTokens = 8;
layout(constant_id = 7) const uint kHeads = 4;
const uint kSplits = 1, kPlanes = 1, kWeightsPlane = 0;

#include "attention_tile.glsl"

const uint kKeyPairs = kTile / 2;
const uint kKeyRows = kThreads / kKeyPairs, kRowsOfKeys = (kQueries + kKeyRows - 1) / kKeyRows;
const uint kValueRows = kThreads / kValueEights, kRowsOfValues = (kQueries + kValueRows - 1) / kValueRows;
const uint kKeyLoads = (kTile * kKeyEights + kThreads - 1) / kThreads;
const uint kValueLoads = (kTile * kValueEights + kThreads - 1) / kThreads;
const uint kMostEights = kKeyEights > kValueEights ? kKeyEights : kValueEights;
const uint kWords = kHalf ? 1 : 2;

// Keys as [eight][key], values as [key][eight]; of float32 the high halves lie behind all low ones.
shared uvec4 stored[kWords * kTile * kMostEights];

const uint kHigh = kTile * kMostEights;

void Put(uint at, StoredEight e) {
  stored[at] = e.low;
  if (!kHalf) stored[(kWords - 1) * kHigh + at] = e.high;
}

StoredEight Get(uint at) {
  StoredEight e;
  e.low = stored[at];
  e.high = kHalf ? uvec4(0) : stored[(kWords - 1) * kHigh + at];
  return e;
}

// Beyond the last key it stands again: it gets no weight there.
void LoadKeys(AttentionParams p, Work w, uint first, out StoredEight loaded[kKeyLoads]) {
  [[unroll]] for (uint i = 0; i < kKeyLoads; ++i) {
    const uint at = min(gl_LocalInvocationID.x + i * kThreads, kTile * kKeyEights - 1);
    const uint index = KeyOf(p.cache, w.tile.segment, min(first + at % kTile, w.end - 1));
    const uint64_t page = PageAt(p.cache, w.tile.segment, index) + w.key_offset;
    loaded[i] = LoadEight(page, at / kTile * kPageTokens + index % kPageTokens);
  }
}

void LoadValues(AttentionParams p, Work w, uint first, out StoredEight loaded[kValueLoads]) {
  [[unroll]] for (uint i = 0; i < kValueLoads; ++i) {
    const uint at = min(gl_LocalInvocationID.x + i * kThreads, kTile * kValueEights - 1);
    const uint index = KeyOf(p.cache, w.tile.segment, min(first + at / kValueEights, w.end - 1));
    const uint slot = index % kPageTokens, eight = at % kValueEights;
    const uint64_t page = PageAt(p.cache, w.tile.segment, index) + w.value_offset;
    loaded[i] = LoadEight(page, kValuesInKeys ? eight * kPageTokens + slot : slot * kValueEights + eight);
  }
}

void Products() {
  const uint pair = gl_LocalInvocationID.x % kKeyPairs, group = gl_LocalInvocationID.x / kKeyPairs;
  if (group * kRowsOfKeys >= kQueries) return;
  vec2 sums[kRowsOfKeys];
  [[unroll]] for (uint i = 0; i < kRowsOfKeys; ++i) sums[i] = vec2(0);
  for (uint eight = 0; eight < kKeyEights; ++eight) {
    const StoredEight a = Get(eight * kTile + pair), b = Get(eight * kTile + pair + kKeyPairs);
    const vec4 a_low = LowOf(a), a_high = HighOf(a), b_low = LowOf(b), b_high = HighOf(b);
    [[unroll]] for (uint i = 0; i < kRowsOfKeys; ++i) {
      const uint r = min(group * kRowsOfKeys + i, kQueries - 1);
      const vec4 q_low = query[r][2 * eight], q_high = query[r][2 * eight + 1];
      sums[i].x += dot(q_low, a_low) + dot(q_high, a_high);
      sums[i].y += dot(q_low, b_low) + dot(q_high, b_high);
    }
  }
  [[unroll]] for (uint i = 0; i < kRowsOfKeys; ++i) {
    const uint r = group * kRowsOfKeys + i;
    if (r >= kQueries) break;
    products[0][r][pair / 4][pair % 4] = sums[i].x;
    products[0][r][(pair + kKeyPairs) / 4][pair % 4] = sums[i].y;
  }
}

void main() {
  const AttentionParams p = AttentionParamsRecord(push.op).p;
  const AttentionTile t = TileAt(push.number + gl_WorkGroupID.x);
  if (t.rows == 0) return;
  const Work w = WorkOf(p, t);
  if (w.first >= w.end) return;
  LoadQueries(p, w);
  const uint eight = gl_LocalInvocationID.x % kValueEights;
  const uint first_row = gl_LocalInvocationID.x / kValueEights * kRowsOfValues;
  vec4 low[kRowsOfValues], high[kRowsOfValues];
  float sums_of_weights[kRowsOfValues], largest[kScoresEach];
  [[unroll]] for (uint i = 0; i < kRowsOfValues; ++i) {
    low[i] = high[i] = vec4(0);
    sums_of_weights[i] = 0;
  }
  [[unroll]] for (uint i = 0; i < kScoresEach; ++i) largest[i] = kHidden;

  StoredEight keys[kKeyLoads], values[kValueLoads];
  LoadKeys(p, w, w.first, keys);
  for (uint first = w.first; first < w.end; first += kTile) {
    barrier();
    [[unroll]] for (uint i = 0; i < kKeyLoads; ++i) {
      const uint at = gl_LocalInvocationID.x + i * kThreads;
      if (at < kTile * kKeyEights) Put(at, keys[i]);
    }
    LoadValues(p, w, first, values);
    barrier();
    Products();
    barrier();
    [[unroll]] for (uint i = 0; i < kValueLoads; ++i) {
      const uint at = gl_LocalInvocationID.x + i * kThreads;
      if (at < kTile * kValueEights) Put(at, values[i]);
    }
    vec4 scores[kScoresEach];
    Scores(p, w, first, scores);
    if (first + kTile < w.end) LoadKeys(p, w, first + kTile, keys);
    barrier();
    Weights(scores, largest);
    barrier();

    if (first_row < kQueries) {
      [[unroll]] for (uint i = 0; i < kRowsOfValues; ++i) {
        const float keep = keeps[min(first_row + i, kQueries - 1)];
        low[i] *= keep;
        high[i] *= keep;
        sums_of_weights[i] *= keep;
      }
      for (uint four = 0; four < kFours; ++four) {
        vec4 weights[kRowsOfValues];
        [[unroll]] for (uint i = 0; i < kRowsOfValues; ++i) {
          weights[i] = products[0][min(first_row + i, kQueries - 1)][four];
          sums_of_weights[i] += weights[i].x + weights[i].y + weights[i].z + weights[i].w;
        }
        [[unroll]] for (uint j = 0; j < 4; ++j) {
          const StoredEight v = Get((four * 4 + j) * kValueEights + eight);
          const vec4 v_low = LowOf(v), v_high = HighOf(v);
          [[unroll]] for (uint i = 0; i < kRowsOfValues; ++i) {
            low[i] += weights[i][j] * v_low;
            high[i] += weights[i][j] * v_high;
          }
        }
      }
    }
  }
  [[unroll]] for (uint i = 0; i < kRowsOfValues; ++i) {
    Deliver(p, w, first_row + i, 2 * eight, low[i], sums_of_weights[i]);
    Deliver(p, w, first_row + i, 2 * eight + 1, high[i], sums_of_weights[i]);
  }
}
