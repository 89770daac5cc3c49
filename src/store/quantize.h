// Rewriting a model file with other tensor types: what `puna quantize` and `create --quantize` do.
#ifndef PUNA_STORE_QUANTIZE_H_
#define PUNA_STORE_QUANTIZE_H_

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "gguf/gguf.h"
#include "store/convert/model_writer.h"
#include "store/file_type.h"
#include "store/imatrix.h"

namespace puna::store {

struct QuantizeOptions {
  int threads = 0;  // 0: one per core
  // Quantized sources too, whose errors then add up. Otherwise they are kInvalidArgument.
  bool allow_requantize = false;
  // Weighs the errors of the tensors that it has an entry for, and is named in the metadata. Null:
  // all errors count the same.
  const Imatrix* imatrix = nullptr;
  std::string imatrix_file;  // its name there
};

// Which type each tensor of `file` will have, in its order. An entry of the importance matrix that
// does not fit its tensor is kInvalidArgument.
Result<std::vector<quant::TensorType>> PlanQuantization(const gguf::File& file,
                                                        const FileType& type,
                                                        const QuantizeOptions& options);

// Writes `file` with the types of `type` (null: those it has) to `out`, without committing it. All
// metadata is kept but what tells of types and of parts: parts of a split model become one file.
// `file` must be one that File::Open opened.
Status Quantize(const gguf::File& file, const FileType* type, const QuantizeOptions& options,
                const WriteProgress& progress, AtomicFile* out);

// Writes `sources` with `types` (one for each) after the metadata in `writer`, without committing
// `out`: what all ways to a model file end in. Of the options it uses the threads and the
// importance matrix, which it also describes in the metadata.
Status WriteWithTypes(gguf::StreamWriter* writer, std::span<const TensorSource> sources,
                      std::span<const quant::TensorType> types, const QuantizeOptions& options,
                      const WriteProgress& progress, AtomicFile* out);

// A file type by name, or what there is instead. kInvalidArgument.
Result<const FileType*> FindWritableFileType(std::string_view name);

// The tensors of a GGUF file as they are; valid as long as `file`, which must be one that
// File::Open opened: memory of parts that were read is given back.
std::vector<TensorSource> SourcesOf(const gguf::File& file);

}  // namespace puna::store

#endif  // PUNA_STORE_QUANTIZE_H_
