// Blobs: content under the name of its own hash. A file that comes from outside is shared with its
// source where the file system can (reflink), else hard-linked, else copied.
//
// A hard link is only safe as long as nobody writes into the source in place, which no store can
// prevent: the digest of the blob would be wrong without anybody noticing. It is still the default
// that users ask for (a second copy of 40 GB is worse), so it is taken only for files that their
// owner alone can write, in the same file system.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "store/disk_space.h"
#include "store/hash_file.h"
#include "store/manifest.h"
#include "store/store.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCopyChunkBytes = 4 << 20;

// True if `target` now shares its data blocks with `source`.
bool Reflink(const fs::path& source, const fs::path& target) {
  const int from = ::open(source.c_str(), O_RDONLY | O_CLOEXEC);
  const int to = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
  const bool shared = from >= 0 && to >= 0 && ::ioctl(to, FICLONE, from) == 0;
  if (from >= 0) ::close(from);
  if (to >= 0) ::close(to);
  return shared;
}

bool MayHardLink(const fs::path& source) {
  struct stat info = {};
  return ::stat(source.c_str(), &info) == 0 && info.st_uid == ::geteuid() &&
         (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

}  // namespace

Result<fs::path> Store::BlobPath(std::string_view digest) const {
  PUNA_ASSIGN_OR_RETURN(const std::string hex, DigestHex(digest));
  fs::path path = root_ / "blobs" / ("sha256-" + hex);
  // Old versions of Ollama wrote a colon, and what they pulled may still be in use.
  fs::path old = root_ / "blobs" / ("sha256:" + hex);
  std::error_code error;
  return !fs::exists(path, error) && fs::exists(old, error) ? old : path;
}

Result<bool> Store::HasBlob(std::string_view digest) const {
  PUNA_ASSIGN_OR_RETURN(const fs::path path, BlobPath(digest));
  std::error_code error;
  return fs::is_regular_file(path, error);
}

Result<std::string> Store::ImportFile(const fs::path& path, BlobPins* pins,
                                      const ProgressFunction& progress) {
  PUNA_ASSIGN_OR_RETURN(const auto source, MappedFile::Open(path));
  const auto size = static_cast<int64_t>(source->bytes().size());
  PUNA_ASSIGN_OR_RETURN(
      const std::string digest, HashFile(*source, [&](int64_t done) {
        return Report(progress, {"hashing " + path.filename().string(), "", size, done});
      }));
  // Its age says nothing: a hard link has the time of its source, and shares it.
  PUNA_RETURN_IF_ERROR(pins->Add({digest}));
  PUNA_ASSIGN_OR_RETURN(const fs::path blob, BlobPath(digest));
  std::error_code error;
  if (fs::exists(blob, error)) return digest;
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(blob));
  if (Reflink(path, file.temporary_path())) {
    PUNA_RETURN_IF_ERROR(file.Commit());
    return digest;
  }
  if (MayHardLink(path) && ::link(path.c_str(), blob.c_str()) == 0) return digest;
  const auto bytes = source->bytes();
  PUNA_RETURN_IF_ERROR(ReserveDiskSpace(file.temporary_path(), bytes.size()));
  for (size_t at = 0; at < bytes.size(); at += kCopyChunkBytes) {
    PUNA_RETURN_IF_ERROR(
        file.Write(bytes.subspan(at, std::min(kCopyChunkBytes, bytes.size() - at))));
    PUNA_RETURN_IF_ERROR(
        Report(progress,
               {"copying " + path.filename().string(), digest, static_cast<int64_t>(bytes.size()),
                static_cast<int64_t>(std::min(bytes.size(), at + kCopyChunkBytes))}));
  }
  PUNA_RETURN_IF_ERROR(file.Commit());
  return digest;
}

Result<Layer> Store::AddBlob(std::string_view content, std::string_view media_type,
                             BlobPins* pins) {
  Layer layer;
  layer.media_type = media_type;
  layer.digest = "sha256:" + Sha256Hex(content);
  layer.size_bytes = static_cast<int64_t>(content.size());
  PUNA_RETURN_IF_ERROR(pins->Add({layer.digest}));
  PUNA_ASSIGN_OR_RETURN(const fs::path path, BlobPath(layer.digest));
  std::error_code error;
  if (fs::is_regular_file(path, error)) return layer;
  PUNA_RETURN_IF_ERROR(WriteFileAtomically(path, content));
  return layer;
}

Store::BlobWriter::BlobWriter(AtomicFile file, fs::path path, std::string digest)
    : file_(std::move(file)), path_(std::move(path)), digest_(std::move(digest)) {}

Result<Store::BlobWriter> Store::WriteBlob(std::string_view digest, uint64_t size_bytes) {
  PUNA_ASSIGN_OR_RETURN(const std::string hex, DigestHex(digest));
  PUNA_ASSIGN_OR_RETURN(fs::path path, BlobPath(digest));
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  PUNA_RETURN_IF_ERROR(ReserveDiskSpace(file.temporary_path(), size_bytes));
  return BlobWriter(std::move(file), std::move(path), "sha256:" + hex);
}

Status Store::BlobWriter::Write(std::string_view bytes) {
  sha_.Update(bytes);
  return file_.Write(bytes);
}

Status Store::BlobWriter::Finish() {
  const std::string actual = "sha256:" + sha_.FinishHex();
  if (actual != digest_) {
    return MakeError(ErrorCode::kInvalidArgument, "digest mismatch, expected \"{}\", got \"{}\"",
                     digest_, actual);
  }
  return file_.CommitAs(path_);
}

}  // namespace puna::store
