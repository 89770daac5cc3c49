// Ollama's own converter gives some metadata keys and tensors other names than llama.cpp's. Files
// of both are read alike: what is looked for by its usual name and is not there is looked for by
// the other one. Internal to model/.
#ifndef PUNA_MODEL_OLLAMA_NAMES_H_
#define PUNA_MODEL_OLLAMA_NAMES_H_

#include <string>
#include <string_view>

#include "gguf/gguf.h"

namespace puna::model {

// The full name of the key "<architecture>.<key>" in this file; the usual one if it has neither.
std::string KeyInFile(const gguf::File& file, std::string_view architecture, std::string_view key);

// The tensor of that usual name; null if the file has none by any name.
const gguf::Tensor* TensorInFile(const gguf::File& file, std::string_view name);

}  // namespace puna::model

#endif  // PUNA_MODEL_OLLAMA_NAMES_H_
