// Reading the store, and the operations that only touch manifests. The folder is the only state:
// every call looks at the disk again, because Ollama or another puna may have written in between,
// and a directory of some dozen small files reads in less time than a cache could go wrong in.
#include "store/store.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <mutex>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "store/bundled_model.h"
#include "store/manifest.h"
#include "store/store_lock.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;
using std::chrono::system_clock;

system_clock::time_point ModificationTime(const fs::path& path) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(path, error);
  return error ? system_clock::time_point() : std::chrono::file_clock::to_sys(time);
}

// Never there, or deleted meanwhile; a link that leads nowhere is there.
bool IsGone(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() == fs::file_type::not_found;
}

// What a folder holds. Whatever is no folder holds nothing; one that cannot be listed is added to
// `unseen`, if that is not null.
std::vector<fs::path> Children(const fs::path& folder, std::vector<StoreProblem>* unseen) {
  std::vector<fs::path> children;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with('.')) children.push_back(it->path());
  }
  if (error && error != std::errc::not_a_directory && unseen != nullptr && !IsGone(folder))
    unseen->push_back({"", folder, "cannot be listed: " + error.message(), {}});
  std::sort(children.begin(), children.end());
  return children;
}

Result<Json> ReadJson(const fs::path& path) {
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSmallLayerBytes));
  Json json = ParseJson(text);
  if (json.is_discarded()) return MakeError(ErrorCode::kCorrupt, "{} is not JSON", path.string());
  return json;
}

Status ReadMessages(const fs::path& path, Json* messages) {
  PUNA_ASSIGN_OR_RETURN(Json json, ReadJson(path));
  if (!json.is_array())
    return MakeError(ErrorCode::kCorrupt, "{} is not an array of messages", path.string());
  for (Json& message : json) {
    if (message.is_object()) messages->push_back(std::move(message));
  }
  return {};
}

// Reads a small layer into its field, or notes the path of a large one.
Status ReadLayer(const Layer& layer, const fs::path& blob, InstalledModel* model) {
  const std::string& type = layer.media_type;
  if (type == kModelType) {
    if (model->weights.empty()) {
      model->weights = blob;
      model->parent_model = layer.from;
    }
  } else if (type == kProjectorType) {
    model->projectors.push_back(blob);
  } else if (type == kAdapterType) {
    model->adapters.push_back(blob);
  } else if (type == kDraftType) {
    model->draft = blob;
  } else if (type == kTemplateType || type == kPromptType) {
    PUNA_ASSIGN_OR_RETURN(model->template_text, ReadFile(blob, kMaxSmallLayerBytes));
  } else if (type == kSystemType) {
    PUNA_ASSIGN_OR_RETURN(model->system, ReadFile(blob, kMaxSmallLayerBytes));
  } else if (type == kParamsType) {
    PUNA_ASSIGN_OR_RETURN(Json json, ReadJson(blob));
    if (json.is_object()) model->parameters = std::move(json);
  } else if (type == kMessagesType) {
    PUNA_RETURN_IF_ERROR(ReadMessages(blob, &model->messages));
  } else if (type == kLicenseType) {
    PUNA_ASSIGN_OR_RETURN(std::string text, ReadFile(blob, kMaxSmallLayerBytes));
    model->licenses.push_back(std::move(text));
  }
  return {};
}

InstalledModel BundledModel() {
  static const InstalledModel model = [] {
    InstalledModel bundled;
    bundled.name.model = kBundledModelName;
    const auto bytes = BundledModelBytes();
    Sha256 sha;
    sha.Update(bytes);
    const std::shared_ptr<const gguf::File> file = BundledModelFile();
    uint64_t parameters = 0;
    for (const gguf::Tensor& tensor : file->tensors())
      parameters += static_cast<uint64_t>(tensor.elements());
    bundled.config = {{"model_format", "gguf"},
                      {"model_family", "llama"},
                      {"model_families", {"llama"}},
                      {"model_type", HumanParameterCount(parameters)},
                      {"file_type", FileTypeName(*file)}};
    bundled.digest = sha.FinishHex();
    bundled.layers.push_back({std::string(kModelType), "sha256:" + bundled.digest,
                              static_cast<int64_t>(bytes.size()), ""});
    bundled.size_bytes = static_cast<int64_t>(bytes.size());
    bundled.modified_at = ModificationTime("/proc/self/exe");
    bundled.weights = "bundled:" + std::string(kBundledModelName);
    bundled.bundled = true;
    return bundled;
  }();
  return model;
}

// Parsing a vocabulary of 150,000 strings for each request would cost more than short requests
// themselves.
Result<std::shared_ptr<const gguf::File>> OpenShared(const fs::path& path) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const gguf::File>> open_files;
  const std::lock_guard lock(mutex);
  std::erase_if(open_files, [](const auto& entry) { return entry.second.expired(); });
  if (const auto it = open_files.find(path.string()); it != open_files.end()) {
    if (auto file = it->second.lock(); file && file->IsCurrent()) return file;
  }
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const gguf::File> file, gguf::File::Open(path));
  open_files[path.string()] = file;
  return file;
}

