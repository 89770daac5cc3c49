// Rejected: one file a prompt. Prompts share beginnings and grow, so bytes would be written again
// and again; pages named by their history are written once, whoever asks for them. Only the first
// pages are one file, since fewer of them are never read: whatever is removed when there is too
// much, no beginning stays that is too short to be of use.
#include "engine/disk_prefixes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "backend/backend.h"
#include "base/exception.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "engine/page_file.h"

namespace puna::engine {
namespace {

namespace fs = std::filesystem;

Counter written("puna_prefix_files_written_total",
                "Files with pages of prompts that were kept on disk");
Counter used("puna_prefix_files_read_total",
             "Files with pages of prompts that were read from disk");
Counter refused("puna_prefix_files_refused_total", "Files that were not the page they should be");

constexpr std::string_view kSuffix = ".page";
// Of pages that wait to be written.
constexpr int64_t kMostWaitingBytes = int64_t{256} << 20;
// Files of a writer that was killed; younger ones may belong to one that lives.
constexpr auto kAbandonedAfter = std::chrono::minutes(10);
// When there is too much, files go until this share of the limit is left.
constexpr double kShareLeft = 0.9;

struct FileInfo {
  fs::path path;
  fs::file_time_type used;
  int64_t bytes = 0;
};

// What is there, and removes what killed writers have left.
std::vector<FileInfo> ListPages(const fs::path& folder) {
  std::vector<FileInfo> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (!it->is_regular_file(gone) || it->is_symlink(gone)) continue;
    FileInfo info{it->path(), it->last_write_time(gone), static_cast<int64_t>(it->file_size(gone))};
    if (gone) continue;
    const std::string name = info.path.filename().string();
    if (name.starts_with('.') && name.find(".page.tmp-") != std::string::npos) {
      if (fs::file_time_type::clock::now() - info.used > kAbandonedAfter)
        fs::remove(info.path, gone);
    } else if (name.ends_with(kSuffix)) {
      files.push_back(std::move(info));
    }
  }
  return files;
}

Status CheckFolder(const fs::path& folder) {
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  if (error) {
    return MakeError(ErrorCode::kUnavailable, "the folder {} for prompts cannot be made: {}",
                     folder.string(), error.message());
  }
  if (made) fs::permissions(folder, fs::perms::owner_all, error);
  struct stat info = {};
  if (::stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      ::access(folder.c_str(), R_OK | X_OK) != 0) {
    return MakeError(ErrorCode::kUnavailable, "{} is no folder that can be read", folder.string());
  }
  if (info.st_uid != ::geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return MakeError(ErrorCode::kUnavailable,
                     "others may write to the folder {} for prompts, which decides what models say",
                     folder.string());
  }
  return {};
}

// When page `index` of a prompt that is used `now` counts as used. The further behind, the older,
// so that a prompt loses its end first: without its beginning the rest would never be found. Little
// older, so that pages of a prompt that was used before do not seem to be used later.
fs::file_time_type UsedAt(fs::file_time_type now, size_t index) {
  return now - std::chrono::microseconds(index);
}

void MarkUsed(const fs::path& path, fs::file_time_type used) {
  std::error_code ignored;
  fs::last_write_time(path, used, ignored);
}

// The whole file if it has exactly `bytes` bytes and is nothing but a file.
bool ReadExactly(const fs::path& path, std::vector<uint8_t>* bytes) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return false;
  struct stat info = {};
  bool good = ::fstat(file, &info) == 0 && S_ISREG(info.st_mode) &&
              std::cmp_equal(info.st_size, bytes->size());
  for (size_t done = 0; good && done < bytes->size();) {
    const ssize_t got = ::read(file, bytes->data() + done, bytes->size() - done);
    if (got < 0 && errno == EINTR) continue;
    good = got > 0;
    if (good) done += static_cast<size_t>(got);
  }
  ::close(file);
  return good;
}

}  // namespace

Result<std::unique_ptr<DiskPrefixes>> DiskPrefixes::Open(Options options) {
  PUNA_RETURN_IF_ERROR(CheckFolder(options.folder));
  std::unique_ptr<DiskPrefixes> prefixes(new DiskPrefixes(std::move(options)));
  for (const FileInfo& file : ListPages(prefixes->options_.folder)) {
    prefixes->names_.insert(file.path.stem().string());
    prefixes->bytes_ += file.bytes;
  }
  PUNA_ASSIGN_OR_RETURN(prefixes->writer_,
                        StartThread("puna-prefixes", [raw = prefixes.get()] { raw->WriteAll(); }));
  return prefixes;
}

DiskPrefixes::DiskPrefixes(Options options)
    : options_(std::move(options)), chain_(PageChain(options_.identity)) {}

DiskPrefixes::~DiskPrefixes() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

fs::path DiskPrefixes::PathOf(const std::string& name) const {
  return options_.folder / (name + std::string(kSuffix));
}

// The files of the whole pages, whether they are there or not, until `visit` says false.
void DiskPrefixes::ForEachFile(std::span<const int32_t> tokens,
                               const std::function<bool(const FileOnDisk&)>& visit) const {
  constexpr auto kTokens = static_cast<size_t>(backend::kPageTokens);
  const size_t pages = tokens.size() / kTokens;
  if (pages < kHeadPages) return;
  const fs::file_time_type now = fs::file_time_type::clock::now();
  std::string name = chain_;
  for (size_t i = 0; i < pages; ++i) {
    name = NextInChain(name, tokens.subspan(i * kTokens, kTokens));
    if (i + 1 < kHeadPages) continue;
    const FileOnDisk file = i < kHeadPages ? FileOnDisk{name, 0, kHeadPages, UsedAt(now, 0)}
                                           : FileOnDisk{name, i, 1, UsedAt(now, i)};
    if (!visit(file)) return;
  }
}

