// What keeps the store tidy: deleting what nobody needs, checking what is there, counting it.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/log.h"
#include "store/hash_file.h"
#include "store/manifest.h"
#include "store/store.h"
#include "store/store_lock.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartial = "-partial", kState = "-partial-state";

enum class FileKind { kBlob, kPartial, kTemporary, kOther };

FileKind KindOf(const fs::path& path) {
  const std::string name = path.filename();
  if (name.starts_with('.') && name.find(".tmp-") != std::string::npos) return FileKind::kTemporary;
  // Ollama has one more file for each part: "-partial-3".
  if (name.starts_with("sha256-") && name.find(kPartial) != std::string::npos)
    return FileKind::kPartial;
  return DigestHex(name) ? FileKind::kBlob : FileKind::kOther;
}

// The bytes that a file takes of the disk; a partial file has holes.
int64_t DiskBytes(const fs::path& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? int64_t{512} * info.st_blocks : 0;
}

bool IsOlder(const fs::path& path, std::chrono::seconds age) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(path, error);
  return !error && time <= fs::file_time_type::clock::now() - age;
}

std::vector<fs::path> FilesBelow(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Pruning {
 public:
  Pruning(const PruneOptions& options, Pruned* pruned) : options_(options), pruned_(pruned) {}

  Status Take(const fs::path& path) {
    ++pruned_->files;
    pruned_->bytes += DiskBytes(path);
    std::error_code error;
    if (!options_.dry_run) fs::remove(path, error);
    if (error) return ErrnoError(error.value(), "delete " + path.string());
    return {};
  }

  // Whoever writes a temporary file, or fetches into a partial one, holds it locked. Our lock keeps
  // them out until it is gone.
  Status TakeUnlessWritten(const fs::path& path) {
    std::string name = path.string();
    // The state of a transfer belongs to its partial file.
    if (name.ends_with(kState)) name.resize(name.size() - kState.size() + kPartial.size());
    const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return errno == ENOENT ? Take(path) : Status();
    Status done;
    if (::flock(descriptor, LOCK_SH | LOCK_NB) == 0) done = Take(path);
    ::close(descriptor);
    return done;
  }

 private:
  const PruneOptions& options_;
  Pruned* pruned_;
};

}  // namespace

Result<std::set<std::string>> Store::NamedDigests() const {
  std::set<std::string> named;
  std::vector<StoreProblem> unseen;
  const auto manifests = Manifests(&unseen);
  if (!unseen.empty()) {
    return MakeError(ErrorCode::kCorrupt, "{} {}", unseen[0].path.string(), unseen[0].what);
  }
  for (const auto& [path, name] : manifests) {
    const auto text = ReadFile(path, kMaxManifestBytes);
    const auto manifest =
        text ? ParseManifest(*text) : Result<Manifest>(tl::unexpected(text.error()));
    if (!manifest) {
      return MakeError(ErrorCode::kCorrupt, "the manifest {} cannot be read: {}", path.string(),
                       manifest.error().message);
    }
    named.insert(manifest->config.digest);
    for (const Layer& layer : manifest->layers) named.insert(layer.digest);
  }
  return named;
}

Status Store::RemoveUnused(const std::vector<Layer>& candidates) {
  PUNA_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(root_));
  return RemoveUnusedLocked(candidates);
}

Status Store::RemoveUnusedLocked(const std::vector<Layer>& candidates) {
  std::set<std::string> unused;
  for (const Layer& layer : candidates) unused.insert(layer.digest);
  if (unused.empty()) return {};
  // What an unreadable manifest needs is not known, so nothing is deleted.
  const auto named = NamedDigests();
  if (!named) {
    LogWarning("no blob is deleted: {}", named.error().message);
    return {};
  }
  const auto pinned = PinnedDigests(root_, true);
  if (!pinned) {
    LogWarning("no blob is deleted: {}", pinned.error().message);
    return {};
  }
  for (const std::string& digest : *named) unused.erase(digest);
  for (const std::string& digest : *pinned) unused.erase(digest);
  for (const std::string& digest : unused) {
    PUNA_ASSIGN_OR_RETURN(const fs::path path, BlobPath(digest));
    std::error_code error;
    fs::remove(path, error);
    if (error) return ErrnoError(error.value(), "delete " + path.string());
  }
  return {};
}

Result<Pruned> Store::Prune(const PruneOptions& options) {
  Pruned pruned;
  std::error_code error;
  if (!fs::exists(root_, error)) return pruned;
  // Who only counts needs no lock, which a store that is only to be read could not give.
  std::optional<StoreLock> lock;
  if (!options.dry_run) {
    PUNA_ASSIGN_OR_RETURN(StoreLock taken, StoreLock::Take(root_));
    lock.emplace(std::move(taken));
  }
  Pruning pruning(options, &pruned);
  const auto named = NamedDigests();
  const auto pinned = PinnedDigests(root_, !options.dry_run);
  for (const fs::path& path : FilesBelow(root_ / "blobs")) {
    const FileKind kind = KindOf(path);
    if ((kind == FileKind::kTemporary && IsOlder(path, options.blobs)) ||
        (kind == FileKind::kPartial && IsOlder(path, options.partials))) {
      PUNA_RETURN_IF_ERROR(pruning.TakeUnlessWritten(path));
    } else if (kind == FileKind::kBlob && named && pinned && IsOlder(path, options.blobs)) {
      PUNA_ASSIGN_OR_RETURN(const std::string hex, DigestHex(path.filename().string()));
      const std::string digest = "sha256:" + hex;
      if (named->contains(digest) || pinned->contains(digest)) continue;
      PUNA_RETURN_IF_ERROR(pruning.Take(path));
    }
  }
  for (const fs::path& path : FilesBelow(root_ / "manifests")) {
    if (KindOf(path) == FileKind::kTemporary && IsOlder(path, options.blobs))
      PUNA_RETURN_IF_ERROR(pruning.TakeUnlessWritten(path));
  }
  if (!named) return WithContext(named.error(), "no blob was deleted");
  if (!pinned) return WithContext(pinned.error(), "no blob was deleted");
  return pruned;
}