// The layers and the config of a manifest; nothing of one that is missing or cannot be read.
std::vector<Layer> LayersOf(const fs::path& manifest_path) {
  const auto text = ReadFile(manifest_path, kMaxManifestBytes);
  auto manifest = text ? ParseManifest(*text) : Result<Manifest>(tl::unexpected(text.error()));
  if (!manifest) return {};
  manifest->layers.push_back(manifest->config);
  return std::move(manifest->layers);
}

// From the outermost folder to the manifest's name.
constexpr std::array kNameParts = {&ModelName::host, &ModelName::name_space, &ModelName::model,
                                   &ModelName::tag};

// Removes empty folders from `folder` upwards, as far as `root` and not it.
void RemoveEmptyFolders(fs::path folder, const fs::path& root) {
  std::error_code error;
  while (folder != root && folder.has_parent_path() && fs::is_empty(folder, error) && !error) {
    if (!fs::remove(folder, error)) return;
    folder = folder.parent_path();
  }
}

}  // namespace

Status Report(const ProgressFunction& progress, const Progress& report) {
  if (!progress || progress(report)) return {};
  return MakeError(ErrorCode::kCancelled, "cancelled");
}

Status Say(const ProgressFunction& progress, std::string_view status) {
  return Report(progress, {.status = std::string(status), .digest = ""});
}

std::vector<std::pair<fs::path, ModelName>> Store::Manifests(
    std::vector<StoreProblem>* unseen) const {
  std::vector<std::pair<fs::path, ModelName>> manifests;
  // Exactly four levels, as Ollama looks.
  for (const fs::path& host : Children(root_ / "manifests", unseen)) {
    for (const fs::path& name_space : Children(host, unseen)) {
      for (const fs::path& model : Children(name_space, unseen)) {
        for (const fs::path& tag : Children(model, unseen)) {
          std::error_code error;
          const bool regular = fs::is_regular_file(tag, error);
          if (error && unseen != nullptr && !IsGone(tag))
            unseen->push_back({"", tag, "cannot be read: " + error.message(), {}});
          if (!regular) continue;
          manifests.emplace_back(tag, ModelName{host.filename(), name_space.filename(),
                                                model.filename(), tag.filename()});
        }
      }
    }
  }
  return manifests;
}

Store::Store(fs::path root, bool keep_replaced)
    : root_(std::move(root)), keep_replaced_(keep_replaced) {}

Status Store::AddLocalFile(const std::string& name, const fs::path& path) {
  InstalledModel model;
  PUNA_ASSIGN_OR_RETURN(model.name, ModelName::Parse(name));
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(path));
  model.config = ConfigOf(*file);
  model.size_bytes = static_cast<int64_t>(file->file_bytes());
  model.modified_at = ModificationTime(path);
  model.weights = path;
  model.local = true;
  // The content is not hashed: that would read the whole file before the first answer.
  model.digest = Sha256Hex(fs::absolute(path).string());
  local_.push_back(std::move(model));
  return {};
}

Result<InstalledModel> Store::ReadManifest(const fs::path& path, const ModelName& name) const {
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes));
  PUNA_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(text));
  InstalledModel model;
  model.name = name;
  model.digest = Sha256Hex(text);
  model.modified_at = ModificationTime(path);
  model.layers = manifest.layers;
  model.size_bytes = manifest.config.size_bytes;
  PUNA_ASSIGN_OR_RETURN(const fs::path config_path, BlobPath(manifest.config.digest));
  PUNA_ASSIGN_OR_RETURN(model.config, ReadJson(config_path));
  if (!model.config.is_object())
    return MakeError(ErrorCode::kCorrupt, "{} is not an object", config_path.string());
  for (const Layer& layer : manifest.layers) {
    model.size_bytes += layer.size_bytes;
    PUNA_ASSIGN_OR_RETURN(const fs::path blob, BlobPath(layer.digest));
    std::error_code error;
    if (!fs::exists(blob, error)) {
      return MakeError(ErrorCode::kCorrupt,
                       "model '{}' is not whole: the blob {} is missing; 'puna pull' fetches it",
                       name.ShortName(), layer.digest);
    }
    PUNA_RETURN_IF_ERROR(ReadLayer(layer, blob, &model));
  }
  return model;
}

std::vector<InstalledModel> Store::List() const {
  std::vector<InstalledModel> models;
  bool has_bundled_name = false;
  const InstalledModel bundled = BundledModel();
  for (const auto& [path, name] : Manifests()) {
    auto model = ReadManifest(path, name);
    if (!model) {
      LogWarning("bad manifest {}: {}", path.string(), model.error().message);
      continue;
    }
    has_bundled_name = has_bundled_name || SameName(name, bundled.name);
    models.push_back(*std::move(model));
  }
  std::stable_sort(models.begin(), models.end(),
                   [](const InstalledModel& a, const InstalledModel& b) {
                     return a.modified_at > b.modified_at;
                   });
  models.insert(models.begin(), local_.begin(), local_.end());
  if (!has_bundled_name) models.push_back(bundled);
  return models;
}

