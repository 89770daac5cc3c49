// Models on disk, in Ollama's layout: manifests/<host>/<namespace>/<model>/<tag> name the layers,
// blobs/sha256-<hex> hold them (sha256:<hex> those of old versions). A store that Ollama wrote is
// read unchanged, and Ollama reads what puna writes.
//
// Whatever is written appears under its final name only when it is complete and synced, and a
// manifest only when its blobs are there. Other processes may share the folder; nothing here
// assumes to be alone. Thread safe.
#ifndef PUNA_STORE_STORE_H_
#define PUNA_STORE_STORE_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "base/sha256.h"
#include "gguf/gguf.h"
#include "store/blob_pins.h"
#include "store/model_name.h"

namespace puna::store {

struct Layer {
  std::string media_type;
  std::string digest;  // "sha256:<64 hex>"
  int64_t size_bytes = 0;
  std::string from;  // name of the model it was taken from; may be empty
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
  std::filesystem::path draft;  // a smaller model that Ollama guesses ahead with; may be empty
  std::optional<std::string> template_text;
  std::optional<std::string> system;
  Json parameters = Json::object();
  Json messages = Json::array();  // objects as Ollama's API has them
  std::vector<std::string> licenses;
  std::string parent_model;  // the name that the weights were taken from; may be empty
  bool local = false;        // a file that is served in place
  bool bundled = false;      // inside the program; `weights` is then a name, not a path
};

// What /api/create asks for.
struct CreateRequest {
  ModelName name;
  std::string from;  // a model, or empty
  // Without `from`: file name -> digest of an uploaded blob.
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::pair<std::string, std::string>> adapters;
  std::string template_text, system;  // empty: that of `from`
  std::vector<std::string> licenses;
  Json parameters = Json::object();
  Json messages = Json::array();
  std::string renderer, parser, requires_version;
  Json config = Json::object();  // fields of the config, instead of what the files say
  std::string quantize;          // "", or the file type to convert to
  // The importance matrix to quantize with: its file's name and the digest of the uploaded blob.
  std::vector<std::pair<std::string, std::string>> imatrix;
  // A draft model, which is stored beside the model, and the file type to convert it to.
  std::vector<std::pair<std::string, std::string>> drafts;
  std::string draft_quantize;
};

// Progress of long work: a status line, and bytes if it has any. Returning false cancels.
struct Progress {
  std::string status;
  std::string digest;
  int64_t total_bytes = 0, completed_bytes = 0;
};
using ProgressFunction = std::function<bool(const Progress&)>;
// Installs a model that is not in the store.
using FetchFunction = std::function<Status(const ModelName&, const ProgressFunction&)>;
// Passes a report on, where somebody listens. kCancelled if that returned false.
Status Report(const ProgressFunction& progress, const Progress& report);
// The same for a line without amounts.
Status Say(const ProgressFunction& progress, std::string_view status);

// What Prune may take: files that were not touched for so long. What a running pull, create or
// upload needs it never takes.
struct PruneOptions {
  std::chrono::seconds blobs = std::chrono::hours(1);
  std::chrono::seconds partials = std::chrono::hours(24 * 14);  // of interrupted pulls
  bool dry_run = false;                                         // only count
};
struct Pruned {
  int64_t files = 0, bytes = 0;
};

// Something in the store that is not as it should be.
struct StoreProblem {
  std::string digest;  // of the blob; empty for a manifest
  std::filesystem::path path;
  std::string what;
  std::vector<std::string> models;  // that need it
};

// What takes how much of the disk.
struct StoreUsage {
  struct Model {
    std::string name;
    int64_t bytes = 0, own_bytes = 0;  // of all its blobs, and of those that no other model has
  };
  std::vector<Model> models;                                    // as List has them
  int64_t blob_bytes = 0, unused_bytes = 0, partial_bytes = 0;  // of all blobs, of those without a
                                                                // model, and of interrupted pulls
};

class Store {
 public:
  // `root` need not exist; it is created by the first write.
  // `keep_replaced`: the layers of a model that is replaced stay until they are pruned.
  explicit Store(std::filesystem::path root, bool keep_replaced = false);
  const std::filesystem::path& root() const { return root_; }

  // Serves the GGUF file at `path` under `name` beside the manifests, without importing it. Call it
  // before anything else.
  Status AddLocalFile(const std::string& name, const std::filesystem::path& path);
  // `listener` is called after each manifest that is written or deleted through this object, by the
  // thread that did it; it may read the store, and must not change it. Call it before anything
  // else.
  void OnChange(std::function<void()> listener) { on_change_ = std::move(listener); }

