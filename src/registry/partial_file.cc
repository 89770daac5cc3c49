#include "registry/partial_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;

// Small enough that a broken connection costs little, that every connection has work, and that what
// is there without a gap, and can be hashed, is never far behind; large enough that requests do not
// cost more than bytes.
constexpr int64_t kMinPartBytes = 8 << 20, kMaxPartBytes = 64 << 20;
constexpr size_t kMaxStateBytes = 16 << 20;

void Split(int64_t size, int connections, std::deque<Part>* parts) {
  const int64_t step = std::clamp(size / (16 * connections), kMinPartBytes, kMaxPartBytes);
  for (int64_t at = 0; at < size; at += step) parts->emplace_back(at, std::min(step, size - at), 0);
}

struct PartState {
  int64_t size = 0, done = 0;
};

// What a transfer wrote down of a file of `size` bytes; nothing unless it fits.
std::optional<std::vector<PartState>> ReadState(const fs::path& path, int64_t size) {
  const auto text = ReadFile(path, kMaxStateBytes);
  if (!text) return std::nullopt;
  const Json state = ParseJson(*text);
  if (!state.is_object() || state.value("size", Json()) != size || !state.contains("parts"))
    return std::nullopt;
  std::vector<PartState> parts;
  int64_t at = 0;
  for (const Json& part : state["parts"]) {
    const bool shape = part.is_array() && part.size() == 2 && part[0].is_number_integer() &&
                       part[1].is_number_integer();
    const PartState one = {.size = shape ? part[0].get<int64_t>() : -1,
                           .done = shape ? part[1].get<int64_t>() : -1};
    if (one.size <= 0 || one.done < 0 || one.done > one.size || one.size > size - at)
      return std::nullopt;
    parts.push_back(one);
    at += one.size;
  }
  if (at != size) return std::nullopt;
  return parts;
}

// Ollama writes a file "<blob>-partial-N" for each part of its own.
fs::path OllamasPart(const fs::path& partial, size_t number) {
  return partial.string() + "-" + std::to_string(number);
}

// What Ollama has of a file of `size` bytes. The rest of its parts, which are large, is split. The
// bytes need not be on the disk as it says; the hash of the whole will tell.
std::optional<std::vector<PartState>> ReadOllamasState(const fs::path& partial, int64_t size) {
  std::vector<PartState> parts;
  int64_t at = 0;
  for (size_t i = 0; at < size; ++i) {
    const auto text = ReadFile(OllamasPart(partial, i), kMaxStateBytes);
    if (!text) return std::nullopt;
    const Json part = ParseJson(*text);
    const auto number = [&](const char* key) {
      const Json value = part.is_object() ? part.value(key, Json()) : Json();
      return value.is_number_integer() ? value.get<int64_t>() : -1;
    };
    const int64_t bytes = number("Size"), done = number("Completed");
    if (number("Offset") != at || bytes <= 0 || bytes > size - at || done < 0 || done > bytes)
      return std::nullopt;
    if (done > 0) parts.push_back({done, done});
    for (int64_t rest = bytes - done; rest > 0; rest -= kMaxPartBytes)
      parts.push_back({std::min(rest, kMaxPartBytes), 0});
    at += bytes;
  }
  return parts;
}

void RemoveOllamasParts(const fs::path& partial) {
  std::error_code error;
  for (size_t i = 0; fs::remove(OllamasPart(partial, i), error); ++i) continue;
}

bool SameFile(int descriptor, const fs::path& path) {
  struct stat a = {}, b = {};
  return ::fstat(descriptor, &a) == 0 && ::stat(path.c_str(), &b) == 0 && a.st_ino == b.st_ino &&
         a.st_dev == b.st_dev;
}

}  // namespace

PartialFile::PartialFile(fs::path blob, int descriptor, int64_t size)
    : blob_(std::move(blob)), descriptor_(descriptor), size_(size) {}

PartialFile::~PartialFile() { ::close(descriptor_); }