fs::path Store::ManifestPath(const ModelName& name) const {
  return root_ / "manifests" / name.RelativePath();
}

ModelName Store::Spelling(const ModelName& name) const {
  std::error_code error;
  if (fs::is_regular_file(ManifestPath(name), error)) return name;
  // Of the manifests that share as many parts the one whose case differs in the fewest: other
  // programs may have written names that differ in case only.
  ModelName best = name;
  std::pair<size_t, size_t> most;
  for (const auto& [path, stored] : Manifests()) {
    ModelName spelled = name;
    std::pair<size_t, size_t> shared;  // parts, and those of them that are written alike
    for (const auto part : kNameParts) {
      if (!EqualIgnoringCase(stored.*part, name.*part)) break;
      ++shared.first;
      shared.second += stored.*part == name.*part;
      spelled.*part = stored.*part;
    }
    if (shared <= most) continue;
    most = shared;
    best = std::move(spelled);
  }
  return best;
}

std::optional<fs::path> Store::FindManifest(const ModelName& name, ModelName* found) const {
  *found = Spelling(name);
  fs::path path = ManifestPath(*found);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  return path;
}

Result<InstalledModel> Store::Find(const ModelName& name) const {
  for (const InstalledModel& model : local_) {
    if (SameName(name, model.name)) return model;
  }
  ModelName found;
  if (const auto path = FindManifest(name, &found)) return ReadManifest(*path, found);
  InstalledModel bundled = BundledModel();
  if (SameName(name, bundled.name)) return bundled;
  return MakeError(ErrorCode::kNotFound, "model '{}' not found", name.ShortName());
}

Result<std::shared_ptr<const gguf::File>> Store::OpenWeights(const InstalledModel& model) const {
  if (model.bundled) return BundledModelFile();
  if (model.weights.empty()) {
    return MakeError(ErrorCode::kUnsupported, "{} has no GGUF weights (model format {})",
                     model.name.ShortName(), JsonString(model.config, "model_format", "unknown"));
  }
  return OpenShared(model.weights);
}

Result<std::vector<std::shared_ptr<const gguf::File>>> Store::OpenAdapters(
    const InstalledModel& model) const {
  std::vector<std::shared_ptr<const gguf::File>> files;
  for (const fs::path& path : model.adapters) {
    auto file = OpenShared(path);
    if (!file) return WithContext(std::move(file).error(), "adapter");
    files.push_back(*std::move(file));
  }
  return files;
}

Status Store::Copy(const ModelName& source, const ModelName& destination) {
  ModelName found;
  const auto path = FindManifest(source, &found);
  if (!path) {
    if (!Find(source))  // neither the bundled one nor a file that is served in place
      return MakeError(ErrorCode::kNotFound, "model \"{}\" not found", source.ShortName());
    CreateRequest request;
    request.name = destination;
    request.from = source.FullName();
    return Create(request, nullptr);
  }
  // Under the lock nobody deletes the blobs between reading and writing.
  PUNA_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(root_));
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadFile(*path, kMaxManifestBytes));
  return WriteManifestLocked(destination, text);
}

Result<std::string> Store::ReadManifestText(const ModelName& name) const {
  ModelName found;
  const auto path = FindManifest(name, &found);
  if (path) return ReadFile(*path, kMaxManifestBytes);
  PUNA_RETURN_IF_ERROR(Find(name));
  return MakeError(ErrorCode::kInvalidArgument,
                   "{} is not in the store; 'puna cp' gives it a name there", name.ShortName());
}

Status Store::AddManifest(const ModelName& name, const std::string& text) {
  PUNA_RETURN_IF_ERROR(ParseManifest(text));
  PUNA_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(root_));
  return WriteManifestLocked(name, text);
}

Status Store::WriteManifestLocked(const ModelName& name, const std::string& text) {
  const fs::path path = ManifestPath(Spelling(name));
  const std::vector<Layer> replaced = LayersOf(path);
  PUNA_RETURN_IF_ERROR(WriteFileAtomically(path, text));
  return FinishChangeLocked(keep_replaced_ ? std::vector<Layer>() : replaced);
}

Status Store::FinishChangeLocked(const std::vector<Layer>& unnamed) {
  const Status removed = RemoveUnusedLocked(unnamed);
  if (on_change_) on_change_();
  return removed;
}

Status Store::Delete(const ModelName& name) {
  ModelName found;
  const auto path = FindManifest(name, &found);
  if (!path) {
    if (SameName(name, BundledModel().name)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "model '{}' is part of puna and cannot be deleted", name.model);
    }
    return MakeError(ErrorCode::kNotFound, "model '{}' not found", name.ShortName());
  }
  PUNA_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(root_));
  const std::vector<Layer> layers = LayersOf(*path);
  std::error_code error;
  const bool removed = fs::remove(*path, error);
  if (error) return ErrnoError(error.value(), "delete " + path->string());
  if (!removed) return MakeError(ErrorCode::kNotFound, "model '{}' not found", name.ShortName());
  RemoveEmptyFolders(path->parent_path(), root_ / "manifests");
  return FinishChangeLocked(layers);
}

}  // namespace puna::store
