// Several connections fill parts of one sparse file; the calling thread follows behind them, hashes
// what is there from the start on without a gap (from the connections' buffers where they are its
// next bytes, else from the page cache), and reports; a thread beside it keeps the disk busy and
// writes the state down once a second. So the hash is known when the last byte is, little is left
// to sync at the end, and an interruption of any kind costs at most the last second.
//
// A registry tells the hash of the whole only. Where that is wrong, the parts are fetched a second
// time and compared with the first, those that gave trouble first; after each difference the whole
// is hashed again, and the transfer ends as soon as it is right.
#include "registry/download.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "base/exception.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/thread.h"
#include "registry/partial_file.h"
#include "registry/transfer.h"
#include "store/disk_space.h"
#include "store/progress_pace.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr auto kSaveInterval = std::chrono::seconds(1);
constexpr auto kWriteInterval = std::chrono::milliseconds(100);
constexpr int64_t kHashBytes = 256 << 10;      // read back at once; the second-level cache holds it
constexpr int64_t kSpareDiskBytes = 64 << 20;  // that a download leaves free
constexpr int kRechecks = 2;

// One file on its way: what it is, where it goes, and who hears of it.
struct Goal {
  Source source;
  fs::path base;       // of the names of the partial file
  std::string digest;  // empty: not known
  std::string short_name;
};

// Brings what a transfer has fetched onto the disk while it lives, on a thread of its own, since a
// sync takes as long as the disk does.
class Saver {
 public:
  explicit Saver(PartialFile& file) : file_(file) {}
  ~Saver() { (void)Stop(); }

  Status Start() {
    PUNA_ASSIGN_OR_RETURN(thread_, StartThread("puna-save", [this] { Work(); }));
    return {};
  }
  // The first error, if there was one.
  Status status() {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  // Afterwards nothing is written any more.
  Status Stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  void Work() {
    std::unique_lock lock(mutex_);
    while (status_ && !changed_.wait_for(lock, kWriteInterval, [this] { return stop_; })) {
      lock.unlock();
      Status done = SaveOrStartWriting();
      lock.lock();
      status_ = std::move(done);
    }
  }

  // Memory that is not there fails the download, and not the process.
  Status SaveOrStartWriting() {
    try {
      if (steady_clock::now() - saved_ >= kSaveInterval) {
        PUNA_RETURN_IF_ERROR(file_.SaveState());
        saved_ = steady_clock::now();
      } else {
        file_.StartWriting();
      }
      return {};
    } catch (...) {
      return tl::unexpected<Error>(CurrentException());
    }
  }

  PartialFile& file_;
  steady_clock::time_point saved_ = steady_clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  Status status_;
  std::thread thread_;
};

// Hashes and reports behind a transfer.
class Follower {
 public:
  Follower(PartialFile& file, const Goal& goal, const store::ProgressFunction& progress)
      : file_(file), goal_(goal), progress_(progress), buffer_(kHashBytes) {}

  // Hashes for at most one interval of reports, so that reports keep coming. True if that was not
  // enough.
  Result<bool> Follow(FreshBytes& fresh) {
    const int64_t end = file_.Contiguous();
    PUNA_RETURN_IF_ERROR(HashUpTo(end, &fresh));
    PUNA_RETURN_IF_ERROR(MaybeReport("pulling "));
    return hashed_ < end;
  }

  // The hash of the complete file.
  Result<std::string> Finish() {
    while (hashed_ < goal_.source.size_bytes) {
      PUNA_RETURN_IF_ERROR(HashUpTo(goal_.source.size_bytes));
      PUNA_RETURN_IF_ERROR(MaybeReport("pulling "));
    }
    PUNA_RETURN_IF_ERROR(Report("pulling "));
    return TakeDigest();
  }

  // One interval of hashing a file that `transfer` is changing: true when the file, as it is, has
  // the hash that it should.
  Result<bool> FollowRecheck(Transfer& transfer) {
    if (transfer.changes() != changes_) {
      changes_ = transfer.changes();
      (void)TakeDigest();
      to_hash_ = true;
    }
    if (to_hash_) PUNA_RETURN_IF_ERROR(HashUpTo(goal_.source.size_bytes));
    PUNA_RETURN_IF_ERROR(MaybeReport("repairing "));
    if (!to_hash_ || hashed_ < goal_.source.size_bytes) return false;
    to_hash_ = false;
    const bool right = TakeDigest() == goal_.digest && transfer.changes() == changes_;
    if (!right) transfer.Confirm(changes_);
    return right;
  }

