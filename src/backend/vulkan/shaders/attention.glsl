// What the kernels of attention share: who sees which keys, and what a product becomes before the
// softmax.
#include "common.glsl"
#include "cache.glsl"
#include "functions.glsl"

layout(constant_id = 2) const uint kKeySize = 64;
layout(constant_id = 3) const uint kValueSize = 64;
layout(constant_id = 4) const bool kValuesInKeys = false;

OP_RECORD(AttentionParams);

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer AttentionTiles { AttentionTile v[]; };

const float kHidden = -3.0e38;

AttentionTile TileAt(uint index) { return AttentionTiles(Pass(push.pass).h.attention_tiles).v[index]; }

// Keys [x, y) that the token at `position` may see.
uvec2 Visible(AttentionParams p, SegmentInfo s, uint position) {
  if (p.is_cross != 0) return uvec2(0, s.encoded);
  uint begin = p.cache.is_scratch != 0 ? s.start_position : s.encoded, end = s.start_position + s.tokens;
  if (p.causal != 0) {
    end = position + 1;
    if (p.window > 0 && end > p.window) begin = max(begin, end - p.window);
    if (p.chunk > 0) begin = max(begin, position / p.chunk * p.chunk);
  } else if (p.window > 0) {
    const uint reach = p.window / 2;
    if (position > reach) begin = max(begin, position - reach);
    end = min(end, position + reach + 1);
  }
  return uvec2(begin, end);
}

// What any row of a tile may see, from the beginning of a page on.
uvec2 VisibleToTile(AttentionParams p, AttentionTile t) {
  uvec2 seen = uvec2(Visible(p, t.segment, t.position).x, Visible(p, t.segment, t.position + t.rows - 1).y);
  seen.x -= KeyOf(p.cache, t.segment, seen.x) % kPageTokens;
  return seen;
}

// How many keys a part has, whole multiples of `tile`; parts at the end may have none.
uint PartLength(uvec2 seen, uint parts, uint tile) {
  const uint keys = (seen.y - seen.x + parts - 1) / parts;
  return (keys + tile - 1) / tile * tile;
}

float ScoreOf(AttentionParams p, float product, uint head, uint row, uint position, uint key) {
  if (p.selection != 0) {
    const PassHeader h = Pass(push.pass).h;
    const uint64_t words = uint64_t((p.selection - 1) * h.tokens + row) * h.selection_words;
    if ((Uints(h.selections + 4ul * words).v[key / 32] >> (key % 32) & 1) == 0) return kHidden;
  }
  float score = product * p.scale;
  if (p.softcap > 0) score = p.softcap * Tanh(score / p.softcap);
  const int distance = int(key) - int(position);
  if (p.slopes != 0) score -= Floats(p.slopes).v[head] * float(abs(distance));
  if (p.bias != 0) {
    const int reach = int(p.bias_reach);
    score += Floats(p.bias).v[head * uint(2 * reach + 1) + uint(clamp(distance, -reach, reach) + reach)];
  }
  return score;
}

// The record of a row, a part and a head.
Floats PartialAt(AttentionParams p, AttentionTile t, uint row, uint part, uint head) {
  const uint64_t record = uint64_t(t.partial + row * t.parts + part) * p.heads + head;
  return Floats(BufferAt(p.partial_slot) + 4ul * record * (kValueSize + 2));
}
