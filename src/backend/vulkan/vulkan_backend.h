// The vulkan backend: every op is a compute shader. Weights stay quantized in the memory of the
// device and are decoded in registers; addresses are 64 bits (buffer device addresses), so no
// matrix is too large for a binding. A build without Vulkan's headers or glslc has the same
// functions, which say so.
#ifndef PUNA_BACKEND_VULKAN_VULKAN_BACKEND_H_
#define PUNA_BACKEND_VULKAN_VULKAN_BACKEND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"

namespace puna::backend::vulkan {

// What the driver says of a device.
struct DeviceInfo {
  int index = 0;                // N of "vulkan:N"
  std::string name;             // "NVIDIA H100 PCIe"
  std::string driver;           // "NVIDIA 535.104"
  std::string kind;             // "discrete", "integrated", "virtual", "software", "other"
  std::string api_version;      // "1.3.230"
  bool software = false;        // computes on the CPU; never chosen unless named
  std::string id;               // the same of two drivers of one GPU
  std::string unfit;            // what the shaders need and it lacks; empty: nothing
  int64_t memory_bytes = 0;     // of the heap that weights go to
  int64_t available_bytes = 0;  // what the driver lets this process take of it now
  int64_t largest_allocation_bytes = 0;
  int64_t largest_binding_bytes = 0;
  int subgroup_size = 0;
  int64_t shared_memory_bytes = 0;
  double timestamp_ns = 1;      // of a tick of the device's clock
  bool int8_dots = false;       // has dot products of int8,
  bool fast_int8_dots = false;  // and the driver says that they are fast
  // Of ListDevices: its matrix units, "16x16x16 (extension)"; empty: none that puna uses.
  std::string matrices;
};

// All devices that the loader knows, in its order. kUnsupported if there is no loader, or this
// build has no Vulkan.
Result<std::vector<DeviceInfo>> ListDevices();

// One tile of a product on matrix units: rows x tokens sums, over depth columns at a time; the
// subgroups of its workgroup share it in row_parts x token_parts. `buffers` (1 or 2): how many of
// them shared memory holds at a time.
struct TileShape {
  uint32_t rows = 0, tokens = 0, depth = 0, row_parts = 0, token_parts = 0, buffers = 0;
  uint32_t splits = 1;  // workgroups that share the columns, and whose sums are added up
};

// How products of many input rows are computed. Only tests and benchmarks wish for something else
// than what the device does best.
struct MatrixOptions {
  enum class Unit {
    kDevice,  // what it has
    kNone,    // float32 tiles
    kPlain,   // the kernel for matrix units, computed without one
    kInt8,    // dot products of int8, fast or not
  };
  Unit unit = Unit::kDevice;
  std::optional<TileShape> tile;  // for all products
};

// `options.name`: "vulkan" for the first device that is no software device, "vulkan:N" for one of
// ListDevices. kInvalidArgument if it is neither, kNotFound if there is no such device,
// kUnsupported if it cannot run the shaders or this build has no Vulkan.
Result<std::unique_ptr<Backend>> CreateVulkanBackend(const BackendOptions& options,
                                                     const MatrixOptions& matrices = {});

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_VULKAN_BACKEND_H_
