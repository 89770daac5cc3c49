#include "store/file_groups.h"

#include <map>
#include <optional>
#include <set>

#include "gguf/gguf_parts.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSafetensorsEnding = ".safetensors";

fs::path FolderOf(const UploadedFile& file) {
  return fs::path(file.name).lexically_normal().parent_path();
}

// The nearest of `folders` that `file` lies in or below.
std::optional<fs::path> NearestFolder(const UploadedFile& file, const std::set<fs::path>& folders) {
  for (fs::path folder = FolderOf(file);; folder = folder.parent_path()) {
    if (folders.contains(folder)) return folder;
    if (folder.empty()) return std::nullopt;
  }
}

class FileGrouping {
 public:
  explicit FileGrouping(const std::vector<UploadedFile>& files) {
    for (const UploadedFile& file : files) {
      if (file.name.ends_with(kSafetensorsEnding)) folders_.insert(FolderOf(file));
    }
    for (const UploadedFile& file : files) Add(file);
  }
  std::vector<FileGroup> TakeGroups() { return std::move(groups_); }

 private:
  void Add(const UploadedFile& file) {
    if (!file.name.ends_with(kSafetensorsEnding)) {
      const auto parts = gguf::CountParts(file.path);
      if (parts && *parts > 1) {
        const auto [at, added] = by_parts_.try_emplace(*parts, groups_.size());
        if (added) groups_.push_back({FileGroup::Kind::kSplitGguf, file, {}, {}});
        groups_[at->second].files[file.name] = file.path;
        return;
      }
      if (parts || file.name.ends_with(".gguf")) return AddAlone(file);
    }
    const auto folder = NearestFolder(file, folders_);
    if (!folder) return AddAlone(file);
    const auto [at, added] = by_folder_.try_emplace(*folder, groups_.size());
    if (added) groups_.push_back({FileGroup::Kind::kSafetensors, file, folder->string(), {}});
    const fs::path name = fs::path(file.name).lexically_normal();
    groups_[at->second].files[name.lexically_relative(*folder).string()] = file.path;
  }
  void AddAlone(const UploadedFile& file) {
    groups_.push_back({FileGroup::Kind::kGguf, file, {}, {{file.name, file.path}}});
  }

  std::set<fs::path> folders_;  // with safetensors
  std::map<fs::path, size_t> by_folder_;
  std::map<int64_t, size_t> by_parts_;  // by how many there should be
  std::vector<FileGroup> groups_;
};

}  // namespace

std::vector<FileGroup> GroupFiles(const std::vector<UploadedFile>& files) {
  return FileGrouping(files).TakeGroups();
}

}  // namespace puna::store
