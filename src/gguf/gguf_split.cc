// Split models: NAME-00001-of-0000N.gguf to NAME-0000N-of-0000N.gguf. Each part is a whole GGUF
// file with some of the tensors; the first one has the metadata. The part's own keys say which part
// it is, and the file name says where the others are; both must agree, because a renamed part would
// otherwise lend its tensors to another model.
#include <fmt/format.h>

#include "gguf/gguf_format.h"
#include "gguf/gguf_names.h"
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
  std::shared_ptr<File> whole;
  for (int64_t i = 0; i < keys->count; ++i) {
    const std::filesystem::path part_path =
        path.parent_path() / (prefix + PartSuffix(i, keys->count));
    std::shared_ptr<File> part = opened;
    if (i != keys->index) {
      Result<std::shared_ptr<File>> other = OpenPart(part_path);
      if (!other)
        return WithContext(std::move(other).error(),
                           fmt::format("part {} of {}", i + 1, keys->count));
      part = *std::move(other);
    }
    if (i == 0) {
      whole = std::shared_ptr<File>(new File(*part));
      whole->tensors_.clear();
      whole->mappings_.clear();
      whole->file_bytes_ = 0;
    }
    const Status added = AddPart(*part, i, keys->count, whole.get());
    if (!added) return WithContext(added.error(), part_path.string());
  }
  if (keys->tensors && *keys->tensors != static_cast<int64_t>(whole->tensors_.size())) {
    return MakeError(ErrorCode::kCorrupt, "{}: its parts hold {} tensors, expected {} by key '{}'",
                     path.string(), whole->tensors_.size(), *keys->tensors, kSplitTensorsKey);
  }
  const Status indexed = IndexTensors(whole.get());
  if (!indexed) return WithContext(indexed.error(), path.string());
  return whole;
}

}  // namespace puna::gguf
