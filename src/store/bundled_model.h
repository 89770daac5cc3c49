// The model that is part of the program: models/mini.gguf, linked in as bytes.
#ifndef PUNA_STORE_BUNDLED_MODEL_H_
#define PUNA_STORE_BUNDLED_MODEL_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "gguf/gguf.h"

namespace puna::store {

inline constexpr std::string_view kBundledModelName = "mini";

// The GGUF file's bytes; they live as long as the program.
std::span<const uint8_t> BundledModelBytes();
// Parsed once. It is ours, so that it does not parse is a CHECK.
std::shared_ptr<const gguf::File> BundledModelFile();

}  // namespace puna::store

#endif  // PUNA_STORE_BUNDLED_MODEL_H_
