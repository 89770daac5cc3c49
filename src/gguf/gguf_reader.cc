// Reading is one pass over the header of the file with a cursor that cannot run past the end, then
// one pass over the tensor table once the start of the data section is known.
//
// Two rules keep a hostile file harmless. A count is believed only after it was compared with the
// bytes that are left: the smallest key, string or tensor entry has a known size, so memory use is
// at most a small multiple of the file size. And sums and products of numbers from the file go
// through overflow checks or are rearranged as comparisons with what is left.
//
// Duplicate names are found by sorting indices, which the look-ups need anyway; hashing was
// considered and would have made the cost depend on names that an attacker chooses.
#include "gguf/gguf_reader.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "gguf/gguf_names.h"

namespace puna::gguf {
namespace {

// A key of one byte with a one-byte value; a tensor of a one-byte name without dimensions.
constexpr uint64_t kSmallestKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kSmallestTensorBytes = 8 + 1 + 4 + 4 + 8;
constexpr uint64_t kSmallestStringBytes = 8;

constexpr uint32_t NumberOf(ValueType type) { return static_cast<uint32_t>(type); }

Array::Kind KindOf(uint32_t type) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kInt8:
    case ValueType::kInt16:
    case ValueType::kInt32:
    case ValueType::kInt64:
      return Array::Kind::kSigned;
    case ValueType::kFloat32:
    case ValueType::kFloat64:
      return Array::Kind::kFloat;
    case ValueType::kBool:
      return Array::Kind::kBool;
    case ValueType::kString:
      return Array::Kind::kString;
    default:
      return Array::Kind::kUnsigned;
  }
}

// REQUIRES: a number type.
Value NumberValue(uint32_t type, const uint8_t* bytes) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kInt8:
      return LoadNumber<int8_t>(bytes);
    case ValueType::kUint16:
      return LoadNumber<uint16_t>(bytes);
    case ValueType::kInt16:
      return LoadNumber<int16_t>(bytes);
    case ValueType::kUint32:
      return LoadNumber<uint32_t>(bytes);
    case ValueType::kInt32:
      return LoadNumber<int32_t>(bytes);
    case ValueType::kFloat32:
      return LoadNumber<float>(bytes);
    case ValueType::kBool:
      return *bytes != 0;
    case ValueType::kUint64:
      return LoadNumber<uint64_t>(bytes);
    case ValueType::kInt64:
      return LoadNumber<int64_t>(bytes);
    case ValueType::kFloat64:
      return LoadNumber<double>(bytes);
    default:
      return *bytes;
  }
}

// Indices of `items` sorted by name.
template <typename Item, typename NameOf>
std::vector<uint32_t> SortedByName(const std::vector<Item>& items, NameOf name_of) {
  std::vector<uint32_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const auto order_of_names = name_of(items[a]) <=> name_of(items[b]);
    return order_of_names == 0 ? a < b : order_of_names < 0;
  });
  return order;
}

// The first of two equal neighbours in `order`, or null.
template <typename Item, typename NameOf>
const Item* FindDuplicate(const std::vector<Item>& items, const std::vector<uint32_t>& order,
                          NameOf name_of) {
  const auto at = std::adjacent_find(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return name_of(items[a]) == name_of(items[b]);
  });
  return at == order.end() ? nullptr : &items[*at];
}

}  // namespace

Result<std::shared_ptr<File>> Reader::ReadOne() {
  PUNA_ASSIGN_OR_RETURN(const Header header, ReadHeader());
  file_ = std::shared_ptr<File>(new File());
  file_->version_ = LoadNumber<uint32_t>(bytes_.data() + kMagic.size());
  file_->file_bytes_ = bytes_.size();
  PUNA_RETURN_IF_ERROR(ReadMetadata(header.keys));
  PUNA_RETURN_IF_ERROR(IndexMetadata());
  PUNA_RETURN_IF_ERROR(ReadAlignment());
  PUNA_RETURN_IF_ERROR(ReadTensorTable(header.tensors));
  PUNA_RETURN_IF_ERROR(IndexTensors(file_.get()));
  PUNA_RETURN_IF_ERROR(PlaceTensors());
  return std::move(file_);
}

