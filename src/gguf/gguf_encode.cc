#include "gguf/gguf_encode.h"

#include <set>

#include "gguf/gguf_names.h"

namespace puna::gguf {
namespace {

// Bytes of a tensor, or why there can be no such tensor.
Result<uint64_t> SizeOf(const TensorEntry& tensor) {
  const auto& [name, type, dims] = tensor;
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

std::string EncodeValue(const Value& value) {
  return std::visit(
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
}

Result<Layout> EncodeHeader(std::span<const EncodedKey> metadata,
                            std::span<const TensorEntry> tensors) {
  Layout layout;
  std::string& header = layout.header;
  header = kMagic;
  AppendNumber<uint32_t>(kNewestVersion, &header);
  AppendNumber<uint64_t>(tensors.size(), &header);
  AppendNumber<uint64_t>(metadata.size(), &header);
  std::set<std::string_view> names;
  for (const auto& [key, encoded] : metadata) {
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
  for (const TensorEntry& tensor : tensors) {
    PUNA_ASSIGN_OR_RETURN(const uint64_t bytes, SizeOf(tensor));
    if (!names.insert(tensor.name).second) {
      return MakeError(ErrorCode::kInvalidArgument, "tensor {} is added twice",
                       Quoted(tensor.name));
    }
    AppendString(tensor.name, &header);
    AppendNumber(static_cast<uint32_t>(tensor.dims.size()), &header);
    for (const int64_t length : tensor.dims) AppendNumber(length, &header);
    AppendNumber(static_cast<uint32_t>(tensor.type), &header);
    AppendNumber(offset, &header);
    layout.offsets_bytes.push_back(offset);
    layout.sizes_bytes.push_back(bytes);
    offset += bytes + PaddingAfter(bytes);
    if (offset > uint64_t{INT64_MAX}) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the tensors up to {} need {} bytes, expected less than 2^63",
                       Quoted(tensor.name), offset);
    }
  }
  header.append(PaddingAfter(header.size()), '\0');
  for (uint64_t& at : layout.offsets_bytes) at += header.size();
  layout.file_bytes = header.size() + offset;
  return layout;
}

}  // namespace puna::gguf