Result<std::unique_ptr<PartialFile>> PartialFile::Open(const fs::path& blob, int64_t size,
                                                       int connections) {
  std::error_code error;
  fs::create_directories(blob.parent_path(), error);
  const fs::path path = blob.string() + "-partial";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return ErrnoError(errno, path.string());
  std::unique_ptr<PartialFile> file(new PartialFile(blob, descriptor, size));
  // The name may have gone to a finished blob between open and lock.
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 || !SameFile(descriptor, path)) return nullptr;
  if (!file->LoadState()) {
    if (::ftruncate(descriptor, 0) != 0) return ErrnoError(errno, path.string());
    Split(size, connections, &file->parts_);
  }
  if (::ftruncate(descriptor, size) != 0) return ErrnoError(errno, path.string());
  return file;
}

bool PartialFile::LoadState() {
  struct stat info = {};
  if (::fstat(descriptor_, &info) != 0 || info.st_size != size_) return false;
  auto state = ReadState(StatePath(), size_);
  if (!state) state = ReadOllamasState(Path(), size_);
  if (!state) return false;
  int64_t at = 0;
  for (const PartState& part : *state) {
    parts_.emplace_back(at, part.size, part.done);
    parts_.back().suspect = part.done > 0 && part.done < part.size;
    at += part.size;
  }
  return true;
}

int64_t PartialFile::DoneByOthers(const fs::path& blob, int64_t size) {
  int64_t done = 0;
  if (const auto state = ReadState(StatePath(blob), size)) {
    for (const PartState& part : *state) done += part.done;
  }
  return done;
}

int64_t PartialFile::AllocatedBytes(const fs::path& blob) {
  struct stat info = {};
  if (::stat((blob.string() + "-partial").c_str(), &info) != 0) return 0;
  return static_cast<int64_t>(info.st_blocks) * 512;
}

void PartialFile::StartWriting() {
  // Not all file systems can; then the next sync does it.
  (void)::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

Status PartialFile::SaveState() {
  // What is written down must not be ahead of what is on the disk.
  Json parts = Json::array();
  for (const Part& part : parts_) parts.push_back({part.size, part.done.load()});
  if (::fdatasync(descriptor_) != 0) return ErrnoError(errno, Path().string());
  return WriteFileAtomically(StatePath(), DumpJson({{"size", size_}, {"parts", parts}}));
}

void PartialFile::UseOnePart() {
  parts_.clear();
  parts_.emplace_back(0, size_, 0);
}

int64_t PartialFile::Done() const {
  int64_t done = 0;
  for (const Part& part : parts_) done += part.done.load(std::memory_order_acquire);
  return done;
}

int64_t PartialFile::Contiguous() const {
  for (const Part& part : parts_) {
    const int64_t done = part.done.load(std::memory_order_acquire);
    if (done < part.size) return part.begin + done;
  }
  return size_;
}

Status PartialFile::WriteAt(int64_t offset, std::span<const char> bytes) {
  const std::lock_guard lock(write_mutex_);
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoError(errno, "write " + Path().string());
    bytes = bytes.subspan(static_cast<size_t>(wrote));
    offset += wrote;
  }
  return {};
}

Status PartialFile::ReadAt(int64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read " + Path().string());
    if (got == 0) return MakeError(ErrorCode::kInternal, "{} became shorter", Path().string());
    out = out.subspan(static_cast<size_t>(got));
    offset += got;
  }
  return {};
}

Result<bool> PartialFile::Correct(int64_t offset, std::span<const char> bytes) {
  std::vector<uint8_t> here(bytes.size());
  PUNA_RETURN_IF_ERROR(ReadAt(offset, here));
  if (std::memcmp(here.data(), bytes.data(), bytes.size()) == 0) return false;
  PUNA_RETURN_IF_ERROR(WriteAt(offset, bytes));
  return true;
}

void PartialFile::Forget() {
  for (Part& part : parts_) part.done.store(0);
}

void PartialFile::MarkComplete() {
  for (Part& part : parts_) part.done.store(part.size);
}

Status PartialFile::FinishAs(const fs::path& blob) {
  if (::fsync(descriptor_) != 0) return ErrnoError(errno, "sync " + Path().string());
  PUNA_RETURN_IF_ERROR(RenameSynced(Path(), blob));
  RemoveOllamasParts(Path());
  std::error_code error;
  fs::remove(StatePath(), error);
  return {};
}

void PartialFile::Discard() {
  RemoveOllamasParts(Path());
  std::error_code error;
  fs::remove(StatePath(), error);
  fs::remove(Path(), error);
}

}  // namespace puna::registry
