// The local files that a Modelfile names, and how they get into the server's store.
#ifndef PUNA_CLI_MODEL_FILES_H_
#define PUNA_CLI_MODEL_FILES_H_

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/settings.h"
#include "cli/api_client.h"
#include "cli/terminal.h"
#include "store/blob_pins.h"
#include "store/modelfile.h"

namespace puna::cli {

// What FROM, ADAPTER and DRAFT lines turned out to be.
struct ModelSources {
  std::string from;  // a model's name, or empty
  // GGUF files, or a model in safetensors with all that belongs to it; empty if `from` is not.
  std::vector<std::filesystem::path> files;
  std::vector<std::filesystem::path> adapters, draft;
};

// "~" and "~/x" in the home folder; a relative path below `folder`.
std::filesystem::path ResolvePath(const std::string& written, const std::filesystem::path& folder);

// FROM is a path where one exists (a folder: the model in safetensors, else all GGUF files in it; a
// part of a split GGUF: all parts), else a name. kNotFound where it
// looks like a path and there is nothing; kInvalidArgument for names and files together, for a
// draft that is the model itself, and for a pipe or a device.
// `folder` is that of the Modelfile.
Result<ModelSources> FindSources(const store::Modelfile& modelfile,
                                 const std::filesystem::path& folder);

// What files are called in a request: their paths below the deepest folder that all of them are in,
// as Ollama's command names them. So the names tell the server which files lie in one folder.
std::vector<std::string> NamesInRequest(std::span<const std::filesystem::path> files);

// Gets files into the store of the server. A server on this machine that uses our store folder is
// found out by a probe; then files are linked (or copied) into the folder instead of sent over
// HTTP, and nobody deletes them there while this object lives. Not thread safe.
class BlobSender {
 public:
  BlobSender(const Settings& settings, const ApiClient& client, ProgressLines* progress)
      : settings_(settings), client_(client), progress_(progress) {}
  // Returns the digest, "sha256:<hex>".
  Result<std::string> Send(const std::filesystem::path& file);

 private:
  bool SharesStore();
  Result<std::string> Upload(const std::filesystem::path& file);

  const Settings& settings_;
  const ApiClient& client_;
  ProgressLines* progress_;
  std::optional<bool> shares_store_;
  std::optional<store::BlobPins> pins_;  // of what was sent to a shared store
};

}  // namespace puna::cli

#endif  // PUNA_CLI_MODEL_FILES_H_