Result<Reader::Header> Reader::ReadHeader() {
  constexpr uint64_t kHeaderBytes = 4 + 4 + 8 + 8;
  const uint8_t* magic = cursor_.Take(kMagic.size());
  const std::string_view found(reinterpret_cast<const char*>(bytes_.data()),
                               std::min<size_t>(4, bytes_.size()));
  if (magic == nullptr || (found != kMagic && found != "FUGG")) {
    return MakeError(ErrorCode::kCorrupt, "not a gguf file: it begins with {}, expected 'GGUF'",
                     Quoted(found));
  }
  const std::optional<uint32_t> version = cursor_.TakeNumber<uint32_t>();
  const std::optional<uint64_t> tensors = cursor_.TakeNumber<uint64_t>();
  const std::optional<uint64_t> keys = cursor_.TakeNumber<uint64_t>();
  if (!keys) {
    return MakeError(ErrorCode::kCorrupt,
                     "truncated header: the file has {} bytes, expected at least {}", bytes_.size(),
                     kHeaderBytes);
  }
  // A big-endian file has the small version number in the high bytes.
  if (found == "FUGG" || (*version != 0 && (*version & 0xffff) == 0)) {
    return MakeError(ErrorCode::kUnsupported,
                     "the file is big-endian (its version field reads {:#010x}), expected a "
                     "little-endian gguf file",
                     *version);
  }
  if (*version < kOldestVersion || *version > kNewestVersion) {
    return MakeError(ErrorCode::kUnsupported, "gguf version {} is not supported, expected {} or {}",
                     *version, kOldestVersion, kNewestVersion);
  }
  if (*keys > cursor_.left() / kSmallestKeyBytes) {
    return MakeError(ErrorCode::kCorrupt,
                     "the file claims {} metadata keys, but only {} bytes follow", *keys,
                     cursor_.left());
  }
  if (*tensors > cursor_.left() / kSmallestTensorBytes) {
    return MakeError(ErrorCode::kCorrupt, "the file claims {} tensors, but only {} bytes follow",
                     *tensors, cursor_.left());
  }
  if (*keys > kMaxKeys || *tensors > kMaxTensors) {
    return MakeError(ErrorCode::kUnsupported,
                     "{} metadata keys and {} tensors, expected at most {} and {}", *keys, *tensors,
                     kMaxKeys, kMaxTensors);
  }
  return Header{.tensors = *tensors, .keys = *keys};
}

Status Reader::ReadMetadata(uint64_t count) {
  file_->metadata_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const std::optional<std::string_view> key = cursor_.TakeString();
    if (!key)
      return MakeError(ErrorCode::kCorrupt,
                       "the name of metadata key {} of {} reaches beyond the file", i, count);
    if (key->empty())
      return MakeError(ErrorCode::kCorrupt, "metadata key {} of {} has an empty name", i, count);
    const std::optional<uint32_t> type = cursor_.TakeNumber<uint32_t>();
    if (!type)
      return MakeError(ErrorCode::kCorrupt, "key {}: the file ends before its type", Quoted(*key));
    PUNA_ASSIGN_OR_RETURN(Value value, ReadValue(*key, *type));
    file_->metadata_.push_back({*key, std::move(value)});
  }
  return {};
}

Result<Value> Reader::ReadValue(std::string_view key, uint32_t type) {
  if (type >= kValueTypes) {
    return MakeError(ErrorCode::kCorrupt, "key {}: unknown value type {}, expected 0 to {}",
                     Quoted(key), type, kValueTypes - 1);
  }
  if (type == NumberOf(ValueType::kArray)) return ReadArray(key);
  if (type == NumberOf(ValueType::kString)) {
    const std::optional<std::string_view> text = cursor_.TakeString();
    if (!text) {
      return MakeError(ErrorCode::kCorrupt,
                       "key {}: its string reaches beyond the {} bytes of the file", Quoted(key),
                       bytes_.size());
    }
    return Value(*text);
  }
  const uint8_t* bytes = cursor_.Take(static_cast<uint64_t>(kValueTypeTraits[type].bytes));
  if (bytes == nullptr)
    return MakeError(ErrorCode::kCorrupt, "key {}: the file ends in its value", Quoted(key));
  if (type == NumberOf(ValueType::kBool) && *bytes > 1) {
    return MakeError(ErrorCode::kCorrupt, "key {}: bool value {}, expected 0 or 1", Quoted(key),
                     *bytes);
  }
  return NumberValue(type, bytes);
}

