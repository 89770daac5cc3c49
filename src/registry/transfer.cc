#include "registry/transfer.h"

#include <algorithm>
#include <thread>

#include "base/exception.h"
#include "base/thread.h"

namespace puna::registry {
namespace {

using std::chrono::steady_clock;

constexpr int kPartTries = 6;  // of a part, without a byte of progress in between
// A connection with less than this share of what the others get is made anew, so that one bad route
// does not hold up the end.
constexpr double kSlowShare = 0.1;
// One connection after the other fetches in order, which is cheapest to hash; more are worth it
// only where it gets less than what can be hashed and written anyway.
constexpr auto kRampInterval = std::chrono::milliseconds(50);
constexpr double kPlentyRate = 512e6;  // bytes a second of all connections
constexpr int kMaxCuts = 3;            // of one part; then it is the server that is slow

// curl hands over 16 KB at a time, and file systems take ten times as much in hardly more time; but
// what has come is not kept from the file, and so from the state of the transfer, for long.
constexpr int64_t kWriteBytes = 512 << 10;
constexpr auto kMaxWait = std::chrono::milliseconds(100);

Status Cancelled() { return MakeError(ErrorCode::kCancelled, "cancelled"); }

// Would trying again be no use?
bool IsFinal(const Error& error) {
  return error.code != ErrorCode::kUnavailable && error.code != ErrorCode::kInternal;
}

// "bytes 10-19/100" has to begin where it was asked to, in a whole of the size that was promised.
bool IsExpectedRange(std::string_view content_range, int64_t begin, int64_t size) {
  return content_range.starts_with(fmt::format("bytes {}-", begin)) &&
         (content_range.ends_with(fmt::format("/{}", size)) || content_range.ends_with("/*"));
}

}  // namespace

// The pieces that one connection gets, made larger.
class Transfer::Collector {
 public:
  // `at`: of the first byte.
  Collector(Transfer& transfer, Part& part, int64_t at)
      : transfer_(transfer), part_(part), begin_(at), bytes_(transfer.fresh_.Buffer()) {
    Reserve();
  }
  ~Collector() { transfer_.fresh_.Return(std::move(bytes_)); }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  Status Add(std::string_view piece) {
    if (bytes_.empty()) first_ = steady_clock::now();
    while (!piece.empty()) {
      // Writes begin where pages do, but for the first.
      const size_t space = static_cast<size_t>(kWriteBytes - begin_ % kWriteBytes) - bytes_.size();
      bytes_.append(piece.substr(0, space));
      if (piece.size() < space) break;
      PUNA_RETURN_IF_ERROR(Flush());
      piece.remove_prefix(space);
    }
    return {};
  }
  Status FlushOld() {
    return !bytes_.empty() && steady_clock::now() - first_ > kMaxWait ? Flush() : Status();
  }
  Status Flush() {
    if (bytes_.empty()) return {};
    const auto size = static_cast<int64_t>(bytes_.size());
    PUNA_RETURN_IF_ERROR(
        transfer_.Take(part_, begin_, std::exchange(bytes_, transfer_.fresh_.Buffer())));
    begin_ += size;
    Reserve();
    return {};
  }

 private:
  void Reserve() {
    bytes_.reserve(static_cast<size_t>(std::min(kWriteBytes, part_.begin + part_.size - begin_)));
  }

