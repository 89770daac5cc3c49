// A short cut between the connections of a transfer and whoever hashes behind them. Internal to
// registry.
#ifndef PUNA_REGISTRY_FRESH_BYTES_H_
#define PUNA_REGISTRY_FRESH_BYTES_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace puna::registry {

// The last few megabytes that connections have written into a file, for one thread that goes
// through the file in order. What it finds here it need not read back, which costs 0.2 s for a
// gigabyte. Nothing is sure to be here: it is in the file, too. Thread safe; one thread takes.
class FreshBytes {
 public:
  // An empty buffer, with the memory of one that was returned if there is one.
  std::string Buffer();
  // Keeps `bytes`, which begin at `at`, if they will be taken soon. Waits a moment where there are
  // too many of these; so everything before `at` must be in the file, or the taker could wait, too.
  void Offer(int64_t at, std::string bytes);

  // The bytes that begin at `at`. Those before `at` are dropped, and none before it are kept from
  // now on.
  std::optional<std::string> Take(int64_t at);
  // Where the next bytes that are here begin; INT64_MAX if none are.
  int64_t Next();
  void Return(std::string buffer);
  // Returns when what was last asked of Take has come, after Wake, or when `time` is over.
  void Wait(std::chrono::milliseconds time);
  void Wake();

 private:
  std::mutex mutex_;
  std::condition_variable changed_, room_;
  std::map<int64_t, std::string> kept_;  // by where they begin
  std::vector<std::string> spare_;
  int64_t wanted_ = 0, kept_bytes_ = 0;
  bool woken_ = false;
};

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_FRESH_BYTES_H_