Result<Value> Reader::ReadArray(std::string_view key) {
  const std::optional<uint32_t> type = cursor_.TakeNumber<uint32_t>();
  const std::optional<uint64_t> count = cursor_.TakeNumber<uint64_t>();
  if (!count)
    return MakeError(ErrorCode::kCorrupt, "key {}: the file ends in the head of its array",
                     Quoted(key));
  if (*type == NumberOf(ValueType::kArray)) {
    return MakeError(ErrorCode::kUnsupported,
                     "key {}: an array of arrays, expected an array of numbers or strings",
                     Quoted(key));
  }
  if (*type >= kValueTypes) {
    return MakeError(ErrorCode::kCorrupt, "key {}: unknown element type {}, expected 0 to {}",
                     Quoted(key), *type, kValueTypes - 1);
  }
  auto array = std::make_shared<Array>();
  array->kind_ = KindOf(*type);
  array->gguf_type_ = *type;
  if (*type == NumberOf(ValueType::kString)) {
    PUNA_RETURN_IF_ERROR(ReadStrings(key, *count, array.get()));
    return Value(std::move(array));
  }
  array->element_bytes_ = kValueTypeTraits[*type].bytes;
  if (*count > cursor_.left() / static_cast<uint64_t>(array->element_bytes_)) {
    return MakeError(ErrorCode::kCorrupt,
                     "key {}: an array of {} {} elements, but only {} bytes follow", Quoted(key),
                     *count, kValueTypeTraits[*type].name, cursor_.left());
  }
  array->size_ = static_cast<int64_t>(*count);
  array->data_ = cursor_.Take(*count * static_cast<uint64_t>(array->element_bytes_));
  if (array->kind_ == Array::Kind::kBool) {
    for (int64_t i = 0; i < array->size_; ++i) {
      if (array->data_[i] > 1) {
        return MakeError(ErrorCode::kCorrupt,
                         "key {}: element {} is bool value {}, expected 0 or 1", Quoted(key), i,
                         array->data_[i]);
      }
    }
  }
  return Value(std::move(array));
}

Status Reader::ReadStrings(std::string_view key, uint64_t count, Array* array) {
  if (count > cursor_.left() / kSmallestStringBytes) {
    return MakeError(ErrorCode::kCorrupt,
                     "key {}: an array of {} strings, but only {} bytes follow", Quoted(key), count,
                     cursor_.left());
  }
  if (count > kMaxArrayStrings) {
    return MakeError(ErrorCode::kUnsupported, "key {}: an array of {} strings, expected at most {}",
                     Quoted(key), count, kMaxArrayStrings);
  }
  array->size_ = static_cast<int64_t>(count);
  const uint64_t begin = cursor_.position();
  array->data_ = bytes_.data() + begin;
  array->marks_.reserve(count / Array::kStride + 2);
  for (uint64_t i = 0; i < count; ++i) {
    if (i % Array::kStride == 0) array->marks_.push_back(cursor_.position() - begin);
    const std::optional<std::string_view> text = cursor_.TakeString();
    if (!text) {
      return MakeError(ErrorCode::kCorrupt, "key {}: string {} of {} reaches beyond the file",
                       Quoted(key), i, count);
    }
  }
  array->marks_.push_back(cursor_.position() - begin);
  return {};
}

Status Reader::IndexMetadata() {
  const auto name_of = [](const KeyValue& pair) { return pair.key; };
  file_->metadata_by_name_ = SortedByName(file_->metadata_, name_of);
  if (const KeyValue* twice = FindDuplicate(file_->metadata_, file_->metadata_by_name_, name_of)) {
    return MakeError(ErrorCode::kCorrupt, "key {} occurs more than once", Quoted(twice->key));
  }
  return {};
}

Status Reader::IndexTensors(File* file) {
  const auto name_of = [](const Tensor& tensor) { return tensor.name; };
  file->tensors_by_name_ = SortedByName(file->tensors_, name_of);
  if (const Tensor* twice = FindDuplicate(file->tensors_, file->tensors_by_name_, name_of)) {
    return MakeError(ErrorCode::kCorrupt, "tensor {} occurs more than once", Quoted(twice->name));
  }
  return {};
}

Status Reader::ReadAlignment() {
  const Value* value = file_->Find(kAlignmentKey);
  if (value == nullptr) return {};
  const auto* alignment = std::get_if<uint32_t>(value);
  if (alignment == nullptr) {
    return MakeError(ErrorCode::kCorrupt, "key '{}' is {}, expected uint32", kAlignmentKey,
                     TypeNameOf(*value));
  }
  if (!std::has_single_bit(*alignment) || *alignment > kMaxAlignmentBytes) {
    return MakeError(ErrorCode::kCorrupt, "key '{}' is {}, expected a power of two up to {}",
                     kAlignmentKey, *alignment, kMaxAlignmentBytes);
  }
  file_->alignment_bytes_ = *alignment;
  return {};
}

Status Reader::ReadTensorTable(uint64_t count) {
  file_->tensors_.reserve(count);
  extents_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) PUNA_RETURN_IF_ERROR(ReadTensor(i));
  return {};
}

