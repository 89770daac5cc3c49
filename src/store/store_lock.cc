#include "store/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
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
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return ErrnoError(errno, "write to the store " + root.string());
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

}  // namespace puna::store
