// The weights of a plan on the device. A matrix keeps its quantized values, in an order that is
// read 16 bytes at a time: of each block of a row first the part whose length is a multiple of 16,
// block after block; behind all of them what is left of each (mostly scales), block after block;
// then up to 15 bytes, so that the next row is aligned. Types that the shaders do not decode become
// float16 (float64: float32). Vectors become float32.
#ifndef PUNA_BACKEND_VULKAN_WEIGHT_UPLOAD_H_
#define PUNA_BACKEND_VULKAN_WEIGHT_UPLOAD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "backend/backend.h"
#include "backend/plan.h"
#include "backend/vulkan/device.h"

namespace puna::backend::vulkan {

struct DeviceMatrix {
  uint64_t address = 0;
  quant::TensorType type = quant::TensorType::kF32;  // as it is on the device
  uint32_t row_bytes = 0;
  uint64_t expert_bytes = 0;
};

// First every weight is asked for in the form that an op needs, which takes memory; then all are
// uploaded. Without a device it only counts.
class WeightUpload {
 public:
  // `expected_bytes`: what all requests will come to, if it is known, so that no memory is taken in
  // vain.
  WeightUpload(const Plan* plan, Device* device, int64_t expected_bytes);

  Result<DeviceMatrix> Matrix(WeightId id);
  // float [experts][rows][cols]; 0 for kNoWeight.
  Result<uint64_t> Floats(WeightId id);
  // Values that no weight holds.
  Result<uint64_t> Constants(std::vector<float> values);

  Status Upload(const std::function<bool(int64_t, int64_t)>& progress);
  int64_t bytes() const { return bytes_; }

 private:
  struct Request {
    const Weight* weight = nullptr;  // null: constants
    quant::TensorType type;          // on the device
    std::vector<float> constants;
    size_t chunk = 0;
    int64_t offset = 0;
    uint64_t address = 0;
  };
  // Same bytes, same form: the same place.
  using Key = std::tuple<const uint8_t*, int64_t, int64_t, int64_t, quant::TensorType>;

  Result<uint64_t> Place(Request request, int64_t bytes);
  Result<uint64_t> PlaceWeight(const Weight& weight, quant::TensorType type);
  Status UploadRows(const Request& request, std::vector<uint8_t>* rows);
  Status CheckWeight(const Weight& weight) const;

  const Plan* plan_;
  Device* device_;
  int64_t expected_bytes_;
  int64_t bytes_ = 0;
  int64_t chunk_used_ = 0;
  std::vector<Buffer> chunks_;
  std::vector<Request> requests_;
  std::map<Key, uint64_t> placed_;
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_WEIGHT_UPLOAD_H_
