// The header is built in memory (a vocabulary makes it a few MB), the data is streamed: sizes
// follow from type and shape, so all offsets are known before the first tensor is produced.
//
// Every tensor starts at a multiple of the alignment with nothing else between, and the last one is
// padded too: llama.cpp accepts no other placement.
#include <bit>
#include <set>
#include <type_traits>

#include "gguf/gguf.h"
#include "gguf/gguf_format.h"
#include "gguf/gguf_names.h"

namespace puna::gguf {
namespace {

template <typename T>
void AppendNumber(T value, std::string* out) {
  static_assert(std::endian::native == std::endian::little);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string_view text, std::string* out) {
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

void AppendType(uint32_t type, std::string* out) { AppendNumber<uint32_t>(type, out); }
void AppendType(ValueType type, std::string* out) { AppendType(static_cast<uint32_t>(type), out); }

// The type number and the value, as they stand after the key.
template <typename T>
std::string EncodeNumber(T value) {
  std::string out;
  AppendType(TypeOf<T>(), &out);
  AppendNumber(value, &out);
  return out;
}

std::string EncodeString(std::string_view text) {
  std::string out;
  AppendType(ValueType::kString, &out);
  AppendString(text, &out);
  return out;
}

std::string ArrayHead(uint32_t element_type, uint64_t count) {
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

uint64_t PaddingAfter(uint64_t bytes) {
  return (kDefaultAlignmentBytes - bytes % kDefaultAlignmentBytes) % kDefaultAlignmentBytes;
}

// Bytes of a tensor, or why there can be no such tensor.
Result<uint64_t> SizeOf(const std::string& name, quant::TensorType type,
                        std::span<const int64_t> dims) {
  if (name.empty() || name.size() > kMaxWrittenTensorNameBytes) {
    return MakeError(ErrorCode::kInvalidArgument, "tensor {}: a name of {} bytes, expected 1 to {}",
                     Quoted(name), name.size(), kMaxWrittenTensorNameBytes);
  }
  if (dims.empty() || dims.size() > kMaxDims) {
    return MakeError(ErrorCode::kInvalidArgument, "tensor {}: {} dimensions, expected 1 to {}",
                     Quoted(name), dims.size(), kMaxDims);
  }
  const quant::TypeTraits& traits = quant::TraitsOf(type);
  int64_t elements = 1;
  for (const int64_t length : dims) {
    if (length <= 0 || __builtin_mul_overflow(elements, length, &elements)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "tensor {}: dimension {}, expected positive ones with a product below "
                       "2^63",
                       Quoted(name), length);
    }
  }
  if (dims[0] % traits.block_elements != 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "tensor {}: rows of {} values, expected a multiple of {} for type {}",
                     Quoted(name), dims[0], traits.block_elements, traits.name);
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / traits.block_elements, traits.block_bytes, &bytes)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "tensor {}: {} values of type {}, expected less than 2^63 bytes", Quoted(name),
                     elements, traits.name);
  }
  return static_cast<uint64_t>(bytes);
}

}  // namespace

void Writer::Set(std::string key, uint32_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, int32_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, uint64_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, float value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, bool value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, std::string value) {
  metadata_.emplace_back(std::move(key), EncodeString(value));
}

void Writer::Set(std::string key, std::vector<std::string> values) {
  std::string out = ArrayHead(static_cast<uint32_t>(ValueType::kString), values.size());
  for (const std::string& value : values) AppendString(value, &out);
  metadata_.emplace_back(std::move(key), std::move(out));
}

void Writer::Set(std::string key, std::vector<float> values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}

void Writer::Set(std::string key, std::vector<int32_t> values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}

void Writer::SetFrom(std::string_view key, const Value& value) {
  if (key == kAlignmentKey) return;
  std::string encoded = std::visit(
      [](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::string_view>) {
          return EncodeString(held);
        } else if constexpr (std::is_arithmetic_v<Held>) {
          return EncodeNumber(held);
        } else {
          const Array& array = *held;
          std::string out = ArrayHead(array.gguf_type(), static_cast<uint64_t>(array.size()));
          if (array.kind() == Array::Kind::kString) {
            for (int64_t i = 0; i < array.size(); ++i) AppendString(array.string_at(i), &out);
          } else {
            out.append(reinterpret_cast<const char*>(array.bytes().data()), array.bytes().size());
          }
          return out;
        }
      },
      value);
  metadata_.emplace_back(std::string(key), std::move(encoded));
}

