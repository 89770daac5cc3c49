#include "store/quantize.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace puna::store {
namespace {

constexpr std::string_view kSplitPrefix = "split.";
constexpr std::string_view kFileTypeKey = "general.file_type";
constexpr std::string_view kVersionKey = "general.quantization_version";
constexpr uint32_t kQuantizationVersion = 2;

bool IsFloat(quant::TensorType type) {
  using T = quant::TensorType;
  return type == T::kF32 || type == T::kF16 || type == T::kBF16 || type == T::kF64;
}

// Gives back the memory of the pages that lie wholly in `bytes`: a model is passed once, and may be
// larger than the memory. Only for mapped files: other memory would lose what it holds.
void ReleasePages(std::span<const uint8_t> bytes) {
  static const auto page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = (begin + page_bytes - 1) / page_bytes * page_bytes;
  const uintptr_t last = (begin + bytes.size()) / page_bytes * page_bytes;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

TensorSource SourceOf(const gguf::Tensor& tensor) {
  TensorSource source;
  source.name = tensor.name;
  source.type = tensor.type;
  source.dims.assign(tensor.dims.begin(), tensor.dims.begin() + std::max(1, tensor.n_dims));
  const quant::TypeTraits& traits = quant::TraitsOf(tensor.type);
  const int64_t columns = tensor.dims[0];
  const int64_t row_bytes = quant::BytesFor(tensor.type, columns);
  const auto rows_of = [data = tensor.data, row_bytes](int64_t first, int64_t rows) {
    return data.subspan(static_cast<size_t>(first * row_bytes),
                        static_cast<size_t>(rows * row_bytes));
  };
  if (traits.decode != nullptr) {
    source.read = [&traits, columns, rows_of](int64_t first, int64_t rows, float* out) {
      const auto bytes = rows_of(first, rows);
      traits.decode(bytes.data(), rows * columns, out);
      ReleasePages(bytes);
      return Status();
    };
  }
  source.copy = [rows_of](int64_t first, int64_t rows, std::span<uint8_t> out) {
    const auto bytes = rows_of(first, rows);
    std::memcpy(out.data(), bytes.data(), bytes.size());
    ReleasePages(bytes);
    return Status();
  };
  return source;
}

}  // namespace

std::vector<TensorSource> SourcesOf(const gguf::File& file) {
  std::vector<TensorSource> sources;
  sources.reserve(file.tensors().size());
  for (const gguf::Tensor& tensor : file.tensors()) sources.push_back(SourceOf(tensor));
  return sources;
}

Result<const FileType*> FindWritableFileType(std::string_view name) {
  const FileType* type = FindFileType(name);
  if (type != nullptr && type->main) return type;
  return MakeError(ErrorCode::kInvalidArgument,
                   "unsupported quantization type {} - supported types are {}", name,
                   WritableFileTypes());
}

Result<std::vector<quant::TensorType>> PlanQuantization(const gguf::File& file,
                                                        const FileType& type,
                                                        const QuantizeOptions& options) {
  std::vector<TensorShape> shapes;
  for (const gguf::Tensor& tensor : file.tensors()) {
    shapes.push_back(
        {tensor.name, {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims}, tensor.type});
  }
  std::vector<quant::TensorType> types = ChooseTypes(type, ShapeOf(file), shapes);
  for (size_t i = 0; i < types.size() && !options.allow_requantize; ++i) {
    if (types[i] == shapes[i].type || IsFloat(shapes[i].type)) continue;
    return MakeError(ErrorCode::kInvalidArgument,
                     "quantization is only supported for F16, BF16 and F32 models; tensor '{}' has "
                     "type {}",
                     shapes[i].name, quant::TraitsOf(shapes[i].type).name);
  }
  return types;
}

Status Quantize(const gguf::File& file, const FileType* type, const QuantizeOptions& options,
                const WriteProgress& progress, AtomicFile* out) {
  std::vector<quant::TensorType> types;
  for (const gguf::Tensor& tensor : file.tensors()) types.push_back(tensor.type);
  if (type != nullptr) {
    PUNA_ASSIGN_OR_RETURN(types, PlanQuantization(file, *type, options));
  }
  gguf::StreamWriter writer;
  for (const gguf::KeyValue& entry : file.metadata()) {
    const bool replaced =
        entry.key.starts_with(kSplitPrefix) ||
        (type != nullptr && (entry.key == kFileTypeKey || entry.key == kVersionKey));
    if (!replaced) writer.SetFrom(entry.key, entry.value);
  }
  if (type != nullptr) {
    writer.Set(std::string(kVersionKey), kQuantizationVersion);
    if (type->number) writer.Set(std::string(kFileTypeKey), *type->number);
  }
  const std::vector<TensorSource> sources = SourcesOf(file);
  std::vector<TensorTarget> targets;
  for (const quant::TensorType target : types) targets.push_back({target, {}});
  const int threads = options.threads > 0 ? options.threads : DefaultThreads();
  return WriteModel(&writer, sources, targets, threads, progress, out);
}

}  // namespace puna::store
