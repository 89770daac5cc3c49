#include "store/convert/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "base/check.h"
#include "base/json.h"
#include "quant/quant.h"

namespace puna::store {
namespace {

// Hugging Face's own limit, and what a model of a million tensors would need.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxDims = 8;
constexpr uint64_t kLengthBytes = 8;

struct TypeRow {
  std::string_view name;
  ElementType type;
  int bytes;
};
constexpr TypeRow kTypes[] = {
    {"F64", ElementType::kF64, 8},        {"F32", ElementType::kF32, 4},
    {"F16", ElementType::kF16, 2},        {"BF16", ElementType::kBF16, 2},
    {"F8_E4M3", ElementType::kF8E4M3, 1}, {"F8_E5M2", ElementType::kF8E5M2, 1},
    {"U8", ElementType::kU8, 1},          {"I8", ElementType::kOther, 1},
    {"BOOL", ElementType::kOther, 1},     {"I16", ElementType::kOther, 2},
    {"U16", ElementType::kOther, 2},      {"I32", ElementType::kOther, 4},
    {"U32", ElementType::kOther, 4},      {"I64", ElementType::kOther, 8},
    {"U64", ElementType::kOther, 8},
};

tl::unexpected<Error> Corrupt(std::string_view name, std::string_view what) {
  return MakeError(ErrorCode::kCorrupt, "safetensors: tensor '{}': {}", name.substr(0, 200), what);
}

// Names come twice only in files that mean harm: readers would disagree which one counts.
Result<Json> ParseWithoutDuplicates(std::string_view text) {
  std::set<std::string> names;
  std::string duplicate;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      auto name = parsed.get<std::string>();
      if (!names.insert(name).second) duplicate = std::move(name);
    }
    return depth <= 3;  // nothing that is deeper belongs here
  };
  Json json = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (!json.is_object())
    return MakeError(ErrorCode::kCorrupt, "safetensors: the header is no JSON object");
  if (!duplicate.empty()) return Corrupt(duplicate, "named twice");
  return json;
}

Result<uint64_t> Unsigned(std::string_view name, const Json& value, std::string_view what) {
  if (!value.is_number_unsigned())
    return Corrupt(name, fmt::format("{} is no whole number that is not negative", what));
  const auto number = value.get<uint64_t>();
  if (number > uint64_t{INT64_MAX}) return Corrupt(name, fmt::format("{} is {}", what, number));
  return number;
}

Result<StoredTensor> ParseTensor(const std::string& name, const Json& entry, uint64_t data_offset,
                                 uint64_t data_bytes) {
  StoredTensor tensor;
  tensor.name = name;
  const auto dtype = entry.find("dtype");
  const std::string type =
      dtype != entry.end() && dtype->is_string() ? dtype->get<std::string>() : "";
  const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypeRow& candidate) { return candidate.name == type; });
  if (row == std::end(kTypes)) return Corrupt(name, fmt::format("unknown dtype '{}'", type));
  tensor.type = row->type;
  tensor.element_bytes = row->bytes;
  const auto shape = entry.find("shape"), offsets = entry.find("data_offsets");
  if (shape == entry.end() || !shape->is_array() || shape->size() > kMaxDims)
    return Corrupt(name, fmt::format("no shape of at most {} dimensions", kMaxDims));
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2)
    return Corrupt(name, "no data_offsets of two numbers");
  auto bytes = static_cast<uint64_t>(tensor.element_bytes);
  for (const Json& dim : *shape) {
    PUNA_ASSIGN_OR_RETURN(const uint64_t length, Unsigned(name, dim, "a dimension"));
    if (__builtin_mul_overflow(bytes, length, &bytes) || bytes > uint64_t{INT64_MAX})
      return Corrupt(name, "more than 2^63 bytes");
    tensor.shape.push_back(static_cast<int64_t>(length));
  }
  PUNA_ASSIGN_OR_RETURN(const uint64_t begin, Unsigned(name, (*offsets)[0], "an offset"));
  PUNA_ASSIGN_OR_RETURN(const uint64_t end, Unsigned(name, (*offsets)[1], "an offset"));
  if (begin > end || end > data_bytes) {
    return Corrupt(name, fmt::format("bytes {} to {}, the data has {}", begin, end, data_bytes));
  }
  if (end - begin != bytes)
    return Corrupt(name, fmt::format("{} bytes, its shape and type say {}", end - begin, bytes));
  tensor.offset_bytes = data_offset + begin;
  tensor.size_bytes = bytes;
  return tensor;
}

Status CheckOverlaps(const std::map<std::string, StoredTensor, std::less<>>& tensors) {
  std::vector<const StoredTensor*> by_offset;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.size_bytes > 0) by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return a->offset_bytes < b->offset_bytes;
  });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const StoredTensor& before = *by_offset[i - 1];
    if (before.offset_bytes + before.size_bytes > by_offset[i]->offset_bytes)
      return Corrupt(by_offset[i]->name, fmt::format("overlaps with '{}'", before.name));
  }
  return {};
}