Status Reader::ReadTensor(uint64_t index) {
  const std::optional<std::string_view> name = cursor_.TakeString();
  if (!name)
    return MakeError(ErrorCode::kCorrupt, "the name of tensor {} reaches beyond the file", index);
  if (name->empty()) return MakeError(ErrorCode::kCorrupt, "tensor {} has an empty name", index);
  Tensor tensor;
  tensor.name = *name;
  const auto ends_early = [&] {
    return MakeError(ErrorCode::kCorrupt,
                     "tensor {}: the file ends in its entry of the tensor table", Quoted(*name));
  };
  const std::optional<uint32_t> n_dims = cursor_.TakeNumber<uint32_t>();
  if (!n_dims) return ends_early();
  if (*n_dims > kMaxDims) {
    return MakeError(ErrorCode::kCorrupt, "tensor {} has {} dimensions, expected at most {}",
                     Quoted(*name), *n_dims, kMaxDims);
  }
  tensor.n_dims = static_cast<int>(*n_dims);
  for (uint32_t axis = 0; axis < *n_dims; ++axis) {
    const std::optional<int64_t> length = cursor_.TakeNumber<int64_t>();
    if (!length) return ends_early();
    tensor.dims[axis] = *length;
  }
  const std::optional<uint32_t> type = cursor_.TakeNumber<uint32_t>();
  const std::optional<uint64_t> offset = cursor_.TakeNumber<uint64_t>();
  if (!offset) return ends_early();
  const quant::TypeTraits* traits = quant::FindType(*type);
  if (traits == nullptr) {
    return MakeError(ErrorCode::kUnsupported,
                     "tensor {} has type {}, which is not a known tensor type", Quoted(*name),
                     *type);
  }
  tensor.type = traits->type;
  PUNA_ASSIGN_OR_RETURN(const int64_t size_bytes, CheckShape(tensor));
  file_->tensors_.push_back(tensor);
  extents_.push_back({*offset, static_cast<uint64_t>(size_bytes)});
  return {};
}

Result<int64_t> Reader::CheckShape(const Tensor& tensor) const {
  const quant::TypeTraits& traits = quant::TraitsOf(tensor.type);
  int64_t elements = 1;
  for (int axis = 0; axis < tensor.n_dims; ++axis) {
    if (tensor.dims[axis] <= 0) {
      return MakeError(ErrorCode::kCorrupt,
                       "tensor {}: dimension {} is {}, expected a positive number",
                       Quoted(tensor.name), axis, tensor.dims[axis]);
    }
    if (__builtin_mul_overflow(elements, tensor.dims[axis], &elements)) {
      return MakeError(
          ErrorCode::kCorrupt,
          "tensor {}: the product of its dimensions {} is too large, expected below 2^63",
          Quoted(tensor.name), tensor.shape());
    }
  }
  if (tensor.dims[0] % traits.block_elements != 0) {
    return MakeError(ErrorCode::kCorrupt,
                     "tensor {}: rows of {} values, expected a multiple of {} for type {}",
                     Quoted(tensor.name), tensor.dims[0], traits.block_elements, traits.name);
  }
  int64_t size_bytes = 0;
  if (__builtin_mul_overflow(elements / traits.block_elements, traits.block_bytes, &size_bytes)) {
    return MakeError(ErrorCode::kCorrupt,
                     "tensor {}: dimensions {} of type {} need too many bytes, expected below 2^63",
                     Quoted(tensor.name), tensor.shape(), traits.name);
  }
  return size_bytes;
}

Status Reader::PlaceTensors() {
  if (extents_.empty()) return {};
  const uint64_t alignment = file_->alignment_bytes_;
  const uint64_t data_start = (cursor_.position() + alignment - 1) / alignment * alignment;
  const uint64_t available = data_start > bytes_.size() ? 0 : bytes_.size() - data_start;
  for (size_t i = 0; i < extents_.size(); ++i) {
    Tensor& tensor = file_->tensors_[i];
    const auto [offset, size] = extents_[i];
    if (offset % alignment != 0) {
      return MakeError(ErrorCode::kCorrupt,
                       "tensor {}: offset {}, expected a multiple of the alignment {}",
                       Quoted(tensor.name), offset, alignment);
    }
    if (size > available || offset > available - size) {
      return MakeError(ErrorCode::kCorrupt,
                       "tensor {}: {} bytes at offset {} reach beyond the data section, expected "
                       "at most {} bytes (is the "
                       "file truncated?)",
                       Quoted(tensor.name), size, offset, available);
    }
    tensor.data = bytes_.subspan(data_start + offset, size);
  }
  return {};
}

}  // namespace puna::gguf
