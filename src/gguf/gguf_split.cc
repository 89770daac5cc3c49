// Split models: NAME-00001-of-0000N.gguf to NAME-0000N-of-0000N.gguf. Each part is a whole GGUF
// file with some of the tensors; the first one has the metadata. The part's own keys say which part
// it is, and the file name says where the others are; both must agree, because a renamed part would
// otherwise lend its tensors to another model.
#include <fmt/format.h>

#include "gguf/gguf_format.h"
#include "gguf/gguf_names.h"
#include "gguf/gguf_parts.h"
#include "gguf/gguf_reader.h"

namespace puna::gguf {
namespace {

// The number in a part's name has five digits.
constexpr int64_t kMaxParts = 99999;

std::string PartSuffix(int64_t index, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", index + 1, count);
}

struct SplitKeys {
  int64_t index = 0;
  int64_t count = 1;
  std::optional<int64_t> tensors;
};

Result<SplitKeys> ReadSplitKeys(const File& file) {
  SplitKeys keys;
  PUNA_ASSIGN_OR_RETURN(const std::optional<int64_t> count, file.GetInteger(kSplitCountKey));
  if (!count) return keys;
  if (*count < 0 || *count > kMaxParts) {
    return MakeError(ErrorCode::kCorrupt, "key '{}' is {}, expected at most {}", kSplitCountKey,
                     *count, kMaxParts);
  }
  if (*count <= 1) return keys;
  keys.count = *count;
  PUNA_ASSIGN_OR_RETURN(const std::optional<int64_t> index, file.GetInteger(kSplitIndexKey));
  if (!index || *index < 0 || *index >= *count) {
    return MakeError(ErrorCode::kCorrupt, "key '{}' is {}, expected 0 to {}", kSplitIndexKey,
                     index ? std::to_string(*index) : "absent", *count - 1);
  }
  keys.index = *index;
  PUNA_ASSIGN_OR_RETURN(keys.tensors, file.GetInteger(kSplitTensorsKey));
  return keys;
}

}  // namespace

Result<std::shared_ptr<File>> Reader::OpenPart(const std::string& name,
                                               const std::filesystem::path& path) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> mapping, MappedFile::Open(path));
  Result<std::shared_ptr<File>> file = Reader(mapping->bytes()).ReadOne();
  if (!file) return WithContext(std::move(file).error(), name);
  for (Tensor& tensor : (*file)->tensors_) tensor.file = mapping.get();
  (*file)->mappings_.push_back(std::move(mapping));
  return file;
}

Status Reader::AddPart(const File& part, int64_t index, int64_t count, File* whole) {
  PUNA_ASSIGN_OR_RETURN(const SplitKeys keys, ReadSplitKeys(part));
  if (keys.index != index || keys.count != count) {
    return MakeError(ErrorCode::kCorrupt,
                     "it says that it is part {} of {}, expected part {} of {}", keys.index + 1,
                     keys.count, index + 1, count);
  }
  whole->mappings_.insert(whole->mappings_.end(), part.mappings_.begin(), part.mappings_.end());
  whole->tensors_.insert(whole->tensors_.end(), part.tensors_.begin(), part.tensors_.end());
  whole->file_bytes_ += part.file_bytes_;
  return {};
}

