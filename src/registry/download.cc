// Several connections fill parts of one sparse file; the calling thread follows behind them, hashes
// what is there from the start on without a gap (the bytes are still in the page cache), reports,
// and writes the state down once a second. So the hash is known when the last byte is, and an
// interruption of any kind costs at most the last second.
#include "registry/download.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/sha256.h"
#include "registry/partial_file.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr int kTries = 6;  // of a part, without a byte of progress in between
constexpr auto kReportInterval = std::chrono::milliseconds(60);
constexpr auto kSaveInterval = std::chrono::seconds(1);
constexpr int64_t kHashBytes = 1 << 20;        // read back at once
constexpr int64_t kSpareDiskBytes = 64 << 20;  // that a download leaves free

Status Cancelled() { return MakeError(ErrorCode::kCancelled, "cancelled"); }

// Would trying again be no use?
bool IsFinal(const Error& error) {
  return error.code != ErrorCode::kUnavailable && error.code != ErrorCode::kInternal;
}

class Transfer {
 public:
  Transfer(Session& session, const store::Layer& layer, const RegistryOptions& options,
           PartialFile& file)
      : session_(session), layer_(layer), options_(options), file_(file) {}

  // Fetches what is missing; `follow` is called again and again meanwhile, and its error ends all.
  Status Run(const std::function<Status()>& follow);

 private:
  void Work();
  Status FetchPart(Part& part);
  Status FetchRest(Part& part);
  // The source that all connections use; a failed one is looked up anew, since addresses with
  // signatures expire.
  Result<BlobSource> Source(bool renew);
  void Stop(Status status);
  bool Sleep(std::chrono::milliseconds time);

  Session& session_;
  const store::Layer& layer_;
  const RegistryOptions& options_;
  PartialFile& file_;
  std::mutex mutex_;
  std::condition_variable changed_;
  BlobSource source_;
  size_t next_part_ = 0;
  int running_ = 0;
  std::atomic<bool> stopping_ = false;
  Status status_;
};

Result<BlobSource> Transfer::Source(bool renew) {
  const std::lock_guard lock(mutex_);
  if (source_.url.empty() || renew) {
    PUNA_ASSIGN_OR_RETURN(source_, session_.FindBlob(layer_.digest));
    if (source_.size_bytes && *source_.size_bytes != layer_.size_bytes) {
      return MakeError(ErrorCode::kCorrupt, "blob {} has {} bytes, its manifest says {}",
                       layer_.digest, *source_.size_bytes, layer_.size_bytes);
    }
  }
  return source_;
}

Status Transfer::FetchRest(Part& part) {
  PUNA_ASSIGN_OR_RETURN(const BlobSource source, Source(false));
  const int64_t begin = part.begin + part.done.load();
  const int64_t end = part.begin + part.size;
  // A server that sends only the whole sends again what is here already.
  int64_t at = source.ranges ? begin : 0;
  Status written;
  http::ClientRequest request = session_.RangeRequest(source, begin, end);
  request.on_head = [&](const http::ClientResponse& head) {
    return head.status == (source.ranges ? 206 : 200);
  };
  request.on_data = [&](std::string_view piece) {
    if (stopping_.load(std::memory_order_relaxed)) return false;
    const int64_t skip = std::clamp<int64_t>(begin - at, 0, static_cast<int64_t>(piece.size()));
    const int64_t take =
        std::min<int64_t>(static_cast<int64_t>(piece.size()) - skip, end - at - skip);
    if (take > 0) {
      written = file_.WriteAt(at + skip, std::span(piece.data() + skip, static_cast<size_t>(take)));
      if (!written) return false;
      part.done.store(at + skip + take - part.begin, std::memory_order_release);
    }
    at += static_cast<int64_t>(piece.size());
    return at < end;  // more than was asked for is not wanted
  };
  const auto response = session_.SendTo(source, std::move(request));
  if (!written) return written;
  if (part.done.load() == part.size) return {};
  if (stopping_.load()) return Cancelled();
  if (!response) return tl::unexpected(response.error());
  if (response->status != 206 && response->status != 200)
    return StatusError("blob " + layer_.digest, *response);
  return MakeError(ErrorCode::kUnavailable, "blob {}: the connection ended at byte {}",
                   layer_.digest, part.begin + part.done.load());
}

