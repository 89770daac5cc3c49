#include "store/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace puna::store {

namespace fs = std::filesystem;

Result<StoreLock> StoreLock::Take(const fs::path& root) {
  std::error_code error;
  fs::create_directories(root, error);
  if (error) return ErrnoError(error.value(), "make the folder of the store, " + root.string());
  const fs::path path = root / "puna.lock";
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  const int cause = errno;
  // Also a file that only somebody else may write can be locked.
  if (descriptor < 0 && cause == EACCES) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return ErrnoError(
        cause, fmt::format("write to the store {}: {}", root.string(), path.filename().string()));
  }
  GiveToOwner(root, descriptor);
  while (::flock(descriptor, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const int number = errno;
    ::close(descriptor);
    return ErrnoError(number, "lock " + path.string());
  }
  return StoreLock(descriptor);
}

StoreLock::StoreLock(StoreLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

StoreLock::~StoreLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void GiveToOwner(const fs::path& root, int descriptor) {
  struct stat folder = {}, file = {};
  if (::geteuid() != 0 || ::stat(root.c_str(), &folder) != 0 || ::fstat(descriptor, &file) != 0)
    return;
  if (file.st_uid != 0 || folder.st_uid == 0) return;
  // Where that cannot be, they can still read it.
  [[maybe_unused]] const int given = ::fchown(descriptor, folder.st_uid, folder.st_gid);
}

}  // namespace puna::store