 private:
  // Goes on beyond `end` with what is in memory.
  Status HashUpTo(int64_t end, FreshBytes* fresh = nullptr) {
    const auto start = steady_clock::now();
    while (steady_clock::now() - start < store::ProgressPace::kInterval) {
      if (HashFresh(fresh)) continue;
      const int64_t stop = fresh == nullptr ? end : std::min(end, fresh->Next());
      const int64_t count = std::min(stop - hashed_, kHashBytes);
      if (count <= 0) break;
      const std::span<uint8_t> bytes(buffer_.data(), static_cast<size_t>(count));
      PUNA_RETURN_IF_ERROR(file_.ReadAt(hashed_, bytes));
      sha_.Update(bytes);
      hashed_ += count;
    }
    return {};
  }

  bool HashFresh(FreshBytes* fresh) {
    auto bytes = fresh == nullptr ? std::nullopt : fresh->Take(hashed_);
    if (!bytes) return false;
    sha_.Update(*bytes);
    hashed_ += static_cast<int64_t>(bytes->size());
    fresh->Return(*std::move(bytes));
    return true;
  }

  std::string TakeDigest() {
    hashed_ = 0;
    return "sha256:" + std::exchange(sha_, Sha256()).FinishHex();
  }

  Status MaybeReport(const char* verb) { return pace_.Due() ? Report(verb) : Status(); }

  Status Report(const char* verb) {
    return store::Report(
        progress_, {verb + goal_.short_name, goal_.digest, goal_.source.size_bytes, file_.Done()});
  }

  PartialFile& file_;
  const Goal& goal_;
  const store::ProgressFunction& progress_;
  std::vector<uint8_t> buffer_;
  Sha256 sha_;
  int64_t hashed_ = 0;
  int64_t changes_ = 0;
  bool to_hash_ = false;
  store::ProgressPace pace_;
};

// True if the file has its hash now.
Result<bool> Repair(const DownloadContext& context, const Goal& goal, PartialFile& file) {
  PUNA_RETURN_IF_ERROR(file.SaveState());  // whoever resumes finds it complete and comes here too
  LogWarning("{} came with wrong bytes; they are looked for", goal.source.name);
  for (int i = 0; i < kRechecks; ++i) {
    Transfer transfer(context.session, goal.source, context.options, file);
    Follower follower(file, goal, context.progress);
    bool found = false;
    const auto follow = [&]() -> Result<bool> {
      PUNA_ASSIGN_OR_RETURN(found, follower.FollowRecheck(transfer));
      if (found) return MakeError(ErrorCode::kCancelled, "no more is needed");
      return false;
    };
    PUNA_RETURN_IF_ERROR(transfer.Begin(follow));
    const Status done = transfer.Recheck(follow);
    if (!done && !found) return tl::unexpected(done.error());
    // Others may have written between the last hash and the end.
    file.MarkComplete();
    PUNA_ASSIGN_OR_RETURN(const std::string digest,
                          Follower(file, goal, context.progress).Finish());
    if (digest == goal.digest) return true;
    if (transfer.changes() == 0) return false;
  }
  return false;
}

// Fetches, hashes and repairs; returns the digest. What has a known digest has it afterwards.
Result<std::string> Fill(const DownloadContext& context, const Goal& goal, PartialFile& file) {
  Follower follower(file, goal, context.progress);
  if (file.Done() < goal.source.size_bytes) {
    Transfer transfer(context.session, goal.source, context.options, file);
    PUNA_RETURN_IF_ERROR(transfer.Begin([&] { return follower.Follow(transfer.fresh()); }));
    Saver saver(file);
    PUNA_RETURN_IF_ERROR(saver.Start());
    Status done = transfer.Run([&]() -> Result<bool> {
      PUNA_RETURN_IF_ERROR(saver.status());
      return follower.Follow(transfer.fresh());
    });
    const Status saved = saver.Stop();
    if (done) done = saved;
    if (!done) {
      (void)file.SaveState();  // the first error is the one to tell
      return tl::unexpected(done.error());
    }
  }
  PUNA_ASSIGN_OR_RETURN(std::string actual, follower.Finish());
  if (goal.digest.empty() || actual == goal.digest) return actual;
  PUNA_ASSIGN_OR_RETURN(const bool repaired, Repair(context, goal, file));
  if (repaired) return goal.digest;
  file.Discard();
  return MakeError(ErrorCode::kCorrupt,
                   "digest mismatch, file must be downloaded again: want {}, got {}", goal.digest,
                   actual);
}

bool HasWhole(const fs::path& blob, int64_t size) {
  std::error_code error;
  return fs::is_regular_file(blob, error) &&
         static_cast<int64_t>(fs::file_size(blob, error)) == size;
}

// What a partial file already has on the disk, holes left out.
int64_t BytesHere(const fs::path& blob, int64_t size) {
  if (HasWhole(blob, size)) return size;
  return std::min(size, PartialFile::AllocatedBytes(blob));
}

// Waits until nobody else fetches the blob. Null if it is there.
Result<std::unique_ptr<PartialFile>> OpenPartial(const DownloadContext& context, const Goal& goal) {
  const int64_t size = goal.source.size_bytes;
  while (true) {
    if (!goal.digest.empty() && HasWhole(goal.base, size)) return nullptr;
    PUNA_ASSIGN_OR_RETURN(auto file,
                          PartialFile::Open(goal.base, size, context.options.connections));
    if (file && (goal.digest.empty() || !HasWhole(goal.base, size))) return file;
    PUNA_RETURN_IF_ERROR(
        store::Report(context.progress, {"pulling " + goal.short_name, goal.digest, size,
                                         PartialFile::DoneByOthers(goal.base, size)}));
    std::this_thread::sleep_for(store::ProgressPace::kInterval);
  }
}

std::string ShortDigest(const std::string& digest) { return digest.substr(7, 12); }

}  // namespace