void Writer::AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims,
                       Producer produce) {
  tensors_.push_back({std::move(name), type, std::move(dims), std::move(produce)});
}

void Writer::AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims,
                       std::span<const uint8_t> data) {
  tensors_.push_back({std::move(name), type, std::move(dims), data});
}

Result<std::string> Writer::EncodeHeader(std::vector<uint64_t>* sizes_bytes) const {
  std::string header(kMagic);
  AppendNumber<uint32_t>(kNewestVersion, &header);
  AppendNumber<uint64_t>(tensors_.size(), &header);
  AppendNumber<uint64_t>(metadata_.size(), &header);
  std::set<std::string_view> names;
  for (const auto& [key, encoded] : metadata_) {
    if (key.empty() || !names.insert(key).second) {
      return MakeError(ErrorCode::kInvalidArgument, "key {} is {}, expected a new name",
                       Quoted(key), key.empty() ? "empty" : "set twice");
    }
    if (key == kAlignmentKey &&
        encoded != EncodeNumber(static_cast<uint32_t>(kDefaultAlignmentBytes))) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "key '{}' differs from the {} (uint32) that is written", key,
                       kDefaultAlignmentBytes);
    }
    AppendString(key, &header);
    header += encoded;
  }
  names.clear();
  uint64_t offset = 0;
  for (const PendingTensor& tensor : tensors_) {
    PUNA_ASSIGN_OR_RETURN(const uint64_t bytes, SizeOf(tensor.name, tensor.type, tensor.dims));
    if (!names.insert(tensor.name).second) {
      return MakeError(ErrorCode::kInvalidArgument, "tensor {} is added twice",
                       Quoted(tensor.name));
    }
    AppendString(tensor.name, &header);
    AppendNumber(static_cast<uint32_t>(tensor.dims.size()), &header);
    for (const int64_t length : tensor.dims) AppendNumber(length, &header);
    AppendNumber(static_cast<uint32_t>(tensor.type), &header);
    AppendNumber(offset, &header);
    sizes_bytes->push_back(bytes);
    offset += bytes + PaddingAfter(bytes);
    if (offset > uint64_t{INT64_MAX}) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the tensors up to {} need {} bytes, expected less than 2^63",
                       Quoted(tensor.name), offset);
    }
  }
  header.append(PaddingAfter(header.size()), '\0');
  return header;
}

Status Writer::Write(AtomicFile* out,
                     const std::function<void(uint64_t, uint64_t)>& progress) const {
  std::vector<uint64_t> sizes_bytes;
  PUNA_ASSIGN_OR_RETURN(const std::string header, EncodeHeader(&sizes_bytes));
  uint64_t total = header.size();
  for (const uint64_t bytes : sizes_bytes) total += bytes + PaddingAfter(bytes);
  PUNA_RETURN_IF_ERROR(out->Write(header));
  uint64_t written = header.size();
  if (progress) progress(written, total);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const PendingTensor& tensor = tensors_[i];
    std::vector<uint8_t> produced;
    std::span<const uint8_t> data;
    if (const auto* produce = std::get_if<Producer>(&tensor.source)) {
      Result<std::vector<uint8_t>> made = (*produce)();
      if (!made) return WithContext(std::move(made).error(), "tensor " + Quoted(tensor.name));
      produced = *std::move(made);
      data = produced;
    } else {
      data = std::get<std::span<const uint8_t>>(tensor.source);
    }
    if (data.size() != sizes_bytes[i]) {
      return MakeError(ErrorCode::kInvalidArgument, "tensor {}: data of {} bytes, expected {}",
                       Quoted(tensor.name), data.size(), sizes_bytes[i]);
    }
    PUNA_RETURN_IF_ERROR(out->Write(data));
    PUNA_RETURN_IF_ERROR(out->Write(std::string(PaddingAfter(data.size()), '\0')));
    written += data.size() + PaddingAfter(data.size());
    if (progress) progress(written, total);
  }
  return {};
}

Status Writer::WriteFile(const std::filesystem::path& path) const {
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  PUNA_RETURN_IF_ERROR(Write(&file));
  return file.Commit();
}

}  // namespace puna::gguf
