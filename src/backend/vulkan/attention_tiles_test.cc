#include "backend/vulkan/attention_tiles.h"

#include <gtest/gtest.h>

#include <map>

namespace puna::backend::vulkan {
namespace {

std::vector<SegmentInfo> Segments(const std::vector<std::pair<uint, uint>>& starts_and_tokens) {
  std::vector<SegmentInfo> segments;
  uint row = 0;
  for (const auto& [start, tokens] : starts_and_tokens) {
    segments.push_back({.first_row = row, .tokens = tokens, .start_position = start});
    row += tokens;
  }
  return segments;
}

// Every row once with each of its parts, records apart, lists filled up with nothing.
void CheckTiles(const std::vector<SegmentInfo>& segments, const AttentionNeeds& needs,
                const TileList& list) {
  const TileCounts& c = list.counts;
  ASSERT_EQ(list.tiles.size(), c.single + c.several + c.split_single + c.split_several);
  std::map<std::pair<uint, uint>, int> parts_of_rows;
  std::map<uint, uint> split_rows, merged_rows;
  for (size_t i = 0; i < list.tiles.size(); ++i) {
    const AttentionTile& tile = list.tiles[i];
    if (tile.rows == 0) continue;
    const bool single =
        i < c.single || (i >= c.single + c.several && i < c.single + c.several + c.split_single);
    EXPECT_LE(tile.rows, single ? 1u : needs.tile_tokens);
    EXPECT_EQ(tile.position - tile.segment.start_position, tile.first_row - tile.segment.first_row);
    EXPECT_LE(tile.position + tile.rows, tile.segment.start_position + tile.segment.tokens);
    EXPECT_LE(tile.parts, kMostParts);
    if (tile.parts > 1) {
      EXPECT_LE(tile.partial + tile.rows * tile.parts, needs.most_records);
    }
    for (uint row = tile.first_row; row < tile.first_row + tile.rows; ++row) {
      if (i < c.single + c.several) {
        ++parts_of_rows[{row, tile.part}];
        if (tile.parts > 1 && tile.part == 0) split_rows[row] = tile.partial;
      } else {
        EXPECT_GT(tile.parts, 1u);
        merged_rows[row] = tile.partial;
      }
    }
  }
  EXPECT_EQ(split_rows, merged_rows);
  size_t rows = 0;
  for (const SegmentInfo& segment : segments) rows += segment.tokens;
  size_t first_parts = 0;
  for (const auto& [row, times] : parts_of_rows) {
    EXPECT_EQ(times, 1);
    first_parts += row.second == 0 ? 1 : 0;
  }
  EXPECT_EQ(first_parts, rows);
}

TEST(AttentionTiles, CoverEveryRowOnce) {
  const AttentionTuning tuning;
  const AttentionNeeds needs{
      .groups_per_tile = 8, .tile = 64, .tile_tokens = 4, .most_records = 100};
  for (const auto& segments :
       {Segments({{0, 1}}), Segments({{4000, 1}}), Segments({{0, 500}}),
        Segments({{500, 6}, {0, 3}, {9000, 1}, {30, 1}}), Segments({{100000, 5}}),
        Segments({{700, 1}, {700, 1}, {700, 1}, {5000, 17}})}) {
    CheckTiles(segments, needs, TilesFor(segments, needs, tuning));
  }
}

// One long sequence beside many short ones: the parts of all are about equally long.
TEST(AttentionTiles, SplitByLength) {
  const AttentionNeeds needs{
      .groups_per_tile = 8, .tile = 64, .tile_tokens = 4, .most_records = 1024};
  std::vector<std::pair<uint, uint>> all(31, {100, 1});
  all.emplace_back(8000, 1);
  const auto segments = Segments(all);
  const TileList list = TilesFor(segments, needs, {});
  CheckTiles(segments, needs, list);
  EXPECT_EQ(list.tiles.front().parts, 1u);
  EXPECT_GE(list.counts.single, 31u + 30u);
  // 11131 keys, 64 tiles of 8 groups: parts of 192 keys.
  const AttentionTile& last = list.tiles[list.counts.single + list.counts.several];
  EXPECT_EQ(last.parts, 42u);
}

TEST(AttentionTiles, OfNoOpAreNone) {
  EXPECT_TRUE(TilesFor(Segments({{0, 5}}), {}, {}).tiles.empty());
}

}  // namespace
}  // namespace puna::backend::vulkan
