#include "backend/vulkan/weight_upload.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/rounding.h"
#include "quant/quant.h"

namespace puna::backend::vulkan {
namespace {

using quant::TensorType;

constexpr int64_t kAlignment = 256;
constexpr int64_t kChunkBytes = int64_t{256} << 20;
// Rows are gathered and decoded so many bytes at a time.
constexpr int64_t kBatchBytes = int64_t{8} << 20;

// A type that the shaders decode. Of each block `body` bytes from `body_offset` on come first; they
// are at one end of the block, and decode.glsl knows the same numbers. 0: a type without blocks.
struct DeviceType {
  TensorType type;
  int64_t body_offset = 0, body = 0;
};
constexpr DeviceType kDeviceTypes[] = {
    {TensorType::kF32},          {TensorType::kF16},           {TensorType::kBF16},
    {TensorType::kQ4_0, 2, 16},  {TensorType::kQ4_1, 4, 16},   {TensorType::kQ5_0, 6, 16},
    {TensorType::kQ5_1, 8, 16},  {TensorType::kQ8_0, 2, 32},   {TensorType::kQ2_K, 0, 80},
    {TensorType::kQ3_K, 0, 96},  {TensorType::kQ4_K, 0, 144},  {TensorType::kQ5_K, 0, 176},
    {TensorType::kQ6_K, 0, 208}, {TensorType::kIQ4_NL, 2, 16}, {TensorType::kIQ4_XS, 8, 128},
    {TensorType::kMXFP4, 1, 16}};

const DeviceType* FindDeviceType(TensorType type) {
  const auto* found = std::ranges::find(kDeviceTypes, type, &DeviceType::type);
  return found == std::end(kDeviceTypes) ? nullptr : found;
}

TensorType TypeOnDevice(TensorType type) {
  if (FindDeviceType(type) != nullptr) return type;
  return type == TensorType::kF64 ? TensorType::kF32 : TensorType::kF16;
}

int64_t RowBytesOnDevice(TensorType type, int64_t cols) {
  const int64_t bytes = quant::BytesFor(type, cols);
  return FindDeviceType(type)->body == 0 ? bytes : RoundUp(bytes, 16);
}

void SplitBlocks(const uint8_t* row, int64_t cols, const DeviceType& type, uint8_t* out) {
  const quant::TypeTraits& traits = quant::TraitsOf(type.type);
  const int64_t blocks = cols / traits.block_elements, rest = traits.block_bytes - type.body;
  const int64_t rest_offset = type.body_offset == 0 ? type.body : 0;
  uint8_t* rests = out + blocks * type.body;
  for (int64_t b = 0; b < blocks; ++b) {
    const uint8_t* block = row + b * traits.block_bytes;
    std::memcpy(out + b * type.body, block + type.body_offset, static_cast<size_t>(type.body));
    std::memcpy(rests + b * rest, block + rest_offset, static_cast<size_t>(rest));
  }
}

// One row of `weight` in the type that it has on the device.
void ConvertRow(const uint8_t* row, const Weight& weight, TensorType type,
                std::vector<float>* values, uint8_t* out) {
  if (weight.type == type) {
    const DeviceType& device = *FindDeviceType(type);
    if (device.body != 0) {
      SplitBlocks(row, weight.cols, device, out);
    } else {
      std::memcpy(out, row, static_cast<size_t>(weight.RowBytes()));
    }
    return;
  }
  values->resize(static_cast<size_t>(weight.cols));
  quant::TraitsOf(weight.type).decode(row, weight.cols, values->data());
  if (type == TensorType::kF32) {
    std::memcpy(out, values->data(), values->size() * sizeof(float));
    return;
  }
  for (size_t i = 0; i < values->size(); ++i) {
    const uint16_t half = quant::FloatToHalf((*values)[i]);
    std::memcpy(out + 2 * i, &half, sizeof(half));
  }
}

}  // namespace

WeightUpload::WeightUpload(const Plan* plan, Device* device, int64_t expected_bytes)
    : plan_(plan), device_(device), expected_bytes_(expected_bytes) {}

Status WeightUpload::CheckWeight(const Weight& weight) const {
  const quant::TypeTraits& traits = quant::TraitsOf(weight.type);
  if (traits.decode != nullptr) return {};
  return MakeError(ErrorCode::kUnsupported, "tensor {} has type {}, which holds no weights",
                   weight.name, traits.name);
}

Result<uint64_t> WeightUpload::Place(Request request, int64_t bytes) {
  const int64_t room = RoundUp(bytes, kAlignment);
  if (device_ != nullptr) {
    if (chunks_.empty() || chunk_used_ + room > chunks_.back().size_bytes()) {
      const int64_t rest = std::max<int64_t>(expected_bytes_ - bytes_, 0);
      const int64_t size = std::max(room, std::min(rest, kChunkBytes));
      PUNA_ASSIGN_OR_RETURN(Buffer chunk, device_->Allocate(size, MemoryKind::kDevice));
      chunks_.push_back(std::move(chunk));
      chunk_used_ = 0;
    }
    request.chunk = chunks_.size() - 1;
    request.offset = chunk_used_;
    request.address = chunks_.back().address() + static_cast<uint64_t>(chunk_used_);
    chunk_used_ += room;
  }
  bytes_ += room;
  const uint64_t address = request.address;
  if (device_ != nullptr) requests_.push_back(std::move(request));
  return address;
}

Result<uint64_t> WeightUpload::PlaceWeight(const Weight& weight, TensorType type) {
  PUNA_RETURN_IF_ERROR(CheckWeight(weight));
  const int64_t stride = weight.row_stride_bytes != 0 ? weight.row_stride_bytes : weight.RowBytes();
  const Key key{weight.data, weight.cols, weight.rows * weight.experts, stride, type};
  const auto found = placed_.find(key);
  if (found != placed_.end()) return found->second;
  const int64_t bytes = weight.experts * weight.rows * RowBytesOnDevice(type, weight.cols);
  PUNA_ASSIGN_OR_RETURN(const uint64_t address, Place({.weight = &weight, .type = type}, bytes));
  placed_.emplace(key, address);
  return address;
}

Result<DeviceMatrix> WeightUpload::Matrix(WeightId id) {
  const Weight& weight = plan_->weights[static_cast<size_t>(id)];
  DeviceMatrix matrix;
  matrix.type = TypeOnDevice(weight.type);
  matrix.row_bytes = static_cast<uint32_t>(RowBytesOnDevice(matrix.type, weight.cols));
  matrix.expert_bytes = static_cast<uint64_t>(weight.rows) * matrix.row_bytes;
  PUNA_ASSIGN_OR_RETURN(matrix.address, PlaceWeight(weight, matrix.type));
  return matrix;
}

Result<uint64_t> WeightUpload::Floats(WeightId id) {
  if (id == kNoWeight) return 0;
  return PlaceWeight(plan_->weights[static_cast<size_t>(id)], TensorType::kF32);
}

Result<uint64_t> WeightUpload::Constants(std::vector<float> values) {
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(float));
  return Place({.type = TensorType::kF32, .constants = std::move(values)}, bytes);
}