Status Transfer::FetchPart(Part& part) {
  int failures = 0;
  while (part.done.load() < part.size) {
    const int64_t before = part.done.load();
    const Status fetched = FetchRest(part);
    if (fetched) continue;
    // A cut by our own hand looks like a cancelled transfer.
    if (stopping_.load() || (IsFinal(fetched.error()) && failures > 0)) return fetched;
    failures = part.done.load() > before ? 0 : failures + 1;
    if (failures == kTries) return fetched;
    if (!Sleep(options_.retry_unit * (1 << std::min(failures, 5)))) return Cancelled();
    // Not found and denied are what an expired address answers, so one new look is worth it.
    if (const auto renewed = Source(true); !renewed && IsFinal(renewed.error()))
      return tl::unexpected(renewed.error());
  }
  return {};
}

bool Transfer::Sleep(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stopping_.load(); });
  return !stopping_.load();
}

void Transfer::Stop(Status status) {
  const std::lock_guard lock(mutex_);
  if (!stopping_.exchange(true)) status_ = std::move(status);
  changed_.notify_all();
}

void Transfer::Work() {
  while (true) {
    Part* part = nullptr;
    {
      const std::lock_guard lock(mutex_);
      while (next_part_ < file_.parts().size() && part == nullptr) {
        Part& candidate = file_.parts()[next_part_++];
        if (candidate.done.load() < candidate.size) part = &candidate;
      }
    }
    if (part == nullptr || stopping_.load()) break;
    if (Status fetched = FetchPart(*part); !fetched) Stop(std::move(fetched));
  }
  const std::lock_guard lock(mutex_);
  --running_;
  changed_.notify_all();
}

Status Transfer::Run(const std::function<Status()>& follow) {
  PUNA_ASSIGN_OR_RETURN(const BlobSource source, Source(false));
  // Parts that wait for each other's bytes of one stream would each fetch the whole.
  if (!source.ranges && file_.parts().size() > 1) file_.UseOnePart();
  const int count = std::clamp(options_.connections, 1,
                               static_cast<int>(std::max<size_t>(1, file_.parts().size())));
  std::vector<std::thread> threads;
  running_ = count;
  threads.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) threads.emplace_back([this] { Work(); });
  for (bool running = true; running;) {
    if (Status followed = follow(); !followed) Stop(std::move(followed));
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(20), [&] { return running_ == 0; });
    running = running_ > 0;
  }
  for (std::thread& thread : threads) thread.join();
  return status_;
}

// Hashes and reports behind a transfer.
class Follower {
 public:
  Follower(PartialFile& file, const store::Layer& layer, const store::ProgressFunction& progress)
      : file_(file), layer_(layer), progress_(progress), buffer_(kHashBytes) {}

  // Hashes for at most one interval of reports, so that reports keep coming.
  Status Follow() {
    const auto start = steady_clock::now();
    while (hashed_ < file_.Contiguous() && steady_clock::now() - start < kReportInterval) {
      const int64_t count = std::min(file_.Contiguous() - hashed_, kHashBytes);
      const std::span<uint8_t> bytes(buffer_.data(), static_cast<size_t>(count));
      PUNA_RETURN_IF_ERROR(file_.ReadAt(hashed_, bytes));
      sha_.Update(bytes);
      hashed_ += count;
    }
    const auto now = steady_clock::now();
    if (now - saved_ >= kSaveInterval) {
      PUNA_RETURN_IF_ERROR(file_.SaveState());
      saved_ = steady_clock::now();
    }
    if (now - reported_ < kReportInterval) return {};
    reported_ = now;
    return Report();
  }

  // The hash of the complete file.
  Result<std::string> Finish() {
    while (hashed_ < layer_.size_bytes) PUNA_RETURN_IF_ERROR(Follow());
    PUNA_RETURN_IF_ERROR(Report());
    return "sha256:" + sha_.FinishHex();
  }

