// Parts of a split model whose file names do not tell that they belong together.
#ifndef PUNA_GGUF_GGUF_PARTS_H_
#define PUNA_GGUF_GGUF_PARTS_H_

#include <filesystem>
#include <memory>
#include <span>

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::gguf {

// All parts of one model, in any order, under any names: what each file says of itself decides its
// place. A missing part, one that is there twice, or one of another number of parts is an error.
Result<std::shared_ptr<const File>> OpenParts(std::span<const std::filesystem::path> paths);

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_PARTS_H_
