// From a model in Hugging Face's layout (safetensors, config.json, tokenizer files) to a GGUF file.
//
// The files are hostile until checked. Weights pass through in pieces (model_writer.h), so memory
// does not grow with the model.
#ifndef PUNA_STORE_CONVERT_CONVERT_H_
#define PUNA_STORE_CONVERT_CONVERT_H_

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "store/convert/checkpoint.h"
#include "store/convert/model_writer.h"
#include "store/file_type.h"
#include "store/quantize.h"

namespace puna::store {

// What a checkpoint becomes. Everything is known but the weights, which are read while writing.
struct Conversion {
  gguf::StreamWriter metadata;
  std::vector<TensorSource> tensors;
  ModelShape shape;
  // What the weights are stored as: "F16", "BF16", "F32", "MXFP4", or "Q8_0" for FP8, which no
  // engine keeps.
  const FileType* stored_type = nullptr;
  // What the model will not do, in sentences for whoever asked for it.
  std::vector<std::string> warnings;
};

// kUnsupported where the family, a tensor or the tokenizer is not known; kInvalidArgument or
// kCorrupt where the files contradict themselves.
Result<Conversion> PlanConversion(const ModelFiles& files);

// Writes the converted model to `out`, without committing it. `type`: null for the stored one.
Status WriteConversion(Conversion conversion, const FileType* type, const QuantizeOptions& options,
                       const WriteProgress& progress, AtomicFile* out);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_CONVERT_H_
