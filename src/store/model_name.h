// Names of models as users type them: [scheme://][host/][namespace/]model[:tag].
#ifndef PUNA_STORE_MODEL_NAME_H_
#define PUNA_STORE_MODEL_NAME_H_

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::store {

struct ModelName {
  std::string host = "registry.ollama.ai";
  std::string name_space = "library";
  std::string model;
  std::string tag = "latest";

  // Defaults fill what is left out. What Ollama's grammar forbids (a part that is empty, too long,
  // does not start with a letter, digit or underscore, or has a character outside its set) is
  // kInvalidArgument.
  static Result<ModelName> Parse(std::string_view text);

  // Host and namespace are left out where they are the defaults; the tag is always there:
  // "llama3:latest".
  std::string ShortName() const;
  // Everything: "registry.ollama.ai/library/llama3:latest".
  std::string FullName() const;
  // host/namespace/model/tag, the path of the manifest below manifests/.
  std::filesystem::path RelativePath() const;
};

// The name of a model that is known by its GGUF file only: the file's name without .gguf,
// without "-00001-of-00003", and without what a name may not have. Never empty, always valid.
std::string ModelNameOfFile(const std::filesystem::path& file);

// Case-insensitive, part by part.
bool SameName(const ModelName& a, const ModelName& b);

}  // namespace puna::store

#endif  // PUNA_STORE_MODEL_NAME_H_