void DiskPrefixes::Keep(std::span<const int32_t> tokens,
                        const std::function<std::span<const uint8_t>(size_t)>& bytes) {
  std::lock_guard lock(mutex_);
  ForEachFile(tokens, [&](const FileOnDisk& file) {
    if (names_.contains(file.name)) return true;
    const int64_t size = static_cast<int64_t>(file.pages) * options_.page_bytes;
    if (!waiting_.empty() && waiting_bytes_ + size > kMostWaitingBytes) return false;
    std::vector<uint8_t> content;
    content.reserve(static_cast<size_t>(size));
    for (size_t i = file.first; i < file.first + file.pages; ++i) {
      const std::span<const uint8_t> page = bytes(i);
      content.insert(content.end(), page.begin(), page.end());
    }
    waiting_.push_back({file, std::move(content)});
    waiting_bytes_ += size;
    names_.insert(file.name);
    return true;
  });
  changed_.notify_all();
}

std::vector<DiskPrefixes::FileOnDisk> DiskPrefixes::Find(std::span<const int32_t> tokens,
                                                         size_t first, size_t most) const {
  std::vector<FileOnDisk> found;
  std::lock_guard lock(mutex_);
  if (names_.empty()) return found;
  ForEachFile(tokens, [&](const FileOnDisk& file) {
    if (file.first + file.pages <= first) return true;
    if (file.first >= first + most || !names_.contains(file.name)) return false;
    found.push_back(file);
    return true;
  });
  return found;
}

bool DiskPrefixes::Read(const FileOnDisk& file, std::span<const std::span<uint8_t>> pages) {
  const fs::path path = PathOf(file.name);
  const PageFrame around = FramePage(file.name, {});
  const auto page_bytes = static_cast<size_t>(options_.page_bytes);
  const size_t size = file.pages * page_bytes;
  std::vector<uint8_t> bytes(around.head.size() + size + around.tail.size());
  if (!ReadExactly(path, &bytes)) {
    Forget(file.name);
    return false;
  }
  const auto content = OpenPage(bytes, file.name, size);
  if (!content) {
    LogWarning("{} is not used and removed: {}", path.string(), content.error().message);
    refused.Add();
    std::error_code ignored;
    fs::remove(path, ignored);
    Forget(file.name);
    return false;
  }
  auto wanted = content->last(pages.size() * page_bytes);
  for (const std::span<uint8_t> page : pages) {
    std::copy_n(wanted.begin(), page_bytes, page.begin());
    wanted = wanted.subspan(page_bytes);
  }
  MarkUsed(path, file.used);
  used.Add();
  return true;
}

void DiskPrefixes::Forget(const std::string& name) {
  std::lock_guard lock(mutex_);
  const bool on_its_way =
      std::any_of(waiting_.begin(), waiting_.end(),
                  [&](const Waiting& waiting) { return waiting.file.name == name; });
  if (!on_its_way) names_.erase(name);
}

void DiskPrefixes::Flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() && !writing_; });
}

// The body of the writer's thread.
void DiskPrefixes::WriteAll() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    const Waiting first = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= static_cast<int64_t>(first.bytes.size());
    writing_ = true;
    lock.unlock();
    const Status status = WriteAndMakeRoom(first);
    lock.lock();
    if (!status) {
      if (trouble_.IsNews())
        LogWarning("pages of prompts are not kept: {}", status.error().message);
      // The pages behind it would never be found.
      for (const Waiting& dropped : waiting_) names_.erase(dropped.file.name);
      names_.erase(first.file.name);
      waiting_.clear();
      waiting_bytes_ = 0;
    } else if (waiting_.empty()) {
      trouble_.Worked();
    }
    writing_ = false;
    changed_.notify_all();
  }
}

// Memory that is not there fails the file, and not the process.
Status DiskPrefixes::WriteAndMakeRoom(const Waiting& waiting) {
  try {
    Status status = WriteOne(waiting);
    MakeRoom();
    return status;
  } catch (...) {
    return tl::unexpected<Error>(CurrentException());
  }
}

Status DiskPrefixes::WriteOne(const Waiting& waiting) {
  const fs::path path = PathOf(waiting.file.name);
  const PageFrame frame = FramePage(waiting.file.name, waiting.bytes);
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  PUNA_RETURN_IF_ERROR(file.Write(frame.head));
  PUNA_RETURN_IF_ERROR(file.Write(waiting.bytes));
  PUNA_RETURN_IF_ERROR(file.Write(frame.tail));
  PUNA_RETURN_IF_ERROR(file.Commit());
  MarkUsed(path, waiting.file.used);
  bytes_ += static_cast<int64_t>(frame.head.size() + waiting.bytes.size() + frame.tail.size());
  written.Add();
  return {};
}

// Others may have written and removed files too: what is there is counted anew.
void DiskPrefixes::MakeRoom() {
  if (bytes_ <= options_.max_bytes) return;
  std::vector<FileInfo> files = ListPages(options_.folder);
  bytes_ = 0;
  for (const FileInfo& file : files) bytes_ += file.bytes;
  if (bytes_ <= options_.max_bytes) return;
  std::sort(files.begin(), files.end(),
            [](const FileInfo& a, const FileInfo& b) { return a.used < b.used; });
  const auto enough = static_cast<int64_t>(kShareLeft * static_cast<double>(options_.max_bytes));
  for (const FileInfo& file : files) {
    if (bytes_ <= enough) break;
    std::error_code ignored;
    fs::remove(file.path, ignored);
    bytes_ -= file.bytes;
    Forget(file.path.stem().string());
  }
}

}  // namespace puna::engine
