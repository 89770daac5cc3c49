// Which of the files that a create request names belong together. A request has the files of all
// its adapters, or of a model and its projector, in one object, by names that say which lie in one
// folder.
#ifndef PUNA_STORE_FILE_GROUPS_H_
#define PUNA_STORE_FILE_GROUPS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "store/convert/checkpoint.h"

namespace puna::store {

struct UploadedFile {
  std::string name;  // as the request has it, relative
  std::string digest;
  std::filesystem::path path;
};

// One model, projector or adapter.
struct FileGroup {
  enum class Kind { kGguf, kSplitGguf, kSafetensors };
  Kind kind = Kind::kGguf;
  UploadedFile first;  // all that a kGguf has
  std::string folder;  // of kSafetensors, as the names have it; may be empty
  ModelFiles files;    // all files; those of kSafetensors by their names in `folder`
};

// In the order in which the request names the first file of each. What lies in a folder with
// safetensors or below it and is no GGUF belongs to them, and the parts of a split GGUF tell by
// what they say, under any name. Every other file stands alone, also one that turns out to be no
// GGUF.
std::vector<FileGroup> GroupFiles(const std::vector<UploadedFile>& files);

}  // namespace puna::store

#endif  // PUNA_STORE_FILE_GROUPS_H_
