#include "store/disk_space.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

namespace puna::store {

namespace fs = std::filesystem;

Result<int64_t> FreeDiskBytes(const fs::path& path) {
  fs::path there = fs::absolute(path);
  std::error_code error;
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  struct statvfs info = {};
  if (::statvfs(there.c_str(), &info) != 0) return ErrnoError(errno, there.string());
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

Status ReserveDiskSpace(const fs::path& path, uint64_t bytes) {
  if (bytes == 0) return {};
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoError(errno, path.string());
  const bool taken =
      ::fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0;
  const int error = errno;
  ::close(descriptor);
  if (taken) return {};
  PUNA_ASSIGN_OR_RETURN(const int64_t free, FreeDiskBytes(path));
  // Many file systems cannot take room in advance; they can be asked.
  const bool full = error == ENOSPC || error == EFBIG || error == EDQUOT;
  if (!full && bytes <= static_cast<uint64_t>(free)) return {};
  return MakeError(ErrorCode::kResourceExhausted,
                   "{} bytes are needed in {}, which has only {} free", bytes,
                   path.parent_path().string(), free);
}

}  // namespace puna::store
