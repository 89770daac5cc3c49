// The older format is a sequence of little-endian records without a magic number: a count of
// entries; for each the length of its name, the name, a number of calls, a count of values and the
// values, which are means times calls; then, perhaps, the number of chunks and the name of the
// text.
#include "store/imatrix.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "gguf/gguf.h"

namespace puna::store {
namespace {

constexpr std::string_view kSumsSuffix = ".in_sum2";
constexpr std::string_view kCountsSuffix = ".counts";
constexpr char kDatasetsKey[] = "imatrix.datasets";
constexpr char kChunksKey[] = "imatrix.chunk_count";
constexpr char kChunkTokensKey[] = "imatrix.chunk_size";

Status CheckEntry(const std::string& name, const Imatrix::Entry& entry) {
  const size_t matrices = entry.counts.size();
  if (matrices == 0 || entry.sums.empty() || entry.sums.size() % matrices != 0) {
    return MakeError(ErrorCode::kCorrupt, "entry '{}' has {} values for {} matrices", name,
                     entry.sums.size(), matrices);
  }
  for (const std::vector<float>* values : {&entry.sums, &entry.counts}) {
    for (const float value : *values) {
      if (std::isfinite(value) && value >= 0) continue;
      return MakeError(ErrorCode::kCorrupt,
                       "entry '{}' has the value {}, expected one that is finite and not negative",
                       name, value);
    }
  }
  return {};
}

Result<std::vector<float>> FloatsOf(const gguf::Tensor& tensor) {
  if (tensor.type != quant::TensorType::kF32) {
    return MakeError(ErrorCode::kCorrupt, "tensor '{}' has type {}, expected F32", tensor.name,
                     quant::TraitsOf(tensor.type).name);
  }
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

Result<uint32_t> CountOf(const gguf::File& file, const char* key) {
  PUNA_ASSIGN_OR_RETURN(const std::optional<int64_t> value, file.GetInteger(key));
  if (!value) return 0;
  if (*value < 0 || *value > UINT32_MAX)
    return MakeError(ErrorCode::kCorrupt, "{} is {}", key, *value);
  return static_cast<uint32_t>(*value);
}

Result<Imatrix> FromGguf(const gguf::File& file) {
  Imatrix matrix;
  for (const gguf::Tensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kSumsSuffix)) continue;
    const std::string name(tensor.name.substr(0, tensor.name.size() - kSumsSuffix.size()));
    const gguf::Tensor* counts = file.FindTensor(name + std::string(kCountsSuffix));
    if (counts == nullptr)
      return MakeError(ErrorCode::kCorrupt, "'{}' has sums without counts", name);
    Imatrix::Entry& entry = matrix.entries[name];
    PUNA_ASSIGN_OR_RETURN(entry.sums, FloatsOf(tensor));
    PUNA_ASSIGN_OR_RETURN(entry.counts, FloatsOf(*counts));
  }
  PUNA_ASSIGN_OR_RETURN(const gguf::Array* datasets, file.GetArray(kDatasetsKey));
  if (datasets != nullptr && datasets->kind() == gguf::Array::Kind::kString) {
    for (int64_t i = 0; i < datasets->size(); ++i)
      matrix.datasets.emplace_back(datasets->string_at(i));
  }
  PUNA_ASSIGN_OR_RETURN(matrix.chunks, CountOf(file, kChunksKey));
  PUNA_ASSIGN_OR_RETURN(matrix.chunk_tokens, CountOf(file, kChunkTokensKey));
  return matrix;
}

class RecordReader {
 public:
  explicit RecordReader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  bool AtEnd() const { return rest_.empty(); }
  std::optional<int32_t> Number() {
    int32_t value = 0;
    if (rest_.size() < sizeof(value)) return std::nullopt;
    std::memcpy(&value, Take(sizeof(value)), sizeof(value));
    return value;
  }
  // `count` must be positive; nothing is taken from memory before the bytes are known to be there.
  std::optional<std::string> Text(int32_t count) {
    if (count <= 0 || rest_.size() < static_cast<size_t>(count)) return std::nullopt;
    const auto size = static_cast<size_t>(count);
    return std::string(reinterpret_cast<const char*>(Take(size)), size);
  }
  std::optional<std::vector<float>> Floats(int32_t count) {
    if (count <= 0 || rest_.size() / sizeof(float) < static_cast<size_t>(count))
      return std::nullopt;
    std::vector<float> values(static_cast<size_t>(count));
    std::memcpy(values.data(), Take(values.size() * sizeof(float)), values.size() * sizeof(float));
    return values;
  }