Result<std::shared_ptr<const File>> Reader::OpenAll(const std::filesystem::path& path) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<File> opened, OpenPart(path.string(), path));
  const Result<SplitKeys> keys = ReadSplitKeys(*opened);
  if (!keys) return WithContext(keys.error(), path.string());
  if (keys->count == 1) return opened;

  const std::string name = path.filename().string();
  const std::string suffix = PartSuffix(keys->index, keys->count);
  if (!name.ends_with(suffix)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "{}: it is part {} of {} of a split model, expected a name ending in {}",
                     path.string(), keys->index + 1, keys->count, suffix);
  }
  const std::string prefix = name.substr(0, name.size() - suffix.size());
  std::vector<std::shared_ptr<File>> parts;
  std::vector<std::string> names;
  for (int64_t i = 0; i < keys->count; ++i) {
    const std::filesystem::path part = path.parent_path() / (prefix + PartSuffix(i, keys->count));
    names.push_back(part.string());
    if (i == keys->index) {
      parts.push_back(opened);
      continue;
    }
    Result<std::shared_ptr<File>> other = OpenPart(part.string(), part);
    if (!other)
      return WithContext(std::move(other).error(),
                         fmt::format("part {} of {}", i + 1, keys->count));
    parts.push_back(*std::move(other));
  }
  return Join(parts, names);
}

Result<int64_t> Reader::CountParts(const std::filesystem::path& path) {
  PUNA_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, OpenPart(path.string(), path));
  const Result<SplitKeys> keys = ReadSplitKeys(*file);
  if (!keys) return WithContext(keys.error(), path.string());
  return keys->count;
}

Result<std::shared_ptr<const File>> Reader::OpenGiven(
    const std::map<std::string, std::filesystem::path>& files) {
  const auto count = static_cast<int64_t>(files.size());
  std::vector<std::shared_ptr<File>> parts(files.size());
  std::vector<std::string> ordered(files.size());
  for (const auto& [name, path] : files) {
    PUNA_ASSIGN_OR_RETURN(std::shared_ptr<File> part, OpenPart(name, path));
    const Result<SplitKeys> keys = ReadSplitKeys(*part);
    if (!keys) return WithContext(keys.error(), name);
    if (keys->count != count) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "{}: it is part {} of {} of a split model, but {} {} given", name,
                       keys->index + 1, keys->count, count, count == 1 ? "file is" : "files are");
    }
    const auto index = static_cast<size_t>(keys->index);
    if (parts[index] != nullptr) {
      return MakeError(ErrorCode::kInvalidArgument, "{} and {} are both part {} of {}",
                       ordered[index], name, index + 1, count);
    }
    parts[index] = std::move(part);
    ordered[index] = name;
  }
  return Join(parts, ordered);
}

Result<std::shared_ptr<const File>> Reader::Join(std::span<const std::shared_ptr<File>> parts,
                                                 std::span<const std::string> names) {
  const auto whole = std::shared_ptr<File>(new File(*parts[0]));
  whole->tensors_.clear();
  whole->mappings_.clear();
  whole->file_bytes_ = 0;
  const auto count = static_cast<int64_t>(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const Status added = AddPart(*parts[i], static_cast<int64_t>(i), count, whole.get());
    if (!added) return WithContext(added.error(), names[i]);
  }
  PUNA_ASSIGN_OR_RETURN(const SplitKeys keys, ReadSplitKeys(*whole));
  if (keys.tensors && *keys.tensors != static_cast<int64_t>(whole->tensors_.size())) {
    return MakeError(ErrorCode::kCorrupt, "{}: its parts hold {} tensors, expected {} by key '{}'",
                     names[0], whole->tensors_.size(), *keys.tensors, kSplitTensorsKey);
  }
  const Status indexed = IndexTensors(whole.get());
  if (!indexed) return WithContext(indexed.error(), names[0]);
  return whole;
}

Result<int64_t> CountParts(const std::filesystem::path& path) { return Reader::CountParts(path); }

std::vector<std::filesystem::path> PartPaths(const File& file) {
  std::vector<std::filesystem::path> paths;
  for (const auto& mapping : Reader::MappingsOf(file)) paths.push_back(mapping->path());
  return paths;
}

Result<std::shared_ptr<const File>> OpenParts(
    const std::map<std::string, std::filesystem::path>& files) {
  if (files.empty()) return MakeError(ErrorCode::kInvalidArgument, "there are no parts");
  return Reader::OpenGiven(files);
}

}  // namespace puna::gguf
