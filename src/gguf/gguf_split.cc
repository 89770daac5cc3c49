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

Result<std::shared_ptr<File>> Reader::OpenPart(const std::filesystem::path& path) {
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> mapping, MappedFile::Open(path));
  Result<std::shared_ptr<File>> file = Reader(mapping->bytes()).ReadOne();
  if (!file) return WithContext(std::move(file).error(), path.string());
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
  PUNA_ASSIGN_OR_RETURN(std::shared_ptr<File> opened, OpenPart(path));
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
  std::vector<std::filesystem::path> paths;
  for (int64_t i = 0; i < keys->count; ++i) {
    paths.push_back(path.parent_path() / (prefix + PartSuffix(i, keys->count)));
    if (i == keys->index) {
      parts.push_back(opened);
      continue;
    }
    Result<std::shared_ptr<File>> other = OpenPart(paths.back());
    if (!other)
      return WithContext(std::move(other).error(),
                         fmt::format("part {} of {}", i + 1, keys->count));
    parts.push_back(*std::move(other));
  }
  return Join(parts, paths);
}

Result<std::shared_ptr<const File>> Reader::OpenGiven(
    std::span<const std::filesystem::path> paths) {
  const auto count = static_cast<int64_t>(paths.size());
  std::vector<std::shared_ptr<File>> parts(paths.size());
  std::vector<std::filesystem::path> ordered(paths.size());
  for (const std::filesystem::path& path : paths) {
    PUNA_ASSIGN_OR_RETURN(std::shared_ptr<File> part, OpenPart(path));
    const Result<SplitKeys> keys = ReadSplitKeys(*part);
    if (!keys) return WithContext(keys.error(), path.string());
    if (keys->count != count) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "{}: it is part {} of {} of a split model, but {} files are given",
                       path.string(), keys->index + 1, keys->count, count);
    }
    const auto index = static_cast<size_t>(keys->index);
    if (parts[index] != nullptr) {
      return MakeError(ErrorCode::kInvalidArgument, "{} and {} are both part {} of {}",
                       ordered[index].string(), path.string(), index + 1, count);
    }
    parts[index] = std::move(part);
    ordered[index] = path;
  }
  return Join(parts, ordered);
}

Result<std::shared_ptr<const File>> Reader::Join(std::span<const std::shared_ptr<File>> parts,
                                                 std::span<const std::filesystem::path> paths) {
  const auto whole = std::shared_ptr<File>(new File(*parts[0]));
  whole->tensors_.clear();
  whole->mappings_.clear();
  whole->file_bytes_ = 0;
  const auto count = static_cast<int64_t>(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const Status added = AddPart(*parts[i], static_cast<int64_t>(i), count, whole.get());
    if (!added) return WithContext(added.error(), paths[i].string());
  }
  PUNA_ASSIGN_OR_RETURN(const SplitKeys keys, ReadSplitKeys(*whole));
  if (keys.tensors && *keys.tensors != static_cast<int64_t>(whole->tensors_.size())) {
    return MakeError(ErrorCode::kCorrupt, "{}: its parts hold {} tensors, expected {} by key '{}'",
                     paths[0].string(), whole->tensors_.size(), *keys.tensors, kSplitTensorsKey);
  }
  const Status indexed = IndexTensors(whole.get());
  if (!indexed) return WithContext(indexed.error(), paths[0].string());
  return whole;
}

Result<std::shared_ptr<const File>> OpenParts(std::span<const std::filesystem::path> paths) {
  if (paths.empty()) return MakeError(ErrorCode::kInvalidArgument, "there are no parts");
  return Reader::OpenGiven(paths);
}

}  // namespace puna::gguf