namespace {

// What is wrong with a blob; empty if nothing is.
Result<std::string> CheckBlob(const fs::path& path, const Layer& layer, int64_t total,
                              int64_t* checked, const ProgressFunction& progress) {
  std::error_code error;
  if (!fs::exists(path, error)) return "is missing";
  const auto file = MappedFile::Open(path);
  if (!file) return file.error().message;
  const auto bytes = (*file)->bytes();
  if (static_cast<int64_t>(bytes.size()) != layer.size_bytes) {
    *checked += layer.size_bytes;
    return fmt::format("has {} bytes, its manifest says {}", bytes.size(), layer.size_bytes);
  }
  const int64_t before = *checked;
  *checked += layer.size_bytes;
  PUNA_ASSIGN_OR_RETURN(const std::string actual, HashFile(**file, [&](int64_t done) {
                          return Report(progress, {"checking blobs", "", total, before + done});
                        }));
  return actual == layer.digest ? std::string() : "has the digest " + actual;
}

}  // namespace

Result<std::vector<StoreProblem>> Store::Verify(const std::vector<ModelName>& models,
                                                const ProgressFunction& progress) const {
  std::vector<StoreProblem> problems;
  std::map<std::string, Layer> blobs;
  std::map<std::string, std::vector<std::string>> users;
  const auto wanted = [&](const ModelName& name) {
    return models.empty() || std::any_of(models.begin(), models.end(),
                                         [&](const ModelName& m) { return SameName(m, name); });
  };
  std::vector<StoreProblem> unseen;
  const auto manifests = Manifests(&unseen);
  if (models.empty()) problems = std::move(unseen);
  for (const ModelName& model : models) {
    const bool there = std::any_of(manifests.begin(), manifests.end(), [&](const auto& manifest) {
      return SameName(model, manifest.second);
    });
    if (!there) PUNA_RETURN_IF_ERROR(Find(model));  // the bundled model has no manifest
  }
  for (const auto& [path, name] : manifests) {
    if (!wanted(name)) continue;
    const auto text = ReadFile(path, kMaxManifestBytes);
    auto manifest = text ? ParseManifest(*text) : Result<Manifest>(tl::unexpected(text.error()));
    if (!manifest) {
      problems.push_back({"", path, manifest.error().message, {name.ShortName()}});
      continue;
    }
    manifest->layers.push_back(manifest->config);
    for (Layer& layer : manifest->layers) {
      auto& names = users[layer.digest];
      if (names.empty() || names.back() != name.ShortName()) names.push_back(name.ShortName());
      blobs.emplace(layer.digest, std::move(layer));
    }
  }
  int64_t total = 0, checked = 0;
  for (const auto& [digest, layer] : blobs) total += std::min(layer.size_bytes, INT64_MAX - total);
  for (const auto& [digest, layer] : blobs) {
    PUNA_ASSIGN_OR_RETURN(const fs::path path, BlobPath(digest));
    PUNA_ASSIGN_OR_RETURN(std::string what, CheckBlob(path, layer, total, &checked, progress));
    if (!what.empty()) problems.push_back({digest, path, std::move(what), users[digest]});
  }
  return problems;
}

StoreUsage Store::Usage() const {
  StoreUsage usage;
  std::map<std::string, int> users;
  const std::vector<InstalledModel> models = List();
  const auto digests_of = [](const InstalledModel& model) {
    std::map<std::string, int64_t> digests;
    for (const Layer& layer : model.layers) digests[layer.digest] = layer.size_bytes;
    return digests;
  };
  for (const InstalledModel& model : models) {
    if (model.bundled || model.local) continue;
    for (const auto& [digest, bytes] : digests_of(model)) ++users[digest];
  }
  for (const InstalledModel& model : models) {
    if (model.bundled || model.local) continue;
    StoreUsage::Model entry{.name = model.name.ShortName(), .bytes = model.size_bytes};
    for (const auto& [digest, bytes] : digests_of(model)) {
      if (users[digest] == 1) entry.own_bytes += bytes;
    }
    usage.models.push_back(std::move(entry));
  }
  const auto named = NamedDigests();
  for (const fs::path& path : FilesBelow(root_ / "blobs")) {
    const FileKind kind = KindOf(path);
    if (kind == FileKind::kPartial || kind == FileKind::kTemporary)
      usage.partial_bytes += DiskBytes(path);
    if (kind != FileKind::kBlob) continue;
    const int64_t bytes = DiskBytes(path);
    usage.blob_bytes += bytes;
    const auto hex = DigestHex(path.filename().string());
    if (named && hex && !named->contains("sha256:" + *hex)) usage.unused_bytes += bytes;
  }
  return usage;
}

}  // namespace puna::store