 private:
  const uint8_t* Take(size_t size) {
    const uint8_t* at = rest_.data();
    rest_ = rest_.subspan(size);
    return at;
  }
  std::span<const uint8_t> rest_;
};

Result<Imatrix> FromRecords(std::span<const uint8_t> bytes) {
  RecordReader reader(bytes);
  const auto cut = [] {
    return MakeError(
        ErrorCode::kCorrupt,
        "neither a GGUF file nor an importance matrix of the older format, or cut off");
  };
  const auto count = reader.Number();
  if (!count || *count <= 0) return cut();
  Imatrix matrix;
  for (int32_t i = 0; i < *count; ++i) {
    const auto name_size = reader.Number();
    const auto name = name_size ? reader.Text(*name_size) : std::nullopt;
    const auto calls = name ? reader.Number() : std::nullopt;
    const auto value_count = calls ? reader.Number() : std::nullopt;
    auto values = value_count ? reader.Floats(*value_count) : std::nullopt;
    if (!values) return cut();
    // Without calls the values are the means themselves.
    matrix.entries[*name] = {std::move(*values), {static_cast<float>(*calls > 0 ? *calls : 1)}};
  }
  if (reader.AtEnd()) return matrix;
  const auto chunks = reader.Number();
  if (!chunks || *chunks < 0) return cut();
  matrix.chunks = static_cast<uint32_t>(*chunks);
  const auto text_size = reader.Number();
  const auto text = text_size ? reader.Text(*text_size) : std::nullopt;
  if (text) matrix.datasets.push_back(*text);
  return matrix;
}

Result<Imatrix> Checked(Result<Imatrix> matrix) {
  if (!matrix) return matrix;
  if (matrix->entries.empty()) return MakeError(ErrorCode::kCorrupt, "there are no entries");
  for (const auto& [name, entry] : matrix->entries) PUNA_RETURN_IF_ERROR(CheckEntry(name, entry));
  return matrix;
}

bool IsGguf(std::span<const uint8_t> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
}

std::span<const uint8_t> BytesOf(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace

std::vector<float> ImportanceOf(const Imatrix::Entry& entry) {
  std::vector<float> weights = entry.sums;
  const size_t columns = entry.sums.size() / entry.counts.size();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float count = entry.counts[i / columns];
    weights[i] = count > 0 ? weights[i] / count : 1;
  }
  return weights;
}

Result<Imatrix> ParseImatrix(std::span<const uint8_t> bytes) {
  if (!IsGguf(bytes)) return Checked(FromRecords(bytes));
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Parse(bytes));
  return Checked(FromGguf(*file));
}

Result<Imatrix> ReadImatrix(const std::filesystem::path& path) {
  PUNA_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(path));
  auto matrix = ParseImatrix(mapped->bytes());
  if (!matrix) return WithContext(std::move(matrix).error(), path.string());
  return matrix;
}

Status WriteImatrix(const Imatrix& matrix, const std::filesystem::path& path) {
  gguf::Writer writer;
  writer.Set("general.type", "imatrix");
  writer.Set(kDatasetsKey, matrix.datasets);
  writer.Set(kChunksKey, matrix.chunks);
  writer.Set(kChunkTokensKey, matrix.chunk_tokens);
  for (const auto& [name, entry] : matrix.entries) {
    PUNA_RETURN_IF_ERROR(CheckEntry(name, entry));
    const auto matrices = static_cast<int64_t>(entry.counts.size());
    const int64_t columns = static_cast<int64_t>(entry.sums.size()) / matrices;
    writer.AddTensor(name + std::string(kSumsSuffix), quant::TensorType::kF32, {columns, matrices},
                     BytesOf(entry.sums));
    writer.AddTensor(name + std::string(kCountsSuffix), quant::TensorType::kF32, {1, matrices},
                     BytesOf(entry.counts));
  }
  return writer.WriteFile(path);
}

}  // namespace puna::store