  Transfer& transfer_;
  Part& part_;
  int64_t begin_;
  std::string bytes_;
  steady_clock::time_point first_;  // when the oldest of them came
};

Transfer::Transfer(Session& session, const Source& source, const RegistryOptions& options,
                   PartialFile& file)
    : session_(session), what_(source), options_(options), file_(file) {}

// All connections use one address; whoever found it broken first looks for the next.
Result<BlobSource> Transfer::Current(int64_t* generation, const CancelFunction& cancelled) {
  const std::lock_guard lock(source_mutex_);
  if (!source_) {
    PUNA_ASSIGN_OR_RETURN(BlobSource found, what_.find(cancelled));
    if (found.size_bytes && *found.size_bytes != what_.size_bytes) {
      return MakeError(ErrorCode::kCorrupt, "{} has {} bytes, expected are {}", what_.name,
                       *found.size_bytes, what_.size_bytes);
    }
    source_ = std::move(found);
    ++generation_;
  }
  *generation = generation_;
  return *source_;
}

// Who is busy or out of reach just now may answer in a moment, here as in the middle of a transfer.
Result<BlobSource> Transfer::FindFirst(const Follow& follow) {
  Status followed;
  const auto cancelled = [&] {
    if (followed) {
      if (const auto more = follow(); !more) followed = tl::unexpected(more.error());
    }
    return !followed;
  };
  for (int failures = 1;; ++failures) {
    int64_t generation = 0;
    auto source = Current(&generation, cancelled);
    PUNA_RETURN_IF_ERROR(followed);
    if (source || source.error().code != ErrorCode::kUnavailable || failures == kPartTries)
      return source;
    const auto end = steady_clock::now() + options_.retry_unit * (1 << failures);
    while (steady_clock::now() < end && !cancelled()) Sleep(std::chrono::milliseconds(20));
    PUNA_RETURN_IF_ERROR(followed);
  }
}

Result<BlobSource> Transfer::Renew(int64_t failed_generation) {
  {
    const std::lock_guard lock(source_mutex_);
    if (generation_ == failed_generation) source_.reset();
  }
  return Current(&failed_generation, [this] { return stopping(); });
}

Status Transfer::Take(Part& part, int64_t at, std::string bytes) {
  const int64_t end = at + static_cast<int64_t>(bytes.size());
  if (recheck_) {
    PUNA_ASSIGN_OR_RETURN(const bool changed, file_.Correct(at, bytes));
    if (changed) changes_.fetch_add(1, std::memory_order_acq_rel);
    fresh_.Return(std::move(bytes));
  } else {
    PUNA_RETURN_IF_ERROR(file_.WriteAt(at, bytes));
    // Before they count as there, lest they are read back meanwhile. Those of a part that is ahead
    // cannot be hashed yet.
    if (file_.Contiguous() == at) {
      fresh_.Offer(at, std::move(bytes));
    } else {
      fresh_.Return(std::move(bytes));
    }
  }
  part.done.store(end - part.begin, std::memory_order_release);
  return {};
}

Status Transfer::FetchRest(Part& part) {
  int64_t generation = 0;
  PUNA_ASSIGN_OR_RETURN(const BlobSource source,
                        Current(&generation, [this] { return stopping(); }));
  const int64_t begin = part.begin + part.done.load();
  const int64_t end = part.begin + part.size;
  // A server that sends only the whole sends again what is here already.
  int64_t at = source.ranges ? begin : 0;
  Status written;
  std::string wrong_range;
  Collector collector(*this, part, begin);
  http::ClientRequest request = session_.RangeRequest(source, begin, end);
  request.cancelled = [&] {
    if (written) written = collector.FlushOld();
    return !written || stopping() || part.cut.load(std::memory_order_relaxed);
  };
  request.on_head = [&](const http::ClientResponse& head) {
    if (head.status != (source.ranges ? 206 : 200)) return false;
    const std::string_view range = head.Header("content-range");
    if (source.ranges && !IsExpectedRange(range, begin, what_.size_bytes))
      wrong_range = fmt::format("\"{}\"", range);
    return wrong_range.empty();
  };
  request.on_data = [&](std::string_view piece) {
    if (request.cancelled()) return false;
    const int64_t skip = std::clamp<int64_t>(begin - at, 0, static_cast<int64_t>(piece.size()));
    const int64_t take =
        std::clamp<int64_t>(end - at - skip, 0, static_cast<int64_t>(piece.size()) - skip);
    written = collector.Add(piece.substr(static_cast<size_t>(skip), static_cast<size_t>(take)));
    at += static_cast<int64_t>(piece.size());
    return written && at < end;  // more than was asked for is not wanted
  };
  const auto response = session_.SendTo(source, request);
  if (written) written = collector.Flush();
  if (!written) return written;
  if (part.done.load() == part.size) return {};
  if (stopping()) return Cancelled();
  if (!wrong_range.empty()) {
    return MakeError(ErrorCode::kCorrupt, "{}: asked for the bytes from {} on, the server sends {}",
                     what_.name, begin, wrong_range);
  }
  if (part.cut.load())
    return MakeError(ErrorCode::kUnavailable, "{}: a connection was too slow", what_.name);
  if (!response) return tl::unexpected(response.error());
  if (response->status != 206 && response->status != 200) return StatusError(what_.name, *response);
  return MakeError(ErrorCode::kUnavailable, "{}: the connection ended at byte {} of {}", what_.name,
                   part.begin + part.done.load(), what_.size_bytes);
}

Status Transfer::FetchPart(Part& part) {
  int failures = 0;
  while (part.done.load() < part.size) {
    const int64_t before = part.done.load();
    int64_t generation = 0;
    {
      const std::lock_guard lock(source_mutex_);
      generation = generation_;
    }
    const Status fetched = FetchRest(part);
    if (fetched) continue;
    part.suspect = true;
    if (part.cut.exchange(false)) continue;
    // A cut by our own hand looks like a cancelled transfer.
    if (stopping() || (IsFinal(fetched.error()) && failures > 0)) return fetched;
    failures = part.done.load() > before ? 0 : failures + 1;
    if (failures == kPartTries) return fetched;
    if (!Sleep(options_.retry_unit * (1 << std::min(failures, 5)))) return Cancelled();
    // Not found and denied are what an expired address answers, so one new look is worth it.
    if (const auto renewed = Renew(generation); !renewed && IsFinal(renewed.error()))
      return tl::unexpected(renewed.error());
  }
  return {};
}

bool Transfer::Sleep(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stopping(); });
  return !stopping();
}

void Transfer::Stop(Status status) {
  const std::lock_guard lock(mutex_);
  if (!stopping_.exchange(true)) status_ = std::move(status);
  changed_.notify_all();
}

void Transfer::Confirm(int64_t changes) {
  const std::lock_guard lock(mutex_);
  confirmed_ = changes;
  changed_.notify_all();
}

