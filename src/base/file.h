// Files: reading, mapping, and writing so that a crash at any instant leaves either the old content
// or the new.
#ifndef PUNA_BASE_FILE_H_
#define PUNA_BASE_FILE_H_

#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace puna {

// A whole file mapped read-only. The bytes stay valid as long as the object lives, also when the
// file is deleted. Who truncates it while it is mapped makes reads fault, so stores replace files
// by renaming; who must survive that guards it (base/mapping_guard.h). Any thread once it is open.
class MappedFile {
 public:
  // An empty file maps to an empty span. A directory or device is an error.
  static Result<std::shared_ptr<const MappedFile>> Open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const uint8_t> bytes() const { return bytes_; }
  // Copies `view`, a part of bytes(), to `out` without touching it: pages that are looked at once
  // need not be mapped. False if `view` is no such part or cannot be read. Any thread.
  bool Read(std::span<const uint8_t> view, uint8_t* out) const;
  const std::filesystem::path& path() const { return path_; }
  // Whether path() still leads to this file, and nobody has written into it since it was opened, by
  // its time and size; false if it is known to be unreadable. Any thread.
  bool IsCurrent() const;
  // The bytes stay readable, but count no longer as memory of this process until they are read
  // again. Any thread, any time.
  void ReleaseMemory() const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::span<const uint8_t> bytes_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  timespec modified_ = {};
};

// The whole file. A file larger than `max_bytes` is kResourceExhausted, so that nobody's typo fills
// the memory.
Result<std::string> ReadFile(const std::filesystem::path& path,
                             uint64_t max_bytes = uint64_t{1} << 30);

// A new file that appears under its final name only by Commit(). Until then it has a temporary name
// in the same folder, ".<final name>.tmp-xxxxxx", and is locked (flock), by which others know that
// it is being written; the destructor removes it. Not thread safe.
class AtomicFile {
 public:
  static constexpr mode_t kPublic = 0644, kPrivate = 0600;
  // Creates missing parent folders (mode 0755). At no time can more people read the file than
  // `mode` says. A symbolic link stays, and what it leads to is replaced. Anything else that is no
  // regular file (a folder, a device, a pipe) is kInvalidArgument.
  static Result<AtomicFile> Create(const std::filesystem::path& path, mode_t mode = kPublic);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  Status Write(std::span<const uint8_t> bytes);
  Status Write(std::string_view text);
  // Writes at an absolute offset; a gap that is left reads as zeros.
  Status WriteAt(uint64_t offset_bytes, std::span<const uint8_t> bytes);
  // Syncs, renames to the final name, and syncs the folder. Afterwards the object is spent.
  Status Commit();
  // The same, but what bears the final name already stays: kAlreadyExists. Of several who try, one
  // succeeds.
  Status CommitNew();
  // As Commit under another final path in the same file system, for content whose name is its own
  // hash.
  Status CommitAs(const std::filesystem::path& final_path);
  const std::filesystem::path& temporary_path() const { return temporary_path_; }

 private:
  AtomicFile() = default;
  void Discard();
  int descriptor_ = -1;
  std::filesystem::path temporary_path_;
  std::filesystem::path final_path_;
};

// AtomicFile in one call.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view content,
                           mode_t mode = AtomicFile::kPublic);

// Renames within a file system and syncs the folder, so that the new name survives a crash.
Status RenameSynced(const std::filesystem::path& from, const std::filesystem::path& to);

// The home folder of the user: $HOME, else the password database.
std::filesystem::path HomeDirectory();

}  // namespace puna

#endif  // PUNA_BASE_FILE_H_
