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

// What belongs to a model or an adapter in safetensors beside its weights.
constexpr const char* kCompanions[] = {"config.json",           "generation_config.json",
                                       "tokenizer.json",        "tokenizer.model",
                                       "tokenizer_config.json", "special_tokens_map.json",
                                       "chat_template.jinja",   "model.safetensors.index.json",
                                       "1_Pooling/config.json", "sentence_bert_config.json",
                                       "adapter_config.json"};

// A link that leads out of the folder would publish files that nobody meant.
Status CheckInside(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error), root = fs::canonical(folder, error);
  if (!error &&
      std::mismatch(root.begin(), root.end(), real.begin(), real.end()).first == root.end())
    return {};
  return MakeError(ErrorCode::kInvalidArgument, "{} is a link that leads out of {}", path.string(),
                   folder.string());
}

std::vector<fs::path> FilesIn(const fs::path& folder, const char* extension) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error) && entry.path().extension() == extension)
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Adds the files of the model in `folder` to `files`.
Status AddFolder(const fs::path& folder, std::vector<fs::path>* files) {
  std::vector<fs::path> found = FilesIn(folder, ".safetensors");
  std::error_code error;
  if (!found.empty()) {
    for (const char* name : kCompanions) {
      if (fs::is_regular_file(folder / name, error)) found.push_back(folder / name);
    }
  } else {
    found = FilesIn(folder, ".gguf");
  }
  if (found.empty()) {
    return MakeError(ErrorCode::kNotFound, "no GGUF file and no safetensors file in {}",
                     folder.string());
  }
  for (const fs::path& path : found) PUNA_RETURN_IF_ERROR(CheckInside(path, folder));
  files->insert(files->end(), found.begin(), found.end());
  return {};
}

// Weights are mapped, which only regular files can be.
tl::unexpected<Error> NoFile(std::string_view command, const std::string& written,
                             const fs::path& path) {
  std::error_code error;
  if (fs::exists(path, error)) {
    return MakeError(ErrorCode::kInvalidArgument, "{} {}: {} is not a regular file", command,
                     written, path.string());
  }
  return MakeError(ErrorCode::kNotFound, "{} {}: there is no file {}", command, written,
                   path.string());
}

// What a line other than FROM names, which can only be a file or a folder.
Status AddPath(std::string_view command, const std::string& written, const fs::path& folder,
               std::vector<fs::path>* files) {
  const fs::path path = ResolvePath(written, folder);
  std::error_code error;
  if (fs::is_directory(path, error)) return AddFolder(path, files);
  if (!fs::is_regular_file(path, error)) return NoFile(command, written, path);
  files->push_back(path);
  return {};
}

// All parts of a split model, one of which `path` is; else `path` alone.
Result<std::vector<fs::path>> PartsOf(const fs::path& path, const gguf::File& file) {
  PUNA_ASSIGN_OR_RETURN(const auto parts, file.GetInteger("split.count"));
  const std::string stem = path.stem().string();  // NAME-00001-of-00003
  constexpr size_t kSuffixChars = 15;
  if (parts.value_or(1) <= 1 || stem.size() <= kSuffixChars) return std::vector{path};
  std::vector<fs::path> all;
  for (int64_t i = 1; i <= *parts; ++i) {
    all.push_back(path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf",
                                                   stem.substr(0, stem.size() - kSuffixChars), i,
                                                   *parts));
  }
  return all;
}

// Tells what is wrong with the GGUF files among `files` before gigabytes of them are hashed, and
// completes split models.
Status CheckGgufs(std::vector<fs::path>* files) {
  std::vector<fs::path> all;
  for (const fs::path& path : *files) {
    std::vector<fs::path> parts = {path};
    const bool belongs = path.extension() == ".safetensors" || path.extension() == ".json" ||
                         path.extension() == ".jinja" || path.extension() == ".model";
    if (!belongs) {
      PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(path));
      PUNA_ASSIGN_OR_RETURN(parts, PartsOf(path, *file));
    }
    for (const fs::path& part : parts) {
      if (std::find(all.begin(), all.end(), part) == all.end()) all.push_back(part);
    }
  }
  *files = std::move(all);
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
      PUNA_RETURN_IF_ERROR(AddFolder(path, &sources.files));
    } else if (LooksLikePath(from)) {
      return NoFile("FROM", from, path);
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
    PUNA_RETURN_IF_ERROR(AddPath("ADAPTER", adapter, folder, &sources.adapters));
  }
  if (!modelfile.draft.empty()) {
    PUNA_RETURN_IF_ERROR(AddPath("DRAFT", modelfile.draft, folder, &sources.draft));
  }
  PUNA_RETURN_IF_ERROR(CheckGgufs(&sources.files));
  PUNA_RETURN_IF_ERROR(CheckGgufs(&sources.adapters));
  PUNA_RETURN_IF_ERROR(CheckGgufs(&sources.draft));
  for (const fs::path& draft : sources.draft) {
    for (const fs::path& file : sources.files) {
      if (!fs::equivalent(draft, file, error)) continue;
      return MakeError(ErrorCode::kInvalidArgument, "DRAFT {} is the model of FROM itself",
                       modelfile.draft);
    }
  }
  return sources;
}

std::vector<std::string> NamesInRequest(std::span<const fs::path> files) {
  std::vector<fs::path> paths;
  for (const fs::path& file : files) {
    std::error_code error;
    paths.push_back(fs::absolute(file, error).lexically_normal());
  }
  fs::path shared = paths.empty() ? fs::path() : paths[0].parent_path();
  const auto holds = [&](const fs::path& path) {
    return std::mismatch(shared.begin(), shared.end(), path.begin(), path.end()).first ==
           shared.end();
  };
  for (const fs::path& path : paths) {
    while (shared.has_relative_path() && !holds(path.parent_path())) shared = shared.parent_path();
  }
  std::vector<std::string> names;
  for (const fs::path& path : paths) names.push_back(path.lexically_relative(shared).string());
  return names;
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
  if (seen && *seen) {
    if (auto pins = store::BlobPins::Create(settings_.models)) pins_.emplace(*std::move(pins));
  }
  shares_store_ = pins_.has_value();
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
  PUNA_ASSIGN_OR_RETURN(const std::string digest,
                        store.ImportFile(file, &*pins_, [&](const store::Progress& progress) {
                          progress_->Show(progress.status, progress.completed_bytes,
                                          progress.total_bytes);
                          return true;
                        }));
  PUNA_ASSIGN_OR_RETURN(const bool present, client_.HasBlob(digest));
  return present ? digest : Upload(file);
}

}  // namespace puna::cli
