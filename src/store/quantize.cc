#include "store/quantize.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/cores.h"

namespace puna::store {
namespace {

constexpr std::string_view kSplitPrefix = "split.";
constexpr std::string_view kFileTypeKey = "general.file_type";
constexpr std::string_view kVersionKey = "general.quantization_version";
constexpr uint32_t kQuantizationVersion = 2;
constexpr std::string_view kImatrixPrefix = "quantize.imatrix.";

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

// Null: there is none for this tensor.
Result<const Imatrix::Entry*> EntryFor(const TensorShape& tensor, const Imatrix* imatrix) {
  if (imatrix == nullptr) return nullptr;
  const auto found = imatrix->entries.find(tensor.name);
  if (found == imatrix->entries.end()) return nullptr;
  const int64_t matrices = tensor.dims.size() > 2 ? tensor.dims[2] : 1;
  const int64_t expected = tensor.dims[0] * matrices;
  const auto actual = static_cast<int64_t>(found->second.sums.size());
  if (actual == expected) return &found->second;
  return MakeError(ErrorCode::kInvalidArgument,
                   "the importance matrix has {} values for tensor '{}', which has {} columns in "
                   "{} matrices: it is another model's",
                   actual, tensor.name, tensor.dims[0], matrices);
}

std::vector<TensorShape> ShapesOf(const gguf::File& file) {
  std::vector<TensorShape> shapes;
  for (const gguf::Tensor& tensor : file.tensors()) {
    shapes.push_back(
        {tensor.name, {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims}, tensor.type});
  }
  return shapes;
}

// What tells of the importance matrix, under llama.cpp's keys.
void DescribeImatrix(const QuantizeOptions& options, gguf::StreamWriter* writer) {
  const Imatrix& imatrix = *options.imatrix;
  writer->Set("quantize.imatrix.file", std::string_view(options.imatrix_file));
  if (!imatrix.datasets.empty())
    writer->Set("quantize.imatrix.dataset", std::string_view(imatrix.datasets[0]));
  writer->Set("quantize.imatrix.entries_count", static_cast<uint32_t>(imatrix.entries.size()));
  if (imatrix.chunks > 0) writer->Set("quantize.imatrix.chunks_count", imatrix.chunks);
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
  const std::vector<TensorShape> shapes = ShapesOf(file);
  ModelShape model = ShapeOf(file);
  model.weighted = options.imatrix != nullptr;
  std::vector<quant::TensorType> types = ChooseTypes(type, model, shapes);
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == shapes[i].type) continue;
    PUNA_RETURN_IF_ERROR(EntryFor(shapes[i], options.imatrix));
    if (options.allow_requantize || IsFloat(shapes[i].type)) continue;
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
        (type != nullptr && (entry.key == kFileTypeKey || entry.key == kVersionKey)) ||
        (options.imatrix != nullptr && entry.key.starts_with(kImatrixPrefix));
    if (!replaced) writer.SetFrom(entry.key, entry.value);
  }
  if (type != nullptr) {
    writer.Set(std::string(kVersionKey), kQuantizationVersion);
    if (type->number) writer.Set(std::string(kFileTypeKey), *type->number);
  }
  const std::vector<TensorSource> sources = SourcesOf(file);
  return WriteWithTypes(&writer, sources, types, options, progress, out);
}

Status WriteWithTypes(gguf::StreamWriter* writer, std::span<const TensorSource> sources,
                      std::span<const quant::TensorType> types, const QuantizeOptions& options,
                      const WriteProgress& progress, AtomicFile* out) {
  if (options.imatrix != nullptr) DescribeImatrix(options, writer);
  std::vector<std::vector<float>> importance(sources.size());
  std::vector<TensorTarget> targets;
  for (size_t i = 0; i < sources.size(); ++i) {
    const TensorSource& source = sources[i];
    if (types[i] != source.type) {
      PUNA_ASSIGN_OR_RETURN(const Imatrix::Entry* entry,
                            EntryFor({source.name, source.dims, source.type}, options.imatrix));
      if (entry != nullptr) importance[i] = ImportanceOf(*entry);
    }
    targets.push_back({types[i], importance[i]});
  }
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  return WriteModel(writer, sources, targets, threads, progress, out);
}

}  // namespace puna::store
