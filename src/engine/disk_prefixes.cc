// Rejected: one file a prompt. Prompts share beginnings and grow, so bytes would be written again
// and again; pages named by their history are written once, whoever asks for them.
#include "engine/disk_prefixes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "backend/backend.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/page_file.h"

namespace puna::engine {
namespace {

namespace fs = std::filesystem;

Counter written("puna_prefix_files_written_total", "Pages of prompts that were kept on disk");
Counter used("puna_prefix_files_read_total", "Pages of prompts that were read from disk");
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

// When page `index` of a prompt that is used now counts as used. The further behind, the older, so
// that a prompt loses its end first: without its beginning the rest would never be found.
fs::file_time_type UsedNow(size_t index) {
  return fs::file_time_type::clock::now() - std::chrono::milliseconds(index);
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
  prefixes->writer_ = std::thread([raw = prefixes.get()] { raw->WriteAll(); });
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

void DiskPrefixes::Keep(std::span<const int32_t> tokens,
                        const std::function<std::span<const uint8_t>(size_t)>& bytes) {
  constexpr auto kTokens = static_cast<size_t>(backend::kPageTokens);
  std::string name = chain_;
  std::lock_guard lock(mutex_);
  for (size_t i = 0; (i + 1) * kTokens <= tokens.size(); ++i) {
    name = NextInChain(name, tokens.subspan(i * kTokens, kTokens));
    if (names_.contains(name)) continue;
    const auto waiting = static_cast<int64_t>(waiting_.size());
    if ((waiting + 1) * options_.page_bytes > kMostWaitingBytes) break;
    const std::span<const uint8_t> page = bytes(i);
    waiting_.push_back({{name, i, UsedNow(i)}, {page.begin(), page.end()}});
    names_.insert(name);
  }
  changed_.notify_all();
}

std::vector<DiskPrefixes::PageOnDisk> DiskPrefixes::Find(std::span<const int32_t> tokens,
                                                         size_t first, size_t most) const {
  constexpr auto kTokens = static_cast<size_t>(backend::kPageTokens);
  std::vector<PageOnDisk> found;
  std::string name = chain_;
  std::lock_guard lock(mutex_);
  if (names_.empty()) return found;
  for (size_t i = 0; (i + 1) * kTokens <= tokens.size() && found.size() < most; ++i) {
    name = NextInChain(name, tokens.subspan(i * kTokens, kTokens));
    if (i < first) continue;
    if (!names_.contains(name)) break;
    found.push_back({name, i, UsedNow(i)});
  }
  return found;
}

bool DiskPrefixes::Read(const PageOnDisk& page, std::span<uint8_t> bytes) {
  const fs::path path = PathOf(page.name);
  const PageFrame around = FramePage(page.name, {});
  std::vector<uint8_t> file(around.head.size() + bytes.size() + around.tail.size());
  if (!ReadExactly(path, &file)) {
    Forget(page.name);
    return false;
  }
  const auto content = OpenPage(file, page.name, bytes.size());
  if (!content) {
    LogWarning("{} is not used and removed: {}", path.string(), content.error().message);
    refused.Add();
    std::error_code ignored;
    fs::remove(path, ignored);
    Forget(page.name);
    return false;
  }
  std::copy(content->begin(), content->end(), bytes.begin());
  MarkUsed(path, page.used);
  used.Add();
  return true;
}

void DiskPrefixes::Forget(const std::string& name) {
  std::lock_guard lock(mutex_);
  const bool on_its_way =
      std::any_of(waiting_.begin(), waiting_.end(),
                  [&](const Waiting& waiting) { return waiting.page.name == name; });
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
    writing_ = true;
    lock.unlock();
    const Status status = WriteOne(first);
    MakeRoom();
    lock.lock();
    if (!status) {
      if (trouble_.IsNews())
        LogWarning("pages of prompts are not kept: {}", status.error().message);
      // The pages behind it would never be found.
      for (const Waiting& dropped : waiting_) names_.erase(dropped.page.name);
      names_.erase(first.page.name);
      waiting_.clear();
    } else if (waiting_.empty()) {
      trouble_.Worked();
    }
    writing_ = false;
    changed_.notify_all();
  }
}

Status DiskPrefixes::WriteOne(const Waiting& waiting) {
  const fs::path path = PathOf(waiting.page.name);
  const PageFrame frame = FramePage(waiting.page.name, waiting.bytes);
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  PUNA_RETURN_IF_ERROR(file.Write(frame.head));
  PUNA_RETURN_IF_ERROR(file.Write(waiting.bytes));
  PUNA_RETURN_IF_ERROR(file.Write(frame.tail));
  PUNA_RETURN_IF_ERROR(file.Commit());
  MarkUsed(path, waiting.page.used);
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
