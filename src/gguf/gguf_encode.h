// How values stand in a GGUF file, and the header of a file. Internal to gguf.
#ifndef PUNA_GGUF_GGUF_ENCODE_H_
#define PUNA_GGUF_GGUF_ENCODE_H_

#include <bit>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gguf/gguf.h"
#include "gguf/gguf_format.h"
#include "gguf/gguf_stream.h"

namespace puna::gguf {

template <typename T>
void AppendNumber(T value, std::string* out) {
  static_assert(std::endian::native == std::endian::little);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

inline void AppendString(std::string_view text, std::string* out) {
  AppendNumber<uint64_t>(text.size(), out);
  out->append(text);
}

template <typename T>
constexpr ValueType TypeOf() {
  if constexpr (std::is_same_v<T, uint8_t>) return ValueType::kUint8;
  if constexpr (std::is_same_v<T, int8_t>) return ValueType::kInt8;
  if constexpr (std::is_same_v<T, uint16_t>) return ValueType::kUint16;
  if constexpr (std::is_same_v<T, int16_t>) return ValueType::kInt16;
  if constexpr (std::is_same_v<T, uint32_t>) return ValueType::kUint32;
  if constexpr (std::is_same_v<T, int32_t>) return ValueType::kInt32;
  if constexpr (std::is_same_v<T, uint64_t>) return ValueType::kUint64;
  if constexpr (std::is_same_v<T, int64_t>) return ValueType::kInt64;
  if constexpr (std::is_same_v<T, float>) return ValueType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return ValueType::kFloat64;
  if constexpr (std::is_same_v<T, bool>) return ValueType::kBool;
}

inline void AppendType(uint32_t type, std::string* out) { AppendNumber<uint32_t>(type, out); }
inline void AppendType(ValueType type, std::string* out) {
  AppendType(static_cast<uint32_t>(type), out);
}

// The type number and the value, as they stand after the key.
template <typename T>
std::string EncodeNumber(T value) {
  std::string out;
  AppendType(TypeOf<T>(), &out);
  AppendNumber(value, &out);
  return out;
}

inline std::string EncodeString(std::string_view text) {
  std::string out;
  AppendType(ValueType::kString, &out);
  AppendString(text, &out);
  return out;
}

inline std::string ArrayHead(uint32_t element_type, uint64_t count) {
  std::string out;
  AppendType(ValueType::kArray, &out);
  AppendType(element_type, &out);
  AppendNumber<uint64_t>(count, &out);
  return out;
}

template <typename T>
std::string EncodeNumbers(const std::vector<T>& values) {
  std::string out = ArrayHead(static_cast<uint32_t>(TypeOf<T>()), values.size());
  for (const T value : values) AppendNumber(value, &out);
  return out;
}

inline uint64_t PaddingAfter(uint64_t bytes) {
  return (kDefaultAlignmentBytes - bytes % kDefaultAlignmentBytes) % kDefaultAlignmentBytes;
}

inline std::string EncodeStrings(const std::vector<std::string>& values) {
  std::string out = ArrayHead(static_cast<uint32_t>(ValueType::kString), values.size());
  for (const std::string& value : values) AppendString(value, &out);
  return out;
}

// A value read from another file.
std::string EncodeValue(const Value& value);

// A key, and its type and value as they will be written.
using EncodedKey = std::pair<std::string, std::string>;

struct TensorEntry {
  std::string_view name;
  quant::TensorType type;
  std::span<const int64_t> dims;
};

// Everything before the tensor data, padded, and where the data goes.
Result<Layout> EncodeHeader(std::span<const EncodedKey> metadata,
                            std::span<const TensorEntry> tensors);

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_ENCODE_H_
