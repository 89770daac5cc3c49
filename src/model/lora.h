// LoRA adapters in GGUF: general.type "adapter", adapter.type "lora", adapter.lora.alpha, and for
// every changed tensor NAME the pair NAME.lora_a [in, rank] and NAME.lora_b [rank, out], with a
// third dimension for experts. Of token_embd.weight the pair is turned: lora_a [rank, tokens],
// lora_b [rank, width]. https://github.com/ggml-org/llama.cpp/blob/master/convert_lora_to_gguf.py
#ifndef PUNA_MODEL_LORA_H_
#define PUNA_MODEL_LORA_H_

#include <memory>

#include "backend/adapter.h"
#include "base/result.h"
#include "gguf/gguf.h"
#include "model/config.h"

namespace puna::model {

// The changes of the adapter file for a plan of the model. The scale that the file asks for (alpha
// / rank) is part of them; the file may go afterwards. An adapter of another architecture, for
// tensors that the model does not have or cannot change, of wrong shapes or with ranks that do not
// match: kInvalidArgument naming the tensor, found and wanted.
Result<std::shared_ptr<const backend::Adapter>> BindAdapter(const gguf::File& file,
                                                            const ModelConfig& config,
                                                            const backend::Plan& plan);

}  // namespace puna::model

#endif  // PUNA_MODEL_LORA_H_
