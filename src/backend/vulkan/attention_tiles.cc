// A part should be long enough to be worth its share of the merge, and all parts of a pass equally
// long, so that a long sequence beside short ones does not end last.
#include "backend/vulkan/attention_tiles.h"

#include <algorithm>
#include <bit>

#include "base/rounding.h"

namespace puna::backend::vulkan {
namespace {

// To steps of a quarter of a power of two.
size_t RoundedCount(size_t n) {
  const size_t step = std::max<size_t>(1, std::bit_floor(n) / 4);
  return (n + step - 1) / step * step;
}

std::vector<AttentionTile> Cut(std::span<const SegmentInfo> segments, uint32_t tile_tokens) {
  std::vector<AttentionTile> tiles;
  for (const SegmentInfo& segment : segments) {
    for (uint32_t row = 0; row < segment.tokens; row += tile_tokens) {
      tiles.push_back({.segment = segment,
                       .first_row = segment.first_row + row,
                       .rows = std::min(tile_tokens, segment.tokens - row),
                       .position = segment.start_position + row,
                       .parts = 1});
    }
  }
  return tiles;
}

int64_t KeysOf(const AttentionTile& tile) { return int64_t{tile.position} + tile.rows; }

// Moves a list into `to`, filled up; the count that it has there.
uint32_t Append(const std::vector<AttentionTile>& list, std::vector<AttentionTile>* to) {
  const size_t count = RoundedCount(list.size());
  to->insert(to->end(), list.begin(), list.end());
  to->resize(to->size() + count - list.size());
  return static_cast<uint32_t>(count);
}

}  // namespace

TileList TilesFor(std::span<const SegmentInfo> segments, const AttentionNeeds& needs,
                  const AttentionTuning& tuning) {
  TileList result;
  if (needs.groups_per_tile == 0) return result;
  const std::vector<AttentionTile> tiles = Cut(segments, needs.tile_tokens);
  int64_t keys = 0;
  for (const AttentionTile& tile : tiles) keys += KeysOf(tile);
  const int64_t even = DivideUp(keys * needs.groups_per_tile, tuning.busy_groups);
  const int64_t per_part = std::max<int64_t>(1, DivideUp(even, needs.tile)) * needs.tile;

  std::vector<AttentionTile> single, several, split_single, split_several;
  int64_t records = 0;
  for (AttentionTile tile : tiles) {
    const bool is_single = tile.rows == 1;
    const int64_t parts = std::min<int64_t>(DivideUp(KeysOf(tile), per_part), kMostParts);
    if (parts > 1 && records + parts * tile.rows <= needs.most_records) {
      tile.parts = static_cast<uint>(parts);
      tile.partial = static_cast<uint>(records);
      records += parts * tile.rows;
      (is_single ? split_single : split_several).push_back(tile);
    }
    for (tile.part = 0; tile.part < tile.parts; ++tile.part)
      (is_single ? single : several).push_back(tile);
  }
  result.counts.single = Append(single, &result.tiles);
  result.counts.several = Append(several, &result.tiles);
  result.counts.split_single = Append(split_single, &result.tiles);
  result.counts.split_several = Append(split_several, &result.tiles);
  return result;
}

}  // namespace puna::backend::vulkan