// OCP FP8: 1 sign, 4 exponent and 3 mantissa bits (E4M3, no infinities) or 5 and 2 (E5M2, the upper
// half of a binary16).
float DecodeE4M3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float sign = (bits & 0x80) != 0 ? -1.0F : 1.0F;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  const float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                    : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return sign * value;
}

std::array<float, 256> MakeE4M3Table() {
  std::array<float, 256> table;
  for (int i = 0; i < 256; ++i) table[static_cast<size_t>(i)] = DecodeE4M3(static_cast<uint8_t>(i));
  return table;
}

}  // namespace

int64_t StoredTensor::elements() const {
  return static_cast<int64_t>(size_bytes) / std::max(1, element_bytes);
}

Result<std::map<std::string, StoredTensor, std::less<>>> ParseSafetensorsHeader(
    std::string_view header, uint64_t data_offset_bytes, uint64_t data_bytes) {
  PUNA_ASSIGN_OR_RETURN(const Json json, ParseWithoutDuplicates(header));
  std::map<std::string, StoredTensor, std::less<>> tensors;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    if (name.empty() || !entry.is_object()) return Corrupt(name, "not described by an object");
    PUNA_ASSIGN_OR_RETURN(StoredTensor tensor,
                          ParseTensor(name, entry, data_offset_bytes, data_bytes));
    tensors.emplace(name, std::move(tensor));
  }
  PUNA_RETURN_IF_ERROR(CheckOverlaps(tensors));
  return tensors;
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Open(
    const std::filesystem::path& path) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->path_ = path;
  file->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file->descriptor_ < 0) return ErrnoError(errno, path.string());
  struct stat info = {};
  if (::fstat(file->descriptor_, &info) != 0) return ErrnoError(errno, path.string());
  if (!S_ISREG(info.st_mode))
    return MakeError(ErrorCode::kInvalidArgument, "{} is not a regular file", path.string());
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  const auto read = [&](uint64_t offset, std::span<uint8_t> out) {
    return file->Read({.offset_bytes = offset, .size_bytes = out.size()}, 0, out);
  };
  uint8_t length_bytes[kLengthBytes] = {};
  if (file_bytes < kLengthBytes)
    return MakeError(ErrorCode::kCorrupt, "{}: {} bytes, too short for safetensors", path.string(),
                     file_bytes);
  PUNA_RETURN_IF_ERROR(read(0, length_bytes));
  uint64_t length = 0;
  std::memcpy(&length, length_bytes, sizeof(length));
  if (length > kMaxHeaderBytes || length > file_bytes - kLengthBytes) {
    return MakeError(ErrorCode::kCorrupt,
                     "{}: a header of {} bytes, expected at most {} in a file of {}", path.string(),
                     length, kMaxHeaderBytes, file_bytes);
  }
  std::string header(length, '\0');
  PUNA_RETURN_IF_ERROR(
      read(kLengthBytes, std::span(reinterpret_cast<uint8_t*>(header.data()), header.size())));
  const uint64_t data_offset = kLengthBytes + length;
  auto tensors = ParseSafetensorsHeader(header, data_offset, file_bytes - data_offset);
  if (!tensors) return WithContext(std::move(tensors).error(), path.filename().string());
  file->tensors_ = *std::move(tensors);
  return file;
}

SafetensorsFile::~SafetensorsFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status SafetensorsFile::Read(const StoredTensor& tensor, uint64_t begin_bytes,
                             std::span<uint8_t> out) const {
  CHECK(begin_bytes <= tensor.size_bytes && out.size() <= tensor.size_bytes - begin_bytes);
  uint64_t at = tensor.offset_bytes + begin_bytes;
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read " + path_.string());
    if (got == 0)
      return MakeError(ErrorCode::kCorrupt, "{} became shorter while it was read", path_.string());
    out = out.subspan(static_cast<size_t>(got));
    at += static_cast<uint64_t>(got);
  }
  return {};
}

void DecodeElements(ElementType type, const uint8_t* bytes, int64_t n, float* out) {
  static const std::array<float, 256> e4m3 = MakeE4M3Table();
  switch (type) {
    case ElementType::kF32:
      std::memcpy(out, bytes, static_cast<size_t>(n) * sizeof(float));
      return;
    case ElementType::kF16:
      return quant::TraitsOf(quant::TensorType::kF16).decode(bytes, n, out);
    case ElementType::kBF16:
      return quant::TraitsOf(quant::TensorType::kBF16).decode(bytes, n, out);
    case ElementType::kF64:
      return quant::TraitsOf(quant::TensorType::kF64).decode(bytes, n, out);
    case ElementType::kF8E4M3:
      for (int64_t i = 0; i < n; ++i) out[i] = e4m3[bytes[i]];
      return;
    case ElementType::kF8E5M2:
      for (int64_t i = 0; i < n; ++i)
        out[i] = quant::HalfToFloat(static_cast<uint16_t>(bytes[i] << 8));
      return;
    case ElementType::kU8:
    case ElementType::kOther:
      break;
  }
  CHECK(false) << "not a float type";
}

std::string_view ElementTypeName(ElementType type) {
  const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypeRow& candidate) { return candidate.type == type; });
  return row->name;
}

}  // namespace puna::store