  // Every readable model, newest first, the bundled one last. A manifest that cannot be read is
  // left out with a warning.
  std::vector<InstalledModel> List() const;
  // Case-insensitive; the bundled model answers to its name unless the store has one of that name.
  // kNotFound.
  Result<InstalledModel> Find(const ModelName& name) const;
  // `name` in the case that the store has: of all its parts if there is such a model, else of as
  // many of the first ones as another model has.
  ModelName Spelling(const ModelName& name) const;
  // The weights of a model (or of the bundled one). Files are cached while somebody holds them, and
  // as long as they are what is on disk.
  Result<std::shared_ptr<const gguf::File>> OpenWeights(const InstalledModel& model) const;
  // Its adapters; as long as somebody holds one, and it is current, everybody gets the same File.
  Result<std::vector<std::shared_ptr<const gguf::File>>> OpenAdapters(
      const InstalledModel& model) const;

  Status Copy(const ModelName& source, const ModelName& destination);
  // Removes the manifest, empty folders, and blobs that no other manifest names.
  Status Delete(const ModelName& name);
  // `fetch` is asked for a `from` that is not installed; null: that is kNotFound.
  Status Create(const CreateRequest& request, const ProgressFunction& progress,
                const FetchFunction& fetch = nullptr);

  // The bytes of a model's manifest. kNotFound; the bundled model and local files have none
  // (kInvalidArgument).
  Result<std::string> ReadManifestText(const ModelName& name) const;
  // Writes a manifest, byte for byte, under `name`, and deletes the layers of the one it replaces
  // that nobody uses any more. Its blobs are there, and pinned by the caller.
  Status AddManifest(const ModelName& name, const std::string& text);

  // --- blobs; `digest` is "sha256:<64 hex>" or "sha256-<64 hex>", anything else is
  // kInvalidArgument
  Result<std::filesystem::path> BlobPath(std::string_view digest) const;
  Result<bool> HasBlob(std::string_view digest) const;
  // Adds a local file without copying it where the file system can share: reflink, else hard link
  // (only for files of the same owner that nobody may write), else a copy with progress, which is
  // not begun where the disk has no room for it (kResourceExhausted). Returns the digest, which
  // `pins` then has.
  Result<std::string> ImportFile(const std::filesystem::path& path, BlobPins* pins,
                                 const ProgressFunction& progress);
  // Deletes those of the layers that no manifest names.
  Status RemoveUnused(const std::vector<Layer>& candidates);
  // Deletes what nobody needs: blobs without a manifest, partial and temporary files. Unless every
  // manifest is readable, no blob is deleted, and the error says why.
  Result<Pruned> Prune(const PruneOptions& options = {});
  // Reads every blob that the models need (empty: all models) and compares it with its digest.
  // kNotFound if there is no such model.
  Result<std::vector<StoreProblem>> Verify(const std::vector<ModelName>& models,
                                           const ProgressFunction& progress) const;
  StoreUsage Usage() const;

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
  // `size_bytes`: what will be written, 0 if that is not known. kResourceExhausted if the disk has
  // less room.
  Result<BlobWriter> WriteBlob(std::string_view digest, uint64_t size_bytes = 0);

 private:
  friend class Creation;
  // The manifests by path, also those that cannot be read. `unseen`, if not null, gets what may
  // hide more of them: a folder that cannot be listed, a link that leads nowhere.
  std::vector<std::pair<std::filesystem::path, ModelName>> Manifests(
      std::vector<StoreProblem>* unseen = nullptr) const;
  // All digests that manifests name; an error if one of them cannot be read, or may be hidden.
  Result<std::set<std::string>> NamedDigests() const;
  Status RemoveUnusedLocked(const std::vector<Layer>& candidates);
  Result<InstalledModel> ReadManifest(const std::filesystem::path& path,
                                      const ModelName& name) const;
  std::filesystem::path ManifestPath(const ModelName& name) const;
  // Finds the path of an existing manifest, whatever its case.
  std::optional<std::filesystem::path> FindManifest(const ModelName& name, ModelName* found) const;
  Status WriteManifestLocked(const ModelName& name, const std::string& text);
  // What follows a change of the manifests: `unnamed` may be needed no more.
  Status FinishChangeLocked(const std::vector<Layer>& unnamed);
  Result<Layer> AddBlob(std::string_view content, std::string_view media_type, BlobPins* pins);
  std::filesystem::path root_;
  bool keep_replaced_;
  std::function<void()> on_change_;
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
// kUnsupported if a text of the model cannot be written so.
Result<std::string> ModelfileOf(const InstalledModel& model, const std::string& from);
// The same where the model is: FROM names its weights, or itself if it has no file of its own.
Result<std::string> ModelfileOf(const InstalledModel& model);

}  // namespace puna::store

#endif  // PUNA_STORE_STORE_H_
