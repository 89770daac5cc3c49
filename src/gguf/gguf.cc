// Look-ups in a File that was read, and element access of its arrays.
#include "gguf/gguf.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "gguf/gguf_cursor.h"
#include "gguf/gguf_format.h"
#include "gguf/gguf_names.h"
#include "gguf/gguf_reader.h"

namespace puna::gguf {
namespace {

constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinInt64 = std::numeric_limits<int64_t>::min();

// Truncates; NaN is 0 and values beyond the range saturate.
int64_t TruncateToInteger(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return kMaxInt64;
  if (value < -0x1p63) return kMinInt64;
  return static_cast<int64_t>(value);
}

// Calls `use` with the element as its own C++ type. REQUIRES: a number or bool type.
template <typename Use>
auto VisitElement(uint32_t gguf_type, const uint8_t* bytes, Use use) {
  switch (static_cast<ValueType>(gguf_type)) {
    case ValueType::kInt8:
      return use(LoadNumber<int8_t>(bytes));
    case ValueType::kUint16:
      return use(LoadNumber<uint16_t>(bytes));
    case ValueType::kInt16:
      return use(LoadNumber<int16_t>(bytes));
    case ValueType::kUint32:
      return use(LoadNumber<uint32_t>(bytes));
    case ValueType::kInt32:
      return use(LoadNumber<int32_t>(bytes));
    case ValueType::kFloat32:
      return use(LoadNumber<float>(bytes));
    case ValueType::kUint64:
      return use(LoadNumber<uint64_t>(bytes));
    case ValueType::kInt64:
      return use(LoadNumber<int64_t>(bytes));
    case ValueType::kFloat64:
      return use(LoadNumber<double>(bytes));
    default:
      return use(*bytes);  // uint8 and bool
  }
}

tl::unexpected<Error> WrongType(std::string_view key, const Value& value, std::string_view wanted) {
  return MakeError(ErrorCode::kCorrupt, "key {} is {}, expected {}", Quoted(key), TypeNameOf(value),
                   wanted);
}

}  // namespace

std::string_view Array::string_at(int64_t i) const {
  CHECK(kind_ == Kind::kString && i >= 0 && i < size_) << i << " of " << size_;
  const uint64_t begin = marks_[static_cast<size_t>(i / kStride)];
  Cursor cursor({data_ + begin, static_cast<size_t>(marks_.back() - begin)});
  for (int64_t before = i % kStride; before > 0; --before) cursor.TakeString();
  return cursor.TakeString().value_or("");  // absent: the file was changed since it was read
}

int64_t Array::integer_at(int64_t i) const {
  CHECK(kind_ != Kind::kString && i >= 0 && i < size_) << i << " of " << size_;
  return VisitElement(gguf_type_, data_ + i * element_bytes_, [](auto element) -> int64_t {
    using Element = decltype(element);
    if constexpr (std::is_floating_point_v<Element>) return TruncateToInteger(element);
    if constexpr (std::is_same_v<Element, uint64_t>)
      return element > uint64_t{kMaxInt64} ? kMaxInt64 : static_cast<int64_t>(element);
    return static_cast<int64_t>(element);
  });
}

double Array::number_at(int64_t i) const {
  CHECK(kind_ != Kind::kString && i >= 0 && i < size_) << i << " of " << size_;
  return VisitElement(gguf_type_, data_ + i * element_bytes_,
                      [](auto element) { return static_cast<double>(element); });
}

Result<std::shared_ptr<const File>> File::Open(const std::filesystem::path& path) {
  return Reader::OpenAll(path);
}

Result<std::shared_ptr<const File>> File::Parse(std::span<const uint8_t> bytes) {
  return Reader(bytes).ReadOne();
}

void File::ReleaseMemory() const {
  for (const auto& mapping : mappings_) mapping->ReleaseMemory();
}

bool File::IsCurrent() const {
  return std::all_of(mappings_.begin(), mappings_.end(),
                     [](const auto& mapping) { return mapping->IsCurrent(); });
}

const Tensor* File::FindTensor(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_by_name_.begin(), tensors_by_name_.end(), name,
      [&](uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return at != tensors_by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

const Value* File::Find(std::string_view key) const {
  const auto at = std::lower_bound(
      metadata_by_name_.begin(), metadata_by_name_.end(), key,
      [&](uint32_t i, std::string_view wanted) { return metadata_[i].key < wanted; });
  return at != metadata_by_name_.end() && metadata_[*at].key == key ? &metadata_[*at].value
                                                                    : nullptr;
}

Result<std::optional<std::string_view>> File::GetString(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(value)) return *text;
  return WrongType(key, *value, "a string");
}

Result<std::optional<int64_t>> File::GetInteger(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&](const auto& held) -> Result<std::optional<int64_t>> {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, uint64_t>) {
          if (held > uint64_t{kMaxInt64}) {
            return MakeError(ErrorCode::kCorrupt, "key {} is {}, expected an integer below 2^63",
                             Quoted(key), held);
          }
        }
        if constexpr (std::is_integral_v<Held> && !std::is_same_v<Held, bool>) {
          return static_cast<int64_t>(held);
        } else {
          return WrongType(key, *value, "an integer");
        }
      },
      *value);
}

Result<std::optional<double>> File::GetNumber(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&](const auto& held) -> Result<std::optional<double>> {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_arithmetic_v<Held> && !std::is_same_v<Held, bool>) {
          return static_cast<double>(held);
        } else {
          return WrongType(key, *value, "a number");
        }
      },
      *value);
}

Result<std::optional<bool>> File::GetBool(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = std::get_if<bool>(value)) return *flag;
  return WrongType(key, *value, "bool");
}

Result<const Array*> File::GetArray(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return nullptr;
  if (const auto* array = std::get_if<std::shared_ptr<const Array>>(value)) return array->get();
  return WrongType(key, *value, "an array");
}

}  // namespace puna::gguf