 private:
  Status Report() {
    const bool go_on = !progress_ || progress_({"pulling " + layer_.digest.substr(7, 12),
                                                layer_.digest, layer_.size_bytes, file_.Done()});
    return go_on ? Status() : Cancelled();
  }

  PartialFile& file_;
  const store::Layer& layer_;
  const store::ProgressFunction& progress_;
  std::vector<uint8_t> buffer_;
  Sha256 sha_;
  int64_t hashed_ = 0;
  steady_clock::time_point saved_ = steady_clock::now(), reported_;
};

bool HasWhole(const fs::path& blob, int64_t size) {
  std::error_code error;
  return fs::is_regular_file(blob, error) &&
         static_cast<int64_t>(fs::file_size(blob, error)) == size;
}

// A size that no disk of this system holds is refused before anything is made for it.
Status CheckSize(const fs::path& root, const store::Layer& layer) {
  std::error_code error;
  fs::create_directories(root / "blobs", error);
  struct statvfs info = {};
  if (::statvfs((root / "blobs").c_str(), &info) != 0) return ErrnoError(errno, root.string());
  const int64_t whole = static_cast<int64_t>(info.f_blocks) * static_cast<int64_t>(info.f_frsize);
  if (layer.size_bytes <= whole) return {};
  return MakeError(ErrorCode::kResourceExhausted,
                   "blob {} has {} bytes, the file system of {} only {}", layer.digest,
                   layer.size_bytes, root.string(), whole);
}

Status CheckDiskSpace(const fs::path& folder, int64_t needed, const std::string& digest) {
  struct statvfs info = {};
  if (::statvfs(folder.c_str(), &info) != 0) return {};
  const int64_t free = static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
  if (needed == 0 || needed + kSpareDiskBytes <= free) return {};
  return MakeError(ErrorCode::kResourceExhausted,
                   "blob {} needs {} more bytes, {} has only {} free", digest, needed,
                   folder.string(), free);
}

}  // namespace

Status DownloadBlob(Session& session, const store::Store& store, const store::Layer& layer,
                    const RegistryOptions& options, const store::ProgressFunction& progress) {
  PUNA_ASSIGN_OR_RETURN(const fs::path blob, store.BlobPath(layer.digest));
  PUNA_RETURN_IF_ERROR(CheckSize(store.root(), layer));
  const std::string status = "pulling " + layer.digest.substr(7, 12);
  std::unique_ptr<PartialFile> file;
  while (true) {
    if (HasWhole(blob, layer.size_bytes)) {
      std::error_code error;  // a new time protects it from being pruned before it is named
      fs::last_write_time(blob, fs::file_time_type::clock::now(), error);
      const bool go_on =
          !progress || progress({status, layer.digest, layer.size_bytes, layer.size_bytes});
      return go_on ? Status() : Cancelled();
    }
    PUNA_ASSIGN_OR_RETURN(file, PartialFile::Open(blob, layer.size_bytes, options.connections));
    if (file && !HasWhole(blob, layer.size_bytes)) break;
    if (progress && !progress({status, layer.digest, layer.size_bytes, 0})) return Cancelled();
    std::this_thread::sleep_for(kReportInterval);
  }
  PUNA_RETURN_IF_ERROR(
      CheckDiskSpace(blob.parent_path(), layer.size_bytes - file->Done(), layer.digest));
  Follower follower(*file, layer, progress);
  if (file->Done() < layer.size_bytes) {
    Transfer transfer(session, layer, options, *file);
    const Status done = transfer.Run([&] { return follower.Follow(); });
    if (!done) {
      (void)file->SaveState();  // the first error is the one to tell
      return done;
    }
  }
  PUNA_ASSIGN_OR_RETURN(const std::string actual, follower.Finish());
  if (actual != layer.digest) {
    file->Discard();
    return MakeError(ErrorCode::kCorrupt,
                     "digest mismatch, file must be downloaded again: want {}, got {}",
                     layer.digest, actual);
  }
  return file->Finish();
}

}  // namespace puna::registry
