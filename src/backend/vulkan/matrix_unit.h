// What a device has for products of many input rows: cooperative matrices and the tiles that
// products are cut into, or else integer dot products.
#ifndef PUNA_BACKEND_VULKAN_MATRIX_UNIT_H_
#define PUNA_BACKEND_VULKAN_MATRIX_UNIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/vulkan/vulkan_api.h"
#include "backend/vulkan/vulkan_backend.h"

namespace puna::backend::vulkan {

// Products of float16 matrices of m x k and k x n values, added up in float32.
struct MatrixUnit {
  enum class Make {
    kNone,
    kNv,     // VK_NV_cooperative_matrix
    kKhr,    // VK_KHR_cooperative_matrix
    kPlain,  // no unit: the same kernel with its matrices computed in plain code, for tests
    kInt8,   // no unit: dot products of int8 (VK_KHR_shader_integer_dot_product)
  };
  Make make = Make::kNone;
  uint32_t m = 16, n = 16, k = 16;
  uint32_t subgroup = 32;            // invocations
  bool requires_subgroup = false;    // pipelines must ask for that size
  int64_t shared_bytes = 32 * 1024;  // of a workgroup
  std::optional<TileShape> tile;     // instead of what TileFor would choose
  bool int8_vectors = false;  // few input rows meet quantized weights in dot products of int8

  // Whether there are matrices.
  explicit operator bool() const { return make != Make::kNone && make != Make::kInt8; }
  // For a tile; the modules of one make differ in how many matrices of sums a subgroup has.
  std::string shader(const TileShape& tile) const;
  std::string Describe() const;  // "16x16x16 (VK_NV_cooperative_matrix)"
};

// Says in `info` what the device has of them.
void FindInt8Dots(const Api& api, VkPhysicalDevice physical, DeviceInfo* info);

// What the device has and this build has a shader for.
MatrixUnit FindMatrixUnit(const Api& api, VkPhysicalDevice physical);
// That, or dot products if they are fast and there is none.
MatrixUnit BestUnit(const MatrixUnit& found, const DeviceInfo& device);
// What is wished for instead of `found`. kUnsupported if there is none, or it cannot make the tile.
Result<MatrixUnit> Adjust(const MatrixUnit& found, const DeviceInfo& device,
                          const MatrixOptions& options);

// What a logical device must be created with; `next` becomes the end of its chain.
struct MatrixFeatures {
  MatrixFeatures(const MatrixUnit& unit, bool int8_dots);
  MatrixFeatures(const MatrixFeatures&) = delete;

  std::vector<const char*> extensions;
  void* chain = nullptr;

 private:
  VkPhysicalDeviceCooperativeMatrixFeaturesNV nv_;
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR khr_;
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_;
  VkPhysicalDeviceShaderIntegerDotProductFeatures dots_;
};

struct ProductSize {
  uint32_t rows = 1, tokens = 1, cols = 1;
  uint64_t partial_floats = 0;  // room for the sums of shares of the columns
};
// Null if no tile fits the device; a unit with matrices that FindMatrixUnit or Adjust gave has one.
std::optional<TileShape> TileFor(const MatrixUnit& unit, const ProductSize& size);
// What `partial_floats` of a product should be.
int64_t MostPartialFloats(int64_t rows, int64_t most_tokens);
// Whether the kernel can work with it.
bool Fits(const MatrixUnit& unit, const TileShape& tile);
// The specialization constants of a product's pipeline.
std::vector<uint32_t> MatrixConstants(const MatrixUnit& unit, const TileShape& tile, uint32_t type,
                                      uint32_t kind);

// The length of an input row as float16 (shaders/halves.glsl), with room for the deepest tile that
// begins in it.
uint32_t RoundedBytes(uint32_t columns);
// As int8 (shaders/int8.glsl), which is shorter: its blocks, whole tiles and one more likewise.
uint32_t Int8Blocks(uint32_t columns);

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_MATRIX_UNIT_H_
