#include "backend/reference/reference_kv.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "quant/quant.h"

namespace puna::backend::reference {
namespace {

constexpr int64_t kScaleGroup = 32;

int64_t GroupSize(int64_t values) { return values % kScaleGroup == 0 ? kScaleGroup : values; }

int64_t EncodedBytes(KvType type, int64_t values) {
  switch (type) {
    case KvType::kF32:
      return values * 4;
    case KvType::kF16:
      return values * 2;
    case KvType::kQ8_0:
      return values + values / GroupSize(values) * 4;
  }
  return 0;
}

void EncodeInt8(std::span<const float> values, uint8_t* out) {
  const size_t group = static_cast<size_t>(GroupSize(static_cast<int64_t>(values.size())));
  for (size_t begin = 0; begin < values.size(); begin += group) {
    float largest = 0;
    for (size_t i = begin; i < begin + group; ++i)
      largest = std::max(largest, std::fabs(values[i]));
    const float scale = largest / 127.0f;
    std::memcpy(out, &scale, sizeof(scale));
    out += sizeof(scale);
    for (size_t i = begin; i < begin + group; ++i) {
      const float scaled = scale > 0 ? values[i] / scale : 0;
      *out++ = static_cast<uint8_t>(
          static_cast<int8_t>(std::clamp(std::nearbyint(scaled), -127.0f, 127.0f)));
    }
  }
}

void DecodeInt8(const uint8_t* in, std::span<float> values) {
  const size_t group = static_cast<size_t>(GroupSize(static_cast<int64_t>(values.size())));
  for (size_t begin = 0; begin < values.size(); begin += group) {
    float scale;
    std::memcpy(&scale, in, sizeof(scale));
    in += sizeof(scale);
    for (size_t i = begin; i < begin + group; ++i)
      values[i] = scale * static_cast<float>(static_cast<int8_t>(*in++));
  }
}

void Encode(KvType type, std::span<const float> values, uint8_t* out) {
  if (values.empty()) return;  // keys that hold the values
  switch (type) {
    case KvType::kF32:
      std::memcpy(out, values.data(), values.size_bytes());
      return;
    case KvType::kF16:
      for (size_t i = 0; i < values.size(); ++i) {
        const uint16_t half = quant::FloatToHalf(values[i]);
        std::memcpy(out + 2 * i, &half, sizeof(half));
      }
      return;
    case KvType::kQ8_0:
      EncodeInt8(values, out);
      return;
  }
}

void Decode(KvType type, const uint8_t* in, std::span<float> values) {
  switch (type) {
    case KvType::kF32:
      std::memcpy(values.data(), in, values.size_bytes());
      return;
    case KvType::kF16:
      for (size_t i = 0; i < values.size(); ++i) {
        uint16_t half;
        std::memcpy(&half, in + 2 * i, sizeof(half));
        values[i] = quant::HalfToFloat(half);
      }
      return;
    case KvType::kQ8_0:
      DecodeInt8(in, values);
      return;
  }
}

}  // namespace

KvPages::KvPages(const Plan& plan, KvType type, int64_t pages)
    : type_(type), pages_(static_cast<size_t>(pages)) {
  for (const CacheLayer& shape : plan.cache_layers) {
    Layer layer;
    layer.shape = shape;
    layer.offset_bytes = page_bytes_;
    layer.key_bytes = EncodedBytes(type, shape.k_size);
    layer.value_bytes = EncodedBytes(type, shape.v_size);
    layer.position_bytes = shape.kv_heads * (layer.key_bytes + layer.value_bytes);
    page_bytes_ += kPageTokens * layer.position_bytes;
    layers_.push_back(layer);
  }
}

uint8_t* KvPages::At(const Layer& layer, int32_t page, int64_t slot) {
  std::unique_ptr<uint8_t[]>& bytes = pages_[static_cast<size_t>(page)];
  if (!bytes) bytes = std::make_unique<uint8_t[]>(static_cast<size_t>(page_bytes_));
  return bytes.get() + layer.offset_bytes + slot * layer.position_bytes;
}

const uint8_t* KvPages::At(const Layer& layer, int32_t page, int64_t slot) const {
  const std::unique_ptr<uint8_t[]>& bytes = pages_[static_cast<size_t>(page)];
  CHECK(bytes != nullptr) << "page " << page << " was never written";
  return bytes.get() + layer.offset_bytes + slot * layer.position_bytes;
}

void KvPages::Write(int layer_index, int32_t page, int64_t slot, std::span<const float> k,
                    std::span<const float> v) {
  const Layer& layer = layers_[static_cast<size_t>(layer_index)];
  uint8_t* out = At(layer, page, slot);
  const size_t k_size = static_cast<size_t>(layer.shape.k_size),
               v_size = static_cast<size_t>(layer.shape.v_size);
  for (size_t head = 0; head < static_cast<size_t>(layer.shape.kv_heads);
       ++head, out += layer.key_bytes) {
    Encode(type_, k.subspan(head * k_size, k_size), out);
  }
  for (size_t head = 0; head < static_cast<size_t>(layer.shape.kv_heads);
       ++head, out += layer.value_bytes) {
    Encode(type_, v.subspan(head * v_size, v_size), out);
  }
}

void KvPages::ReadKey(int layer_index, int32_t page, int64_t slot, int64_t head,
                      std::span<float> out) const {
  const Layer& layer = layers_[static_cast<size_t>(layer_index)];
  Decode(type_, At(layer, page, slot) + head * layer.key_bytes, out);
}

void KvPages::ReadValue(int layer_index, int32_t page, int64_t slot, int64_t head,
                        std::span<float> out) const {
  const Layer& layer = layers_[static_cast<size_t>(layer_index)];
  Decode(type_,
         At(layer, page, slot) + layer.shape.kv_heads * layer.key_bytes + head * layer.value_bytes,
         out);
}

void KvPages::Copy(int32_t from, int32_t to, int64_t tokens) {
  for (const Layer& layer : layers_) {
    std::memcpy(At(layer, to, 0), At(layer, from, 0),
                static_cast<size_t>(tokens * layer.position_bytes));
  }
}

void KvPages::Release(int32_t page) { pages_[static_cast<size_t>(page)].reset(); }

}  // namespace puna::backend::reference
