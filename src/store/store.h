// Models on disk, in Ollama's layout: manifests/<host>/<namespace>/<model>/<tag> name the layers,
// blobs/sha256-<hex> hold them. A store that Ollama wrote is read unchanged, and Ollama reads what
// puna writes.
//
// Whatever is written appears under its final name only when it is complete and synced. Other
// processes may share the folder; nothing here assumes to be alone. Thread safe.
#ifndef PUNA_STORE_STORE_H_
#define PUNA_STORE_STORE_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "base/sha256.h"
#include "gguf/gguf.h"
#include "store/model_name.h"

namespace puna::store {

struct Layer {
  std::string media_type;
  std::string digest;  // "sha256:<64 hex>"
  int64_t size_bytes = 0;
  std::string from;  // name of the model it was taken from; may be empty
};

struct Message {
  std::string role, content;
};

// A manifest with its small layers read. Paths of large layers point into blobs/.
struct InstalledModel {
  ModelName name;
  std::string digest;  // sha256 of the manifest, 64 hex digits
  std::chrono::system_clock::time_point modified_at;
  int64_t size_bytes = 0;  // of all layers and the config
  Json config;  // model_format, model_family, model_type, file_type, renderer, parser, ...
  std::vector<Layer> layers;
  std::filesystem::path weights;  // empty if there is no model layer
  std::vector<std::filesystem::path> projectors, adapters;
  std::optional<std::string> template_text;
  std::optional<std::string> system;
  Json parameters = Json::object();
  std::vector<Message> messages;
  std::vector<std::string> licenses;
  std::string parent_model;
  bool local = false;    // a file that is served in place
  bool bundled = false;  // the model inside the program, not in the store; `weights` is then a
                         // name, not a path
};

// What /api/create asks for.
struct CreateRequest {
  ModelName name;
  std::string from;  // an installed model, or empty
  std::vector<std::pair<std::string, std::string>>
      files;  // file name -> digest of an uploaded blob
  std::vector<std::pair<std::string, std::string>> adapters;
  std::optional<std::string> template_text, system;
  std::vector<std::string> licenses;
  Json parameters = Json::object();
  std::vector<Message> messages;
  std::string renderer, parser, requires_version;
  std::string quantize;  // "", or the file type to convert to
};

// Progress of long work: a status line, and bytes if it has any. Returning false cancels.
struct Progress {
  std::string status;
  std::string digest;
  int64_t total_bytes = 0, completed_bytes = 0;
};
using ProgressFunction = std::function<bool(const Progress&)>;

class Store {
 public:
  // `root` need not exist; it is created by the first write.
  explicit Store(std::filesystem::path root);
  const std::filesystem::path& root() const { return root_; }

  // Serves the GGUF file at `path` under `name` beside the manifests, without importing it. Call it
  // before anything else.
  Status AddLocalFile(const std::string& name, const std::filesystem::path& path);

  // Every readable model, newest first, the bundled one last. A manifest that cannot be read is
  // left out with a warning.
  std::vector<InstalledModel> List() const;
  // Case-insensitive; the bundled model answers to its name unless the store has one of that name.
  // kNotFound.
  Result<InstalledModel> Find(const ModelName& name) const;
  // The weights of a model (or of the bundled one). Files are cached while somebody holds them.
  Result<std::shared_ptr<const gguf::File>> OpenWeights(const InstalledModel& model) const;
  // Its adapters; as long as somebody holds one, everybody gets the same File.
  Result<std::vector<std::shared_ptr<const gguf::File>>> OpenAdapters(
      const InstalledModel& model) const;

  Status Copy(const ModelName& source, const ModelName& destination);
  // Removes the manifest, empty folders, and blobs that no other manifest names.
  Status Delete(const ModelName& name);
  Status Create(const CreateRequest& request, const ProgressFunction& progress);

  // The bytes of a model's manifest. kNotFound; the bundled model and local files have none
  // (kInvalidArgument).
  Result<std::string> ReadManifestText(const ModelName& name) const;
  // Writes a manifest whose blobs are all there, byte for byte, under `name`, and deletes the
  // layers of the one it replaces that nobody uses any more.
  Status AddManifest(const ModelName& name, const std::string& text);

  // --- blobs; `digest` is "sha256:<64 hex>" or "sha256-<64 hex>", anything else is
  // kInvalidArgument
  Result<std::filesystem::path> BlobPath(std::string_view digest) const;
  Result<bool> HasBlob(std::string_view digest) const;
  // Adds a local file without copying it where the file system can share: reflink, else hard link
  // (only for files of the same owner that nobody may write), else a copy with progress. Returns
  // the digest.
  Result<std::string> ImportFile(const std::filesystem::path& path,
                                 const ProgressFunction& progress);
  // Deletes blobs that no manifest names and that are older than an hour. Does nothing unless every
  // manifest is readable.
  Status Prune();

  // Receives a blob from a network; Finish checks the digest and only then lists it.
  class BlobWriter {
   public:
    Status Write(std::string_view bytes);
    Status Finish();

   private:
    friend class Store;
    BlobWriter(AtomicFile file, std::filesystem::path path, std::string digest);
    AtomicFile file_;
    Sha256 sha_;
    std::filesystem::path path_;
    std::string digest_;
  };
  Result<BlobWriter> WriteBlob(std::string_view digest);

 private:
  friend class Creation;
  Result<InstalledModel> ReadManifest(const std::filesystem::path& path,
                                      const ModelName& name) const;
  // Finds the path of an existing manifest, whatever its case.
  std::optional<std::filesystem::path> FindManifest(const ModelName& name, ModelName* found) const;
  Result<Layer> AddBlob(std::string_view content, std::string_view media_type);
  Status RemoveUnused(const std::vector<Layer>& candidates);
  std::filesystem::path root_;
  std::vector<InstalledModel> local_;
};

// "7.6B", "656.0K": Ollama's human parameter count.
std::string HumanParameterCount(uint64_t parameters);
// "Q4_K_M" and so on from general.file_type, else from the most common type of the matrices.
std::string FileTypeName(const gguf::File& file);
// The config of a model that consists of this file: model_format, model_family, model_families,
// model_type, file_type.
Json ConfigOf(const gguf::File& file);
// The text of a Modelfile that would create `model`; `from` stands in its FROM line.
std::string ModelfileOf(const InstalledModel& model, const std::string& from);

}  // namespace puna::store

#endif  // PUNA_STORE_STORE_H_
