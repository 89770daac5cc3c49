// The parts of a split model: which there are, and opening those whose file names do not tell that
// they belong together.
#ifndef PUNA_GGUF_GGUF_PARTS_H_
#define PUNA_GGUF_GGUF_PARTS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::gguf {

// How many parts the model has that the file at `path` is one of, by what the file says; 1 if it is
// whole.
Result<int64_t> CountParts(const std::filesystem::path& path);

// All parts of one model, from a name for each to where it lies: what each file says of itself
// decides its place. A missing part, one that is there twice, or one of another number of parts is
// an error; it has the names.
Result<std::shared_ptr<const File>> OpenParts(
    const std::map<std::string, std::filesystem::path>& files);

// Where the parts of an open model lie, or the file that is all of it; nothing if it is not on
// disk.
std::vector<std::filesystem::path> PartPaths(const File& file);

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_PARTS_H_