Status WeightUpload::UploadRows(const Request& request, std::vector<uint8_t>* rows) {
  const Weight& weight = *request.weight;
  const int64_t row_bytes = RowBytesOnDevice(request.type, weight.cols);
  const int64_t at_once = std::max<int64_t>(1, kBatchBytes / row_bytes);
  const int64_t all = weight.experts * weight.rows;
  std::vector<float> values;
  for (int64_t first = 0; first < all; first += at_once) {
    const int64_t count = std::min(at_once, all - first);
    rows->resize(static_cast<size_t>(count * row_bytes));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = first + i;
      ConvertRow(weight.Row(row / weight.rows, row % weight.rows), weight, request.type, &values,
                 rows->data() + i * row_bytes);
    }
    PUNA_RETURN_IF_ERROR(
        device_->Write(chunks_[request.chunk], request.offset + first * row_bytes, *rows));
  }
  return {};
}

Status WeightUpload::Upload(const std::function<bool(int64_t, int64_t)>& progress) {
  int64_t done = 0;
  std::vector<uint8_t> rows;
  for (const Request& request : requests_) {
    if (request.weight == nullptr) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(request.constants.data());
      PUNA_RETURN_IF_ERROR(device_->Write(chunks_[request.chunk], request.offset,
                                          {bytes, request.constants.size() * sizeof(float)}));
      continue;
    }
    PUNA_RETURN_IF_ERROR(UploadRows(request, &rows));
    done += RoundUp(request.weight->experts * request.weight->rows *
                        RowBytesOnDevice(request.type, request.weight->cols),
                    kAlignment);
    if (progress && !progress(std::min(done, bytes_), bytes_))
      return MakeError(ErrorCode::kCancelled, "loading was cancelled");
  }
  requests_.clear();
  return {};
}

}  // namespace puna::backend::vulkan
