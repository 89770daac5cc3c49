#include "cli/model_files.h"

#include <algorithm>
#include <random>

#include "base/file.h"
#include "base/sha256.h"
#include "gguf/gguf.h"
#include "store/store.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHashChunkBytes = 4 << 20;

bool LooksLikePath(const std::string& written) {
  return written.starts_with('/') || written.starts_with("./") || written.starts_with("../") ||
         written.starts_with('~') || written.ends_with(".gguf") || written == "." ||
         written == "..";
}

Result<std::vector<fs::path>> GgufFilesIn(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) && entry.path().extension() == ".gguf")
      files.push_back(entry.path());
  }
  if (files.empty()) {
    return MakeError(ErrorCode::kNotFound,
                     "no GGUF file in {}; other formats cannot be imported by this version",
                     folder.string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Tells what is wrong with a file before gigabytes of it are hashed.
Status CheckGguf(const fs::path& path) {
  auto file = gguf::File::Open(path);
  if (!file) return WithContext(std::move(file).error(), path.string());
  PUNA_ASSIGN_OR_RETURN(const auto parts, (*file)->GetInteger("split.count"));
  if (parts.value_or(1) > 1) {
    return MakeError(ErrorCode::kUnsupported,
                     "{} is part of a model split into {} files: it can be run in place (puna run "
                     "{}), but has to be merged before it is imported",
                     path.string(), *parts, path.string());
  }
  return {};
}

}  // namespace

fs::path ResolvePath(const std::string& written, const fs::path& folder) {
  if (written == "~") return HomeDirectory();
  if (written.starts_with("~/")) return HomeDirectory() / written.substr(2);
  return (folder / written).lexically_normal();
}

Result<ModelSources> FindSources(const store::Modelfile& modelfile, const fs::path& folder) {
  ModelSources sources;
  std::error_code error;
  for (const std::string& from : modelfile.from) {
    const fs::path path = ResolvePath(from, folder);
    if (fs::is_regular_file(path, error)) {
      sources.files.push_back(path);
    } else if (fs::is_directory(path, error)) {
      PUNA_ASSIGN_OR_RETURN(const auto files, GgufFilesIn(path));
      sources.files.insert(sources.files.end(), files.begin(), files.end());
    } else if (LooksLikePath(from)) {
      return MakeError(ErrorCode::kNotFound, "FROM {}: there is no file {}", from, path.string());
    } else if (!sources.from.empty()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "FROM names two models, \"{}\" and \"{}\"; it may name one", sources.from,
                       from);
    } else {
      sources.from = from;
    }
  }
  if (!sources.from.empty() && !sources.files.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "FROM names the file {} and the model \"{}\" (or is {} a file that does not "
                     "exist?)",
                     sources.files[0].string(), sources.from,
                     ResolvePath(sources.from, folder).string());
  }
  for (const std::string& adapter : modelfile.adapters) {
    const fs::path path = ResolvePath(adapter, folder);
    if (!fs::is_regular_file(path, error))
      return MakeError(ErrorCode::kNotFound, "ADAPTER {}: there is no file {}", adapter,
                       path.string());
    sources.adapters.push_back(path);
  }
  for (const fs::path& file : sources.files) PUNA_RETURN_IF_ERROR(CheckGguf(file));
  for (const fs::path& file : sources.adapters) PUNA_RETURN_IF_ERROR(CheckGguf(file));
  return sources;
}

bool BlobSender::SharesStore() {
  if (shares_store_) return *shares_store_;
  shares_store_ = false;
  const std::string& url = client_.base_url();
  const bool loopback = url.find("//127.") != std::string::npos ||
                        url.find("//[::1]") != std::string::npos ||
                        url.find("//localhost") != std::string::npos;
  if (!loopback) return false;
  // A blob that nobody else can have: if the server sees it, it looks where we wrote it.
  std::random_device random;
  const std::string content = fmt::format("probe {} {} {}", random(), random(), random());
  const std::string digest = "sha256:" + Sha256Hex(content);
  const store::Store store(settings_.models);
  const auto path = store.BlobPath(digest);
  std::error_code error;
  if (!path) return false;
  const bool existed = fs::exists(settings_.models, error);
  if (!WriteFileAtomically(*path, content)) return false;
  const auto seen = client_.HasBlob(digest);
  fs::remove(*path, error);
  shares_store_ = seen && *seen;
  if (!existed && !*shares_store_) {  // folders that were made for the probe; empty ones only
    fs::remove(path->parent_path(), error);
    fs::remove(settings_.models, error);
  }
  return *shares_store_;
}

Result<std::string> BlobSender::Upload(const fs::path& path) {
  PUNA_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  const auto bytes = file->bytes();
  const std::string name = path.filename().string();
  Sha256 sha;
  for (size_t at = 0; at < bytes.size(); at += kHashChunkBytes) {
    sha.Update(bytes.subspan(at, std::min(kHashChunkBytes, bytes.size() - at)));
    progress_->Show("hashing " + name,
                    static_cast<int64_t>(std::min(bytes.size(), at + kHashChunkBytes)),
                    static_cast<int64_t>(bytes.size()));
  }
  std::string digest = "sha256:" + sha.FinishHex();
  PUNA_ASSIGN_OR_RETURN(const bool present, client_.HasBlob(digest));
  if (present) return digest;
  PUNA_RETURN_IF_ERROR(client_.UploadBlob(digest, path, [&](uint64_t sent, uint64_t total) {
    progress_->Show("uploading " + name, static_cast<int64_t>(sent), static_cast<int64_t>(total));
    return true;
  }));
  return digest;
}

Result<std::string> BlobSender::Send(const fs::path& file) {
  if (!SharesStore()) return Upload(file);
  store::Store store(settings_.models);
  PUNA_ASSIGN_OR_RETURN(
      const std::string digest, store.ImportFile(file, [&](const store::Progress& progress) {
        progress_->Show(progress.status, progress.completed_bytes, progress.total_bytes);
        return true;
      }));
  PUNA_ASSIGN_OR_RETURN(const bool present, client_.HasBlob(digest));
  return present ? digest : Upload(file);
}

}  // namespace puna::cli
