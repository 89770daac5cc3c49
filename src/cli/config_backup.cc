#include "cli/config_backup.h"

#include <sys/stat.h>

#include <chrono>

#include "base/file.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16 << 20;

Status FsError(const std::error_code& error, const fs::path& path) {
  return ErrnoError(error.value(), path.string());
}

mode_t ModeOf(const fs::path& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : AtomicFile::kPrivate;
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
    return first ? WriteFileAtomically(Copy("absent"), "", AtomicFile::kPrivate) : Status();
  PUNA_ASSIGN_OR_RETURN(const std::string content, Read());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string time =
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  return WriteFileAtomically(Copy(first ? "original" : time.c_str()), content, ModeOf(file_));
}

Status ConfigBackup::Write(const std::string& content) const {
  std::error_code error;
  if (fs::exists(file_, error)) {
    PUNA_ASSIGN_OR_RETURN(const std::string before, Read());
    if (before == content) return {};
  }
  PUNA_RETURN_IF_ERROR(KeepCopy());
  return WriteFileAtomically(file_, content, ModeOf(file_));
}

Result<bool> ConfigBackup::Restore() const {
  std::error_code error;
  const fs::path original = Copy("original"), absent = Copy("absent");
  const bool had_file = fs::exists(original, error);
  if (!had_file && !fs::exists(absent, error)) return false;
  PUNA_RETURN_IF_ERROR(KeepCopy());
  if (had_file) {
    PUNA_ASSIGN_OR_RETURN(const std::string content, ReadFile(original, kMaxConfigBytes));
    PUNA_RETURN_IF_ERROR(WriteFileAtomically(file_, content, ModeOf(original)));
  } else if (fs::remove(file_, error); error) {
    return tl::unexpected(FsError(error, file_).error());
  }
  if (fs::remove(had_file ? original : absent, error); error)
    return tl::unexpected(FsError(error, folder_).error());
  return true;
}

}  // namespace puna::cli