Status CheckDiskSpace(const store::Store& store, const std::vector<store::Layer>& layers) {
  const fs::path folder = store.root() / "blobs";
  PUNA_ASSIGN_OR_RETURN(const int64_t free, store::FreeDiskBytes(folder));
  int64_t needed = 0;
  std::set<std::string> counted;
  for (const store::Layer& layer : layers) {
    if (!counted.insert(layer.digest).second) continue;
    PUNA_ASSIGN_OR_RETURN(const fs::path blob, store.BlobPath(layer.digest));
    const int64_t missing = layer.size_bytes - BytesHere(blob, layer.size_bytes);
    needed = missing > INT64_MAX - needed ? INT64_MAX : needed + missing;
  }
  if (needed == 0 || needed <= free - kSpareDiskBytes) return {};
  return MakeError(ErrorCode::kResourceExhausted,
                   "{} more bytes are needed and {} are to stay free, {} has only {} free", needed,
                   kSpareDiskBytes, folder.string(), free);
}

Status DownloadBlob(const DownloadContext& context, const store::Layer& layer,
                    const std::string& url) {
  Goal goal;
  goal.digest = layer.digest;
  goal.short_name = ShortDigest(layer.digest);
  goal.source.name = "blob " + layer.digest;
  goal.source.size_bytes = layer.size_bytes;
  goal.source.find = [&](const CancelFunction& cancelled) {
    return context.session.Find(url, goal.source.name, cancelled);
  };
  PUNA_ASSIGN_OR_RETURN(goal.base, context.store.BlobPath(layer.digest));
  PUNA_RETURN_IF_ERROR(context.pins.Add({layer.digest}));
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenPartial(context, goal));
  if (!file) {
    return store::Report(context.progress, {"pulling " + goal.short_name, layer.digest,
                                            layer.size_bytes, layer.size_bytes});
  }
  PUNA_RETURN_IF_ERROR(Fill(context, goal, *file));
  return file->FinishAs(goal.base);
}

Result<store::Layer> DownloadFile(const DownloadContext& context, const std::string& url) {
  PUNA_ASSIGN_OR_RETURN(const BlobSource found, context.session.Find(url, url, nullptr));
  if (!found.size_bytes) {
    return MakeError(ErrorCode::kUnsupported, "{}: the server does not say how long the file is",
                     url);
  }
  store::Layer layer;
  layer.size_bytes = *found.size_bytes;
  layer.digest = found.digest;
  if (!layer.digest.empty()) {
    PUNA_RETURN_IF_ERROR(CheckDiskSpace(context.store, {layer}));
    PUNA_RETURN_IF_ERROR(DownloadBlob(context, layer, url));
    return layer;
  }
  Goal goal;
  goal.source.name = url;
  goal.source.size_bytes = layer.size_bytes;
  goal.short_name = url.substr(url.rfind('/') + 1);
  goal.source.find = [&](const CancelFunction& cancelled) {
    return context.session.Find(url, url, cancelled);
  };
  // What another version of the file left is not to be gone on with.
  const std::string key = "sha256:" + Sha256Hex(url + "\n" + found.etag);
  PUNA_ASSIGN_OR_RETURN(goal.base, context.store.BlobPath(key));
  store::Layer as_if = layer;
  as_if.digest = key;
  PUNA_RETURN_IF_ERROR(CheckDiskSpace(context.store, {as_if}));
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenPartial(context, goal));
  PUNA_ASSIGN_OR_RETURN(layer.digest, Fill(context, goal, *file));
  PUNA_RETURN_IF_ERROR(context.pins.Add({layer.digest}));
  PUNA_ASSIGN_OR_RETURN(const fs::path blob, context.store.BlobPath(layer.digest));
  PUNA_RETURN_IF_ERROR(file->FinishAs(blob));
  return layer;
}

}  // namespace puna::registry
