#include "cli/config_backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/file.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16 << 20;
constexpr mode_t kPrivate = 0600;

Status FsError(const std::error_code& error, const fs::path& path) {
  return ErrnoError(error.value(), path.string());
}

// Complete or not at all, and never readable for more people than `mode` says.
Status WriteWithMode(const fs::path& path, const std::string& content, mode_t mode) {
  const std::string temporary = path.string() + ".puna-new";
  ::unlink(temporary.c_str());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kPrivate);
  if (file < 0) return ErrnoError(errno, temporary);
  size_t done = 0;
  bool good = true;
  while (good && done < content.size()) {
    const ssize_t count = ::write(file, content.data() + done, content.size() - done);
    good = count > 0 || (count < 0 && errno == EINTR);
    if (count > 0) done += static_cast<size_t>(count);
  }
  good = good && ::fchmod(file, mode) == 0 && ::fsync(file) == 0;
  const int failed = errno;
  ::close(file);
  if (!good) {
    ::unlink(temporary.c_str());
    return ErrnoError(failed, temporary);
  }
  return RenameSynced(temporary, path);
}

mode_t ModeOf(const fs::path& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : kPrivate;
}

}  // namespace

ConfigBackup::ConfigBackup(fs::path file, fs::path folder)
    : file_(std::move(file)), folder_(std::move(folder)) {
  std::error_code error;
  if (const fs::path target = fs::canonical(file_, error); !error) file_ = target;
}

fs::path ConfigBackup::Copy(const char* suffix) const {
  return folder_ / (file_.filename().string() + "." + suffix);
}

Result<std::string> ConfigBackup::Read() const {
  std::error_code error;
  if (!fs::exists(file_, error)) return std::string();
  return ReadFile(file_, kMaxConfigBytes);
}

Status ConfigBackup::KeepCopy() const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return FsError(error, folder_);
  ::chmod(folder_.c_str(), 0700);
  const bool first = !fs::exists(Copy("original"), error) && !fs::exists(Copy("absent"), error);
  if (!fs::exists(file_, error))
    return first ? WriteWithMode(Copy("absent"), "", kPrivate) : Status();
  PUNA_ASSIGN_OR_RETURN(const std::string content, Read());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string time =
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  return WriteWithMode(Copy(first ? "original" : time.c_str()), content, ModeOf(file_));
}

Status ConfigBackup::Write(const std::string& content) const {
  std::error_code error;
  if (fs::exists(file_, error)) {
    PUNA_ASSIGN_OR_RETURN(const std::string before, Read());
    if (before == content) return {};
  }
  PUNA_RETURN_IF_ERROR(KeepCopy());
  fs::create_directories(file_.parent_path(), error);
  if (error) return FsError(error, file_.parent_path());
  return WriteWithMode(file_, content, ModeOf(file_));
}

Result<bool> ConfigBackup::Restore() const {
  std::error_code error;
  const fs::path original = Copy("original"), absent = Copy("absent");
  const bool had_file = fs::exists(original, error);
  if (!had_file && !fs::exists(absent, error)) return false;
  PUNA_RETURN_IF_ERROR(KeepCopy());
  if (had_file) {
    PUNA_ASSIGN_OR_RETURN(const std::string content, ReadFile(original, kMaxConfigBytes));
    fs::create_directories(file_.parent_path(), error);
    PUNA_RETURN_IF_ERROR(WriteWithMode(file_, content, ModeOf(original)));
  } else if (fs::remove(file_, error); error) {
    return tl::unexpected(FsError(error, file_).error());
  }
  if (fs::remove(had_file ? original : absent, error); error)
    return tl::unexpected(FsError(error, folder_).error());
  return true;
}

}  // namespace puna::cli
