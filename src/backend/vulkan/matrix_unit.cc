#include "backend/vulkan/matrix_unit.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backend/vulkan/op_params.h"
#include "backend/vulkan/shaders.h"

namespace puna::backend::vulkan {
namespace {

constexpr uint32_t kDeepestTile = 256;
constexpr uint32_t kMostThreads = 512;  // as instance.cc asks for

// Large tiles load least for each product, but a device needs workgroups enough to be busy: on an
// H100 the first did 150 TFLOP/s (Q4_K, 4096 x 4096, 512 tokens), the second 115 and the last 62;
// with 1024 x 4096, where the first makes 32 workgroups, 37 and the second 64.
struct LargeTile {
  TileShape shape;
  uint32_t least_tokens;
};
constexpr LargeTile kLargeTiles[] = {{{128, 128, 64, 4, 4, 1}, 129}, {{64, 64, 64, 2, 2, 1}, 1}};
constexpr uint32_t kBusyWorkgroups = 96;
// Few input rows make few workgroups, which then share the columns, each with two tiles of them at
// least, until there are so many: on an H100, 32 tokens by 4096 x 14336 (Q4_K) took 226 us in tiles
// of 64, 96 in tiles of 32 and 77 in 256 workgroups of tiles of 64; with 14336 x 4096, 224
// workgroups took 79 and 896 took 96.
constexpr uint32_t kManyWorkgroups = 192, kMostSplits = 8, kMostSplitTokens = 128;
constexpr int64_t kMostPartialFloats = int64_t{2} << 20;
constexpr TileShape kTile = {32, 32, 128, 2, 2, 1};
// Up to 32 tokens, where half of the larger tiles would be empty. On an H100, 32 tokens by Q4_K:
// 14336 x 4096 took 59 us in the first in two shares (70 in tiles of 64), 4096 x 4096 24 in the
// second in two (27), 4096 x 14336 64 (67).
constexpr TileShape kWideTileOfFew = {128, 32, 64, 4, 1, 1}, kTileOfFew = {32, 32, 128, 2, 2, 1};
constexpr uint32_t kWideWorkgroups = 96;
// Of plain code, whose subgroups may be small: more sums for each invocation.
constexpr TileShape kPlainTiles[] = {{64, 32, 32, 4, 2, 2}, {32, 32, 32, 2, 2, 1}};

bool HasExtension(const std::vector<VkExtensionProperties>& extensions, std::string_view name) {
  return std::ranges::any_of(
      extensions, [&](const VkExtensionProperties& e) { return name == e.extensionName; });
}

std::vector<VkExtensionProperties> ExtensionsOf(const Api& api, VkPhysicalDevice physical) {
  uint32_t count = 0;
  api.EnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  api.EnumerateDeviceExtensionProperties(physical, nullptr, &count, extensions.data());
  return extensions;
}

bool Usable(uint32_t m, uint32_t n, uint32_t k) {
  const auto good = [](uint32_t size) { return size == 8 || size == 16; };
  return good(m) && good(n) && (good(k) || k == 32);
}

// The properties of both extensions have the same names.
template <typename Properties, typename Get>
bool ChooseShape(VkPhysicalDevice physical, VkStructureType type, Get get, MatrixUnit* unit) {
  uint32_t count = 0;
  if (get == nullptr || get(physical, &count, nullptr) != VK_SUCCESS) return false;
  Properties empty{};
  empty.sType = type;
  std::vector<Properties> all(count, empty);
  if (get(physical, &count, all.data()) != VK_SUCCESS) return false;
  constexpr int kFloat16 = 0, kFloat32 = 1, kSubgroupScope = 3;
  uint32_t best = 0;
  for (const Properties& p : all) {
    int result_type = 0;
    if constexpr (requires { p.ResultType; }) {
      result_type = static_cast<int>(p.ResultType);
    } else {
      result_type = static_cast<int>(p.DType);
    }
    if (static_cast<int>(p.AType) != kFloat16 || static_cast<int>(p.BType) != kFloat16 ||
        static_cast<int>(p.CType) != kFloat32 || result_type != kFloat32 ||
        static_cast<int>(p.scope) != kSubgroupScope || !Usable(p.MSize, p.NSize, p.KSize)) {
      continue;
    }
    const uint32_t size = p.MSize * p.NSize * p.KSize;
    if (size <= best) continue;
    best = size;
    unit->m = p.MSize;
    unit->n = p.NSize;
    unit->k = p.KSize;
  }
  return best > 0;
}

// The size of subgroups must be known. False if the device chooses it by itself.
bool SettleSubgroup(const Api& api, VkPhysicalDevice physical, bool has_control, MatrixUnit* unit) {
  VkPhysicalDeviceSubgroupSizeControlProperties sizes{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
      .pNext = has_control ? &sizes : nullptr};
  VkPhysicalDeviceProperties2 all{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                  .pNext = &subgroup};
  api.GetPhysicalDeviceProperties2(physical, &all);
  unit->subgroup = subgroup.subgroupSize;
  unit->shared_bytes = all.properties.limits.maxComputeSharedMemorySize;
  if (!has_control) return false;
  if (sizes.minSubgroupSize == sizes.maxSubgroupSize) return true;
  VkPhysicalDeviceSubgroupSizeControlFeatures control{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &control};
  api.GetPhysicalDeviceFeatures2(physical, &features);
  unit->requires_subgroup = control.subgroupSizeControl == VK_TRUE &&
                            control.computeFullSubgroups == VK_TRUE &&
                            (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  return unit->requires_subgroup;
}

}  // namespace

std::string MatrixUnit::shader(const TileShape& tile) const {
  const char* suffix = make == Make::kKhr ? "_khr" : make == Make::kPlain ? "_plain" : "";
  return fmt::format("matmul_matrix{}_{}x{}", suffix, tile.rows / (tile.row_parts * m),
                     tile.tokens / (tile.token_parts * n));
}

std::string MatrixUnit::Describe() const {
  if (!*this) return "";
  return fmt::format("{}x{}x{} ({})", m, n, k,
                     make == Make::kNv    ? VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME
                     : make == Make::kKhr ? "VK_KHR_cooperative_matrix"
                                          : "plain code");
}

void FindInt8Dots(const Api& api, VkPhysicalDevice physical, DeviceInfo* info) {
  if (!HasExtension(ExtensionsOf(api, physical), VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME))
    return;
  VkPhysicalDeviceShaderIntegerDotProductFeatures dots{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &dots};
  api.GetPhysicalDeviceFeatures2(physical, &features);
  VkPhysicalDeviceShaderIntegerDotProductProperties speed{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
  VkPhysicalDeviceProperties2 properties{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &speed};
  api.GetPhysicalDeviceProperties2(physical, &properties);
  info->int8_dots = dots.shaderIntegerDotProduct == VK_TRUE;
  info->fast_int8_dots =
      info->int8_dots && speed.integerDotProduct4x8BitPackedSignedAccelerated == VK_TRUE;
}

MatrixUnit FindMatrixUnit(const Api& api, VkPhysicalDevice physical) {
  const std::vector<VkExtensionProperties> extensions = ExtensionsOf(api, physical);
  const bool khr =
      HasExtension(extensions, "VK_KHR_cooperative_matrix") && HasShader("matmul_matrix_khr_1x1");
  const bool nv = HasExtension(extensions, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME);
  if (!khr && !nv) return {};

  VkPhysicalDeviceCooperativeMatrixFeaturesKHR khr_features{.sType = kCooperativeMatrixFeaturesKhr};
  VkPhysicalDeviceCooperativeMatrixFeaturesNV nv_features{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
  VkPhysicalDeviceVulkan12Features features12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  if (khr) {
    khr_features.pNext = std::exchange(features12.pNext, &khr_features);
  }
  if (nv) {
    nv_features.pNext = std::exchange(features12.pNext, &nv_features);
  }
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &features12};
  api.GetPhysicalDeviceFeatures2(physical, &features);
  if (features12.shaderFloat16 != VK_TRUE || features12.vulkanMemoryModel != VK_TRUE) return {};
  MatrixUnit unit;
  if (!SettleSubgroup(api, physical,
                      HasExtension(extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME),
                      &unit)) {
    return {};
  }
  if (khr_features.cooperativeMatrix == VK_TRUE &&
      ChooseShape<VkCooperativeMatrixPropertiesKHR>(
          physical, kCooperativeMatrixPropertiesKhr,
          api.GetPhysicalDeviceCooperativeMatrixPropertiesKHR, &unit)) {
    unit.make = MatrixUnit::Make::kKhr;
  } else if (nv_features.cooperativeMatrix == VK_TRUE &&
             ChooseShape<VkCooperativeMatrixPropertiesNV>(
                 physical, VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV,
                 api.GetPhysicalDeviceCooperativeMatrixPropertiesNV, &unit)) {
    unit.make = MatrixUnit::Make::kNv;
  }
  if (!TileFor(unit, {})) return {};
  return unit;
}

MatrixUnit BestUnit(const MatrixUnit& found, const DeviceInfo& device) {
  MatrixUnit unit = found;
  unit.int8_vectors = device.fast_int8_dots;
  if (!unit && device.fast_int8_dots) unit.make = MatrixUnit::Make::kInt8;
  return unit;
}

Result<MatrixUnit> Adjust(const MatrixUnit& found, const DeviceInfo& device,
                          const MatrixOptions& options) {
  if (options.unit == MatrixOptions::Unit::kNone) return MatrixUnit{};
  if (options.unit == MatrixOptions::Unit::kInt8) {
    if (device.int8_dots) return MatrixUnit{.make = MatrixUnit::Make::kInt8, .int8_vectors = true};
    return MakeError(ErrorCode::kUnsupported, "device vulkan:{} has no dot products of int8",
                     device.index);
  }
  MatrixUnit unit = BestUnit(found, device);
  if (options.unit == MatrixOptions::Unit::kPlain) {
    unit = {.make = MatrixUnit::Make::kPlain,
            .m = 16,
            .n = 8,
            .k = 8,
            .subgroup = static_cast<uint32_t>(device.subgroup_size),
            .shared_bytes = device.shared_memory_bytes};
  }
  unit.tile = options.tile;
  if (unit.tile && (!unit || !Fits(unit, *unit.tile))) {
    const TileShape& t = *unit.tile;
    return MakeError(ErrorCode::kUnsupported,
                     "a tile of {}x{}x{} in {}x{} parts, {} times, does not fit device vulkan:{}",
                     t.rows, t.tokens, t.depth, t.row_parts, t.token_parts, t.buffers,
                     device.index);
  }
  return unit;
}

MatrixFeatures::MatrixFeatures(const MatrixUnit& unit, bool int8_dots)
    : nv_{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV,
          .cooperativeMatrix = VK_TRUE},
      khr_{.sType = kCooperativeMatrixFeaturesKhr, .cooperativeMatrix = VK_TRUE},
      subgroup_{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                .subgroupSizeControl = VK_TRUE,
                .computeFullSubgroups = VK_TRUE},
      dots_{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
            .shaderIntegerDotProduct = VK_TRUE} {
  if (unit.make == MatrixUnit::Make::kKhr) {
    extensions.push_back("VK_KHR_cooperative_matrix");
    chain = &khr_;
  } else if (unit.make == MatrixUnit::Make::kNv) {
    extensions.push_back(VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME);
    chain = &nv_;
  }
  if (unit.requires_subgroup) {
    extensions.push_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    subgroup_.pNext = chain;
    chain = &subgroup_;
  }
  if (int8_dots) {
    extensions.push_back(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
    dots_.pNext = chain;
    chain = &dots_;
  }
}

bool Fits(const MatrixUnit& unit, const TileShape& tile) {
  const uint32_t parts = tile.row_parts * tile.token_parts;
  // The tiles, whose memory takes the sums in the end, and the levels of decode.glsl.
  const int64_t tiles =
      int64_t{16} * tile.buffers * (tile.rows + tile.tokens) * (tile.depth / 8 + 1);
  const int64_t sums = int64_t{4} * parts * unit.m * unit.n;
  const int64_t shared = tiles + 64;
  return parts > 0 && sums <= tiles && parts * unit.subgroup <= kMostThreads &&
         shared <= unit.shared_bytes && tile.depth <= kDeepestTile &&
         tile.rows % (tile.row_parts * unit.m) == 0 &&
         tile.tokens % (tile.token_parts * unit.n) == 0 && tile.depth % unit.k == 0 &&
         tile.depth > 0 && tile.rows > 0 && tile.tokens > 0 &&
         (tile.buffers == 1 || tile.buffers == 2) && tile.splits > 0 &&
         HasShader(unit.shader(tile));
}

int64_t MostPartialFloats(int64_t rows, int64_t most_tokens) {
  return std::min(rows * std::min<int64_t>(most_tokens, kMostSplitTokens) * kMostSplits,
                  kMostPartialFloats);
}

std::optional<TileShape> TileFor(const MatrixUnit& unit, const ProductSize& size) {
  const auto fits_in = [&](uint32_t splits) {
    return uint64_t{size.rows} * size.tokens * splits <= size.partial_floats;
  };
  if (unit.tile) {
    TileShape tile = *unit.tile;
    if (!fits_in(tile.splits)) tile.splits = 1;
    return tile;
  }
  std::vector<TileShape> candidates;
  const auto workgroups = [&](const TileShape& tile) {
    const auto groups = [](uint32_t n, uint32_t of) { return uint64_t{(n + of - 1) / of}; };
    return groups(size.rows, tile.rows) * groups(size.tokens, tile.tokens);
  };
  const auto split = [&](TileShape tile) {
    while (size.tokens <= kMostSplitTokens && tile.splits < kMostSplits &&
           workgroups(tile) * tile.splits < kManyWorkgroups &&
           size.cols >= 4 * tile.splits * tile.depth && fits_in(2 * tile.splits)) {
      tile.splits *= 2;
    }
    return tile;
  };
  if (unit.make == MatrixUnit::Make::kPlain) {
    candidates.assign(std::begin(kPlainTiles), std::end(kPlainTiles));
  } else {
    if (size.tokens <= kTileOfFew.tokens) {
      if (workgroups(kWideTileOfFew) >= kWideWorkgroups)
        candidates.push_back(split(kWideTileOfFew));
      candidates.push_back(split(kTileOfFew));
    }
    for (const LargeTile& large : kLargeTiles) {
      const TileShape tile = split(large.shape);
      if (size.tokens >= large.least_tokens && workgroups(tile) * tile.splits >= kBusyWorkgroups)
        candidates.push_back(tile);
    }
    candidates.push_back(split(kTile));
  }
  const auto fits =
      std::ranges::find_if(candidates, [&](const TileShape& tile) { return Fits(unit, tile); });
  if (fits == candidates.end()) return std::nullopt;
  return *fits;
}

std::vector<uint32_t> MatrixConstants(const MatrixUnit& unit, const TileShape& tile, uint32_t type,
                                      uint32_t kind) {
  return {tile.row_parts * tile.token_parts * unit.subgroup,
          type,
          tile.tokens,
          kind,
          tile.rows,
          tile.depth,
          tile.row_parts,
          tile.token_parts,
          tile.buffers,
          unit.m,
          unit.n,
          unit.k,
          unit.subgroup,
          tile.splits};
}

uint32_t Int8Blocks(uint32_t columns) { return (columns / kInt8Step + 2) * (kInt8Step / 32); }

uint32_t RoundedBytes(uint32_t columns) {
  constexpr uint32_t kHeader = 128;
  return kHeader + 2 * ((columns + kDeepestTile - 1) / kDeepestTile + 1) * kDeepestTile;
}

}  // namespace puna::backend::vulkan
