// A file in puna-pins for each owner, with a digest a line, which its owner holds locked.
#include "store/blob_pins.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "store/manifest.h"
#include "store/store_lock.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxPinBytes = 64 << 20;
constexpr mode_t kPinMode = 0644;

fs::path PinFolder(const fs::path& root) { return root / "puna-pins"; }

}  // namespace

Result<std::set<std::string>> PinnedDigests(const fs::path& root, bool remove_stale) {
  std::set<std::string> digests;
  std::error_code error;
  for (fs::directory_iterator it(PinFolder(root), error), end; !error && it != end;
       it.increment(error)) {
    const std::string path = it->path();
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      if (errno == ENOENT) continue;  // its owner has just let go of it
      return ErrnoError(errno, path);
    }
    // Its owner holds it locked as long as it lives.
    const bool stale = ::flock(descriptor, LOCK_SH | LOCK_NB) == 0;
    ::close(descriptor);
    if (stale) {
      std::error_code ignored;
      if (remove_stale) fs::remove(path, ignored);
      continue;
    }
    const auto text = ReadFile(path, kMaxPinBytes);
    if (!text && text.error().code == ErrorCode::kNotFound) continue;
    if (!text) return tl::unexpected(text.error());
    for (size_t at = 0; at < text->size();) {
      const size_t line_end = std::min(text->find('\n', at), text->size());
      digests.insert(text->substr(at, line_end - at));
      at = line_end + 1;
    }
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return ErrnoError(error.value(), PinFolder(root).string());
  return digests;
}

Result<BlobPins> BlobPins::Create(const fs::path& root) {
  // Whoever looks for stale pins holds the lock too, so nobody sees the file before it is locked.
  PUNA_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(root));
  std::error_code error;
  fs::create_directories(PinFolder(root), error);
  if (const int folder = ::open(PinFolder(root).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      folder >= 0) {
    GiveToOwner(root, folder);
    ::close(folder);
  }
  std::string pattern = (PinFolder(root) / "XXXXXX").string();
  const int descriptor = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (descriptor < 0) return ErrnoError(errno, "create " + pattern);
  BlobPins pins;
  pins.root_ = root;
  pins.path_ = pattern;
  pins.descriptor_ = descriptor;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) return ErrnoError(errno, "lock " + pattern);
  // Whoever deletes must be able to read it, whoever that is.
  if (::fchmod(descriptor, kPinMode) != 0) return ErrnoError(errno, "chmod " + pattern);
  GiveToOwner(root, descriptor);
  return pins;
}

BlobPins::BlobPins(BlobPins&& other) noexcept
    : root_(std::move(other.root_)),
      path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

BlobPins::~BlobPins() {
  if (descriptor_ < 0) return;
  std::error_code error;
  fs::remove(path_, error);
  ::close(descriptor_);
}

Status BlobPins::Add(const std::vector<std::string>& digests) {
  std::string lines;
  for (const std::string& digest : digests) {
    PUNA_ASSIGN_OR_RETURN(const std::string hex, DigestHex(digest));
    lines += "sha256:" + hex + "\n";
  }
  PUNA_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(root_));
  const ssize_t wrote = ::write(descriptor_, lines.data(), lines.size());
  if (wrote != static_cast<ssize_t>(lines.size()))
    return ErrnoError(wrote < 0 ? errno : ENOSPC, "write " + path_.string());
  return {};
}

}  // namespace puna::store
