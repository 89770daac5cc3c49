// How the query rows of a pass are cut into tiles for attention, and which tiles have their keys
// split so that the whole device is busy. The tiles are the same for all ops of a pass; what an op
// makes of the keys (a window) is its own affair.
#ifndef PUNA_BACKEND_VULKAN_ATTENTION_TILES_H_
#define PUNA_BACKEND_VULKAN_ATTENTION_TILES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/vulkan/op_params.h"

namespace puna::backend::vulkan {

// Sizes that depend on the hardware and not on the network; a kernel takes less where the heads of
// an op are too large for them.
struct KernelSizes {
  uint32_t threads = 0;  // of a workgroup
  uint32_t tile = 0;     // keys at a time
  uint32_t queries = 0;  // query heads times tokens of a workgroup, at most
};
struct AttentionTuning {
  KernelSizes few{128, 64, 8};      // attention_few.comp
  KernelSizes many{128, 32, 32};    // attention_many.comp
  uint32_t busy_groups = 512;       // workgroups that keep a device busy
  int64_t shared_bytes = 32 << 10;  // that a workgroup may have
};

// What the ops of a plan ask for.
struct AttentionNeeds {
  uint32_t groups_per_tile = 0;  // workgroups, the fewest of an op; 0: there is no op
  uint32_t tile = 0;             // keys at a time, the most of an op
  uint32_t tile_tokens = 1;      // of tiles of several tokens
  int64_t most_records = 0;      // rows of partial results, times parts
};

struct TileCounts {
  uint32_t single = 0, several = 0;  // tiles of one token, and of up to tile_tokens
  uint32_t split_single = 0, split_several = 0;
  auto operator<=>(const TileCounts&) const = default;
};

struct TileList {
  // As PassHeader::attention_tiles says. The counts are rounded up, so that few of them occur.
  std::vector<AttentionTile> tiles;
  TileCounts counts;
};

inline constexpr uint32_t kMostParts = 128;  // as in attention_merge.comp

TileList TilesFor(std::span<const SegmentInfo> segments, const AttentionNeeds& needs,
                  const AttentionTuning& tuning);

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_ATTENTION_TILES_H_
