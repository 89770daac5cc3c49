// A tile of queries against a tile of keys: what attention_few.comp and attention_many.comp have in
// common. A query is a token of an AttentionTile and a head of those that share a key/value head.
// Between the products of queries with keys and the sums of values an invocation has four keys of one
// query at a time ("fours"). Softmax is online (Milakov and Gimelshein 2018).
//
// Who includes this defines before: kSplits, planes of products to be added up; kPlanes, those and
// perhaps one more; kWeightsPlane, the one where the weights go. If that is one of the products, a
// barrier has to stand between the sums and the next products.
const uint kQueries = kTokens * kHeads;
const uint kFours = kTile / 4;
const uint kKeyEights = kKeySize / 8, kValueEights = kValueSize / 8;
const uint kScoresEach = (kQueries * kFours + kThreads - 1) / kThreads;

shared vec4 query[kQueries][kKeySize / 4];
shared vec4 products[kPlanes][kQueries][kFours];
shared vec4 largest_of_four[kQueries][kFours / 4];
shared float keeps[kQueries], largests[kQueries];  // what becomes of earlier sums; largest scores
shared uvec2 visible[kTokens];

// What a workgroup has to do: y: groups of kHeads query heads, those of a key/value head behind each
// other.
struct Work {
  AttentionTile tile;
  uint kv_head, first_head, heads;
  uint first, end;  // keys
  uint64_t key_offset, value_offset;
};

Work WorkOf(AttentionParams p, AttentionTile t) {
  Work w;
  w.tile = t;
  const uint group = p.heads / p.kv_heads, splits = (group + kHeads - 1) / kHeads;
  const uint first_in_group = gl_WorkGroupID.y % splits * kHeads;
  w.kv_head = gl_WorkGroupID.y / splits;
  w.first_head = w.kv_head * group + first_in_group;
  w.heads = min(kHeads, group - first_in_group);
  const uvec2 seen = VisibleToTile(p, t);
  const uint length = PartLength(seen, t.parts, kTile);
  w.first = seen.x + t.part * length;
  w.end = min(seen.y, w.first + length);
  w.key_offset = p.cache.key_offset + w.kv_head * p.cache.key_head;
  w.value_offset = kValuesInKeys ? w.key_offset : uint64_t(p.cache.value_offset + w.kv_head * p.cache.value_head);
  return w;
}

void LoadQueries(AttentionParams p, Work w) {
  for (uint i = gl_LocalInvocationID.x; i < kQueries * kKeySize; i += kThreads) {
    const uint r = i / kKeySize, d = i % kKeySize, token = r / kHeads, head = r % kHeads;
    float value = 0;
    if (token < w.tile.rows && head < w.heads)
      value = Row(p.q, w.tile.first_row + token).v[(w.first_head + head) * kKeySize + d];
    query[r][d / 4][d % 4] = value;
  }
  for (uint i = gl_LocalInvocationID.x; i < kTokens; i += kThreads)
    visible[i] = i < w.tile.rows ? Visible(p, w.tile.segment, w.tile.position + i) : uvec2(0);
}

// From products to scores, and the largest of each four.
void Scores(AttentionParams p, Work w, uint first, out vec4 scores[kScoresEach]) {
  [[unroll]] for (uint i = 0; i < kScoresEach; ++i) {
    const uint own = gl_LocalInvocationID.x + i * kThreads, r = own / kFours, four = own % kFours;
    if (r >= kQueries) break;
    vec4 product = vec4(0);
    [[unroll]] for (uint s = 0; s < kSplits; ++s) product += products[s][r][four];
    const uint token = r / kHeads, head = w.first_head + min(r % kHeads, w.heads - 1);
    const uvec2 seen = visible[token];
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      const uint key = first + four * 4 + j;
      scores[i][j] = kHidden;
      if (key >= max(w.first, seen.x) && key < min(w.end, seen.y))
        scores[i][j] = ScoreOf(p, product[j], head, w.tile.first_row + token, w.tile.position + token, key);
    }
    largest_of_four[r][four / 4][four % 4] = max(max(scores[i].x, scores[i].y), max(scores[i].z, scores[i].w));
  }
}

// From scores to weights. `largest`: of all tiles so far, of the query of each four.
void Weights(vec4 scores[kScoresEach], inout float largest[kScoresEach]) {
  [[unroll]] for (uint i = 0; i < kScoresEach; ++i) {
    const uint own = gl_LocalInvocationID.x + i * kThreads, r = own / kFours, four = own % kFours;
    if (r >= kQueries) break;
    float next = largest[i];
    [[unroll]] for (uint f = 0; f < kFours / 4; ++f) {
      const vec4 others = largest_of_four[r][f];
      next = max(next, max(max(others.x, others.y), max(others.z, others.w)));
    }
    products[kWeightsPlane][r][four] = mix(exp(scores[i] - next), vec4(0), equal(scores[i], vec4(kHidden)));
    if (four == 0) {
      keeps[r] = exp(largest[i] - next);
      largests[r] = next;
    }
    largest[i] = next;
  }
}

// Four columns of the result of a query, or of its part.
void Deliver(AttentionParams p, Work w, uint r, uint four, vec4 sum, float denominator) {
  const uint token = r / kHeads, head = r % kHeads;
  if (r >= kQueries || token >= w.tile.rows || head >= w.heads) return;
  if (w.tile.parts > 1) {
    Floats partial = PartialAt(p, w.tile, token, w.tile.part, w.first_head + head);
    [[unroll]] for (uint j = 0; j < 4; ++j) partial.v[4 * four + j] = sum[j];
    if (four == 0) {
      partial.v[kValueSize] = largests[r];
      partial.v[kValueSize + 1] = denominator;
    }
    return;
  }
  if (p.sinks != 0) {
    const float sink = Floats(p.sinks).v[w.first_head + head], next = max(largests[r], sink);
    sum *= exp(largests[r] - next);
    denominator = denominator * exp(largests[r] - next) + exp(sink - next);
  }
  Floats result = Row(p.result, w.tile.first_row + token);
  [[unroll]] for (uint j = 0; j < 4; ++j)
    result.v[(w.first_head + head) * kValueSize + 4 * four + j] = sum[j] / denominator;
}
