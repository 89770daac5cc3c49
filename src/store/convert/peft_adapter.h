// LoRA adapters as PEFT writes them (adapter_config.json, adapter_model.safetensors) to GGUF.
#ifndef PUNA_STORE_CONVERT_PEFT_ADAPTER_H_
#define PUNA_STORE_CONVERT_PEFT_ADAPTER_H_

#include "base/file.h"
#include "base/result.h"
#include "store/convert/checkpoint.h"
#include "store/file_type.h"

namespace puna::store {

// Writes the adapter for a model of shape `base` to `out`, without committing it; float32.
// kUnsupported for families that are not converted and for changes that are no plain LoRA.
Status ConvertAdapter(const ModelFiles& files, const ModelShape& base, AtomicFile* out);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_PEFT_ADAPTER_H_
