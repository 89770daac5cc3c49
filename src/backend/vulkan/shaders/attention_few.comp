#version 460
// Attention of the query heads that share a key/value head, for one token or a few: keys and values
// are read once, sixteen bytes at a time and straight into registers. A tile of kTile keys has four
// phases:
//   products: an invocation has one key and every kSplits-th eight of its values, for all queries;
//   scores, weights: attention_tile.glsl;
//   sums:     an invocation has eight columns of the values, and every kSubsets-th four of the keys.
// The values of a tile are asked for before its keys, so that they arrive meanwhile. Nothing depends
// on the size of subgroups. x: tiles of rows from push.number on, y: groups of heads.
#include "attention.glsl"

layout(constant_id = 5) const uint kTile = 64;  // a multiple of 16, kThreads one of it
layout(constant_id = 6) const uint kTokens = 1;
layout(constant_id = 7) const uint kHeads = 4;
const uint kSplits = kThreads / kTile, kPlanes = kSplits + 1, kWeightsPlane = kSplits;

#include "attention_tile.glsl"

const uint kSubsets = kThreads / kValueEights;
const uint kFoursEach = (kFours + kSubsets - 1) / kSubsets;
// What is over where the work does not divide evenly; at 0 nothing has to be asked.
const uint kKeysOver = kKeyEights % kSplits;
const uint kValuesOver = kThreads % kValueEights + kFours % kSubsets;
// Queries whose sums pass through shared memory together at the end.
const uint kRound = kKeySize > 128 ? 1 : kQueries < 4 ? kQueries : 4;

shared float denominators[kQueries][kSubsets];
shared vec4 columns[kRound][kSubsets][kValueEights * 2];

// The products of one key with all queries, as far as this invocation has its values.
void Products(uint64_t keys, uint slot) {
  const uint split = gl_LocalInvocationID.x / kTile, in_tile = gl_LocalInvocationID.x % kTile;
  float sums[kQueries];
  [[unroll]] for (uint r = 0; r < kQueries; ++r) sums[r] = 0;
  [[unroll]] for (uint i = 0; i < (kKeyEights + kSplits - 1) / kSplits; ++i) {
    const uint eight = split + i * kSplits;
    if (kKeysOver != 0 && eight >= kKeyEights) break;
    const StoredEight k = LoadEight(keys, eight * kPageTokens + slot);
    const vec4 low = LowOf(k), high = HighOf(k);
    [[unroll]] for (uint r = 0; r < kQueries; ++r)
      sums[r] += dot(query[r][2 * eight], low) + dot(query[r][2 * eight + 1], high);
  }
  [[unroll]] for (uint r = 0; r < kQueries; ++r) products[split][r][in_tile / 4][in_tile % 4] = sums[r];
}

void main() {
  const AttentionParams p = AttentionParamsRecord(push.op).p;
  const AttentionTile t = TileAt(push.number + gl_WorkGroupID.x);
  if (t.rows == 0) return;
  const Work w = WorkOf(p, t);
  if (w.first >= w.end) return;
  const uint last = w.end - 1;
  LoadQueries(p, w);
  const uint subset = gl_LocalInvocationID.x / kValueEights, eight = gl_LocalInvocationID.x % kValueEights;
  vec4 low[kQueries], high[kQueries];
  float sums_of_weights[kQueries], largest[kScoresEach];
  [[unroll]] for (uint r = 0; r < kQueries; ++r) {
    low[r] = high[r] = vec4(0);
    sums_of_weights[r] = 0;
  }
  [[unroll]] for (uint i = 0; i < kScoresEach; ++i) largest[i] = kHidden;
  barrier();

  for (uint first = w.first; first < w.end; first += kTile) {
    // Beyond the last key it stands again: it gets no weight there.
    StoredEight values[kFoursEach * 4];
    [[unroll]] for (uint i = 0; i < kFoursEach; ++i) {
      if (kValuesOver != 0 && (subset >= kSubsets || subset + i * kSubsets >= kFours)) break;
      const uint key = first + (subset + i * kSubsets) * 4;
      const uint64_t page = PageAt(p.cache, t.segment, KeyOf(p.cache, t.segment, min(key, last))) + w.value_offset;
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        const uint slot = KeyOf(p.cache, t.segment, min(key + j, last)) % kPageTokens;
        values[4 * i + j] = LoadEight(page, kValuesInKeys ? eight * kPageTokens + slot : slot * kValueEights + eight);
      }
    }
    const uint own = KeyOf(p.cache, t.segment, min(first + gl_LocalInvocationID.x % kTile, last));
    Products(PageAt(p.cache, t.segment, own) + w.key_offset, own % kPageTokens);
    barrier();
    vec4 scores[kScoresEach];
    Scores(p, w, first, scores);
    barrier();
    Weights(scores, largest);
    barrier();

    [[unroll]] for (uint r = 0; r < kQueries; ++r) {
      const float keep = keeps[r];
      low[r] *= keep;
      high[r] *= keep;
      sums_of_weights[r] *= keep;
    }
    [[unroll]] for (uint i = 0; i < kFoursEach; ++i) {
      if (kValuesOver != 0 && (subset >= kSubsets || subset + i * kSubsets >= kFours)) break;
      vec4 weights[kQueries];
      [[unroll]] for (uint r = 0; r < kQueries; ++r) {
        weights[r] = products[kWeightsPlane][r][subset + i * kSubsets];
        sums_of_weights[r] += weights[r].x + weights[r].y + weights[r].z + weights[r].w;
      }
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        const vec4 v_low = LowOf(values[4 * i + j]), v_high = HighOf(values[4 * i + j]);
        [[unroll]] for (uint r = 0; r < kQueries; ++r) {
          low[r] += weights[r][j] * v_low;
          high[r] += weights[r][j] * v_high;
        }
      }
    }
  }

  if (subset < kSubsets && eight == 0) {
    [[unroll]] for (uint r = 0; r < kQueries; ++r) denominators[r][subset] = sums_of_weights[r];
  }
  [[unroll]] for (uint round = 0; round < kQueries; round += kRound) {
    [[unroll]] for (uint i = 0; i < kRound; ++i) {
      if (round + i >= kQueries || subset >= kSubsets) break;
      columns[i][subset][2 * eight] = low[round + i];
      columns[i][subset][2 * eight + 1] = high[round + i];
    }
    barrier();
    for (uint i = gl_LocalInvocationID.x; i < kRound * kValueEights * 2; i += kThreads) {
      const uint r = i / (kValueEights * 2), four = i % (kValueEights * 2);
      if (round + r >= kQueries) break;
      vec4 sum = vec4(0);
      float denominator = 0;
      for (uint s = 0; s < kSubsets; ++s) {
        sum += columns[r][s][four];
        denominator += denominators[round + r][s];
      }
      Deliver(p, w, round + r, four, sum, denominator);
    }
    barrier();
  }
}