Part* Transfer::NextPart(size_t slot) {
  std::unique_lock lock(mutex_);
  slots_[slot] = {};
  changed_.wait(lock, [&] { return confirmed_ >= changes() || stopping(); });
  if (stopping()) return nullptr;
  while (next_part_ < order_.size()) {
    Part* part = order_[next_part_++];
    if (part->done.load() < part->size) {
      slots_[slot].part = part;
      return part;
    }
  }
  return nullptr;
}

// The body of a connection's thread. Memory that is not there fails the transfer, and not the
// process.
void Transfer::Work(size_t slot) {
  try {
    FetchParts(slot);
  } catch (...) {
    Stop(tl::unexpected<Error>(CurrentException()));
  }
  const std::lock_guard lock(mutex_);
  slots_[slot] = {};
  --running_;
  fresh_.Wake();
}

void Transfer::FetchParts(size_t slot) {
  while (Part* part = stopping() ? nullptr : NextPart(slot)) {
    const auto start = steady_clock::now();
    const int64_t before = part->done.load();
    if (Status fetched = FetchPart(*part); !fetched) Stop(std::move(fetched));
    const std::chrono::duration<double> taken = steady_clock::now() - start;
    const std::lock_guard lock(mutex_);
    if (part->done.load() > before && taken.count() > 0)
      finished_rates_.push_back(static_cast<double>(part->done.load() - before) / taken.count());
  }
}

// REQUIRES: mutex_ is held.
void Transfer::WatchSpeed() {
  const auto now = steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - window_start_).count();
  if (now - window_start_ < options_.speed_window) return;
  window_start_ = now;
  std::vector<std::pair<double, Part*>> rates;
  for (Slot& slot : slots_) {
    if (slot.part == nullptr) continue;
    const int64_t done = slot.part->done.load();
    if (slot.whole_window)
      rates.emplace_back(static_cast<double>(done - slot.done_before) / seconds, slot.part);
    slot.whole_window = true;
    slot.done_before = done;
  }
  // Where the others are done too soon to be watched, their parts tell.
  if (rates.size() >= 3) {
    std::sort(rates.begin(), rates.end());
    usual_rate_ = rates[rates.size() / 2].first;
  } else if (usual_rate_ == 0 && finished_rates_.size() >= 3) {
    std::sort(finished_rates_.begin(), finished_rates_.end());
    usual_rate_ = finished_rates_[finished_rates_.size() / 2];
  }
  for (const auto& [rate, part] : rates) {
    if (rate >= usual_rate_ * kSlowShare || part->cuts >= kMaxCuts) continue;
    ++part->cuts;
    part->cut.store(true);
  }
}

Status Transfer::Begin(const Follow& follow) {
  PUNA_ASSIGN_OR_RETURN(const BlobSource source, FindFirst(follow));
  // Parts that wait for each other's bytes of one stream would each fetch the whole.
  if (!source.ranges && file_.parts().size() > 1) file_.UseOnePart();
  return {};
}

Status Transfer::Run(const Follow& follow) {
  for (Part& part : file_.parts()) order_.push_back(&part);
  if (recheck_) {
    std::stable_partition(order_.begin(), order_.end(), [](Part* part) { return part->suspect; });
  }
  const auto most = static_cast<size_t>(
      std::clamp(options_.connections, 1, static_cast<int>(std::max<size_t>(1, order_.size()))));
  slots_.resize(most);
  window_start_ = steady_clock::now();
  PUNA_RETURN_IF_ERROR(AddConnections(1));
  for (bool running = true; running;) {
    const Result<bool> more = follow();
    if (!more) Stop(tl::unexpected(more.error()));
    if (!more || !*more) fresh_.Wait(std::chrono::milliseconds(20));
    const std::lock_guard lock(mutex_);
    running = running_ > 0;
    WatchSpeed();
    if (running) MaybeAddConnections();
  }
  for (std::thread& thread : threads_) thread.join();
  return status_;
}

// REQUIRES: mutex_ is held, or there are no threads yet.
Status Transfer::AddConnections(size_t count) {
  ramp_start_ = steady_clock::now();
  ramp_done_ = file_.Done();
  for (count = std::min(count, slots_.size() - threads_.size()); count > 0; --count) {
    ++running_;
    auto thread = StartThread("puna-connection", [this, slot = threads_.size()] { Work(slot); });
    if (!thread) {
      --running_;
      return tl::unexpected(thread.error());
    }
    threads_.push_back(*std::move(thread));
  }
  return {};
}

// REQUIRES: mutex_ is held.
void Transfer::MaybeAddConnections() {
  const std::chrono::duration<double> seconds = steady_clock::now() - ramp_start_;
  if (threads_.size() == slots_.size() || next_part_ == order_.size() || seconds < kRampInterval)
    return;
  const double rate = static_cast<double>(file_.Done() - ramp_done_) / seconds.count();
  (void)AddConnections(rate < kPlentyRate ? threads_.size() : 0);  // those that there are will do
}

Status Transfer::Recheck(const Follow& follow) {
  recheck_ = true;
  file_.Forget();
  return Run(follow);
}

}  // namespace puna::registry
