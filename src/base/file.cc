#include "base/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <utility>

#include "base/mapping_guard.h"

namespace puna {
namespace {
namespace fs = std::filesystem;

// Closes a descriptor on every path out of a function.
struct Descriptor {
  int value = -1;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

Status OpenRegularFile(const fs::path& path, Descriptor* descriptor, struct stat* info) {
  descriptor->value = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor->value < 0) return ErrnoError(errno, path.string());
  if (::fstat(descriptor->value, info) != 0) return ErrnoError(errno, path.string());
  if (!S_ISREG(info->st_mode))
    return MakeError(ErrorCode::kInvalidArgument, "{} is not a regular file", path.string());
  return {};
}

fs::path FolderOf(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// So that a new name survives a crash. Not every file system can.
void SyncFolderOf(const fs::path& file) {
  Descriptor directory{::open(FolderOf(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.value >= 0) ::fsync(directory.value);
}

constexpr int kMaxLinks = 40;  // Linux follows as many

// Where a file that replaces `path` must appear: where its links lead, also if nothing is there
// yet. What is there and cannot be replaced without harm, such as a device, is an error.
Result<fs::path> ReplaceablePath(fs::path path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "{} is not a regular file, and is not replaced by one", path.string());
  }
  const std::string written = path.string();
  for (int i = 0; i < kMaxLinks; ++i) {
    if (!fs::is_symlink(path, error)) return path;
    const fs::path target = fs::read_symlink(path, error);
    if (error) return ErrnoError(error.value(), path.string());
    path = path.parent_path() / target;  // an absolute one replaces the left side
  }
  return ErrnoError(ELOOP, written);
}

// A new file, locked, whose name replaces the Xs that `pattern` ends with.
Result<int> CreateLocked(std::string* pattern) {
  const std::string unused = *pattern;
  while (true) {
    const int descriptor = ::mkostemp(pattern->data(), O_CLOEXEC);
    if (descriptor < 0) return ErrnoError(errno, "create " + *pattern);
    int locked = -1;
    do {
      locked = ::flock(descriptor, LOCK_EX);
    } while (locked != 0 && errno == EINTR);
    // Whoever tidies up may have come before the lock. A file system without locks is no reason to
    // write nothing.
    struct stat info = {};
    if (::fstat(descriptor, &info) != 0 || info.st_nlink > 0) return descriptor;
    ::close(descriptor);
    *pattern = unused;
  }
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const fs::path& path) {
  Descriptor descriptor;
  struct stat info = {};
  PUNA_RETURN_IF_ERROR(OpenRegularFile(path, &descriptor, &info));
  const auto size_bytes = static_cast<uint64_t>(info.st_size);
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  file->device_ = info.st_dev;
  file->inode_ = info.st_ino;
  file->modified_ = info.st_mtim;
  if (size_bytes != 0) {
    void* memory = ::mmap(nullptr, size_bytes, PROT_READ, MAP_SHARED, descriptor.value, 0);
    if (memory == MAP_FAILED) return ErrnoError(errno, "map " + path.string());
    file->bytes_ = {static_cast<const uint8_t*>(memory), size_bytes};
  }
  file->descriptor_ = std::exchange(descriptor.value, -1);
  return file;
}

bool MappedFile::Read(std::span<const uint8_t> view, uint8_t* out) const {
  const std::less<const uint8_t*> before;  // also of pointers into different memory
  const uint8_t* end = bytes_.data() + bytes_.size();
  if (before(view.data(), bytes_.data()) || before(end, view.data() + view.size())) return false;
  size_t done = 0;
  while (done < view.size()) {
    const off_t offset = view.data() - bytes_.data() + static_cast<off_t>(done);
    const ssize_t got = ::pread(descriptor_, out + done, view.size() - done, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      MarkUnreadable(view.data());
      return false;
    }
    done += static_cast<size_t>(got);
  }
  return true;
}

bool MappedFile::IsCurrent() const {
  struct stat info = {};
  return ::stat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_ &&
         info.st_mtim.tv_sec == modified_.tv_sec && info.st_mtim.tv_nsec == modified_.tv_nsec &&
         static_cast<uint64_t>(info.st_size) == bytes_.size() && !IsUnreadable(bytes_.data());
}

void MappedFile::ReleaseMemory() const {
  if (!bytes_.empty()) ::madvise(const_cast<uint8_t*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  ForgetMapping(bytes_);
  if (!bytes_.empty()) ::munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::string> ReadFile(const fs::path& path, uint64_t max_bytes) {
  Descriptor descriptor;
  struct stat info = {};
  PUNA_RETURN_IF_ERROR(OpenRegularFile(path, &descriptor, &info));
  const auto size_bytes = static_cast<uint64_t>(info.st_size);
  if (size_bytes > max_bytes) {
    return MakeError(ErrorCode::kResourceExhausted, "{} has {} bytes, the limit is {}",
                     path.string(), size_bytes, max_bytes);
  }
  std::string content(size_bytes, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::read(descriptor.value, content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read " + path.string());
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

Result<AtomicFile> AtomicFile::Create(const fs::path& path, mode_t mode) {
  PUNA_ASSIGN_OR_RETURN(const fs::path final_path, ReplaceablePath(path));
  std::error_code error;
  const fs::path folder = FolderOf(final_path);
  fs::create_directories(folder, error);
  if (error) return ErrnoError(error.value(), "create folder " + folder.string());
  AtomicFile file;
  std::string pattern = (folder / ("." + final_path.filename().string() + ".tmp-XXXXXX")).string();
  PUNA_ASSIGN_OR_RETURN(file.descriptor_, CreateLocked(&pattern));
  file.temporary_path_ = pattern;
  file.final_path_ = final_path;
  if (::fchmod(file.descriptor_, mode) != 0) return ErrnoError(errno, "chmod " + pattern);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this != &other) {
    Discard();
    descriptor_ = std::exchange(other.descriptor_, -1);
    temporary_path_ = std::exchange(other.temporary_path_, {});
    final_path_ = std::exchange(other.final_path_, {});
  }
  return *this;
}

AtomicFile::~AtomicFile() { Discard(); }

void AtomicFile::Discard() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
  temporary_path_.clear();
}

Status AtomicFile::Write(std::string_view text) {
  return Write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Status AtomicFile::Write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(descriptor_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoError(errno, "write " + final_path_.string());
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return {};
}

Status AtomicFile::WriteAt(uint64_t offset_bytes, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoError(errno, "write " + final_path_.string());
    bytes = bytes.subspan(static_cast<size_t>(wrote));
    offset_bytes += static_cast<uint64_t>(wrote);
  }
  return {};
}

Status AtomicFile::Commit() { return CommitAs(final_path_); }

Status AtomicFile::CommitAs(const fs::path& final_path) {
  if (::fsync(descriptor_) != 0) return ErrnoError(errno, "sync " + final_path.string());
  PUNA_RETURN_IF_ERROR(RenameSynced(temporary_path_, final_path));
  temporary_path_.clear();
  ::close(std::exchange(descriptor_, -1));
  return {};
}

Status AtomicFile::CommitNew() {
  if (::fsync(descriptor_) != 0) return ErrnoError(errno, "sync " + final_path_.string());
  // Renaming would replace; a second name for the file can not.
  if (::link(temporary_path_.c_str(), final_path_.c_str()) != 0)
    return ErrnoError(errno, final_path_.string());
  Discard();
  SyncFolderOf(final_path_);
  return {};
}

Status RenameSynced(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoError(errno, "rename to " + to.string());
  SyncFolderOf(to);
  return {};
}

Status WriteFileAtomically(const fs::path& path, std::string_view content, mode_t mode) {
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, mode));
  PUNA_RETURN_IF_ERROR(file.Write(content));
  return file.Commit();
}

fs::path HomeDirectory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  if (const passwd* entry = ::getpwuid(::getuid()); entry != nullptr) return entry->pw_dir;
  return "/";
}

}  // namespace puna
