// The connections that fill a partial file. Internal to registry.
#ifndef PUNA_REGISTRY_TRANSFER_H_
#define PUNA_REGISTRY_TRANSFER_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "registry/fresh_bytes.h"
#include "registry/partial_file.h"
#include "registry/session.h"

namespace puna::registry {

// What is fetched, and from where.
struct Source {
  std::string name;  // for messages: "blob sha256:..." or a URL
  int64_t size_bytes = 0;
  // Called again for a fresh address when one stops working: those with signatures expire.
  std::function<Result<BlobSource>(const std::function<bool()>& cancelled)> find;
};

// One use: Begin, then Run or Recheck, once.
class Transfer {
 public:
  Transfer(Session& session, const Source& source, const RegistryOptions& options,
           PartialFile& file);

  // Called on the thread of Run about 50 times a second, and at once again while it returns true,
  // that is, while it has more to do. Its error ends the transfer and is returned.
  using Follow = std::function<Result<bool>()>;
  // Finds the bytes, and sets the parts of the file to what can be asked for; nobody else may look
  // at them meanwhile.
  Status Begin(const Follow& follow);
  // Fetches what is missing.
  Status Run(const Follow& follow);
  // Fetches everything once more, first the parts that broke off or were slow before, and writes
  // where the bytes differ.
  Status Recheck(const Follow& follow);
  // How many pieces Recheck has changed so far. Thread safe.
  int64_t changes() const { return changes_.load(std::memory_order_acquire); }
  // Says, from `follow`, that the file with so many changes was hashed: no further part is begun
  // before, since it may not be needed.
  void Confirm(int64_t changes);
  // For `follow`: what Run has just written.
  FreshBytes& fresh() { return fresh_; }

 private:
  // What one connection is doing, for finding those that are slower than the rest.
  struct Slot {
    Part* part = nullptr;
    int64_t done_before = 0;  // of the part, when the window began
    bool whole_window = false;
  };

  class Collector;

  void Work(size_t slot);
  void FetchParts(size_t slot);
  Part* NextPart(size_t slot);
  Status FetchPart(Part& part);
  Status FetchRest(Part& part);
  Result<BlobSource> FindFirst(const Follow& follow);
  Result<BlobSource> Current(int64_t* generation, const CancelFunction& cancelled);
  Result<BlobSource> Renew(int64_t failed_generation);
  Status Take(Part& part, int64_t at, std::string bytes);
  void WatchSpeed();
  Status AddConnections(size_t count);
  void MaybeAddConnections();
  void Stop(Status status);
  bool Sleep(std::chrono::milliseconds time);
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  Session& session_;
  const Source& what_;
  const RegistryOptions& options_;
  PartialFile& file_;
  bool recheck_ = false;
  std::vector<Part*> order_;
  std::atomic<int64_t> changes_ = 0;
  std::atomic<bool> stopping_ = false;
  FreshBytes fresh_;

  std::mutex source_mutex_;  // held while an address is looked up, and never with mutex_
  std::optional<BlobSource> source_;
  int64_t generation_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t next_part_ = 0;
  int64_t confirmed_ = 0;
  int running_ = 0;
  std::vector<Slot> slots_;
  std::chrono::steady_clock::time_point window_start_;
  double usual_rate_ = 0;  // bytes a second of one connection, in the last window that told
  std::vector<std::thread> threads_;  // one for each connection, also one that has no more to do
  std::chrono::steady_clock::time_point ramp_start_;  // when the last connections were added, or
  int64_t ramp_done_ = 0;                             // were enough, and what was there then
  std::vector<double> finished_rates_;                // of the parts that are done
  Status status_;
};

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_TRANSFER_H_
