// Keys that callers must show, where the operator wants that (PUNA_API_KEYS). The file has a line
// for each key: a name, the SHA-256 of the key in hexadecimal, and limits, as in
//
//   # printf %s "$KEY" | sha256sum
//   alice 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 requests_per_minute=60
//   build 0b14d501a594442a01c6859541bcb3e8164d183d32937b851835442f69d5c94e concurrent=4
//
// requests_per_minute may come at once after a minute without any; then one in each 60/N seconds.
// concurrent are those that are being answered at the same time.
//
// Only hashes are kept, and a shown key is compared with all of them in constant time. Thread safe.
#ifndef PUNA_API_API_KEYS_H_
#define PUNA_API_API_KEYS_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace puna::api {

class ApiKeys {
 public:
  using Clock = std::chrono::steady_clock;

  // kInvalidArgument names file and line.
  static Result<std::unique_ptr<ApiKeys>> Load(const std::filesystem::path& file);
  static Result<std::unique_ptr<ApiKeys>> Parse(std::string_view text);
  // Takes the keys of the file as it is now; their number. What counts for those that stay goes on
  // counting, and requests that were admitted are not ended. After an error nothing has changed.
  Result<size_t> ReadAgain(const std::filesystem::path& file);

  struct Entry;
  // While it lives, a request counts as running.
  class Admission {
   public:
    enum class Verdict { kAdmitted, kUnknownKey, kTooMany };
    Admission(Verdict verdict, std::string name, std::chrono::seconds retry_after,
              std::shared_ptr<Entry> running, std::mutex* mutex);
    ~Admission();
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;
    Verdict verdict() const { return verdict_; }
    // Of the key; "" for an unknown one.
    const std::string& name() const { return name_; }
    // kTooMany: when the next request is allowed; where that hangs on when others end, 1 s.
    std::chrono::seconds retry_after() const { return retry_after_; }

   private:
    Verdict verdict_;
    std::string name_;
    std::chrono::seconds retry_after_;
    std::shared_ptr<Entry> running_;  // null: nothing runs
    std::mutex* mutex_;
  };
  // May a request with this key begin at `now`?
  Admission Admit(std::string_view key, Clock::time_point now = Clock::now());

 private:
  static Result<std::shared_ptr<Entry>> ParseLine(std::string_view line);

  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;
};

// The key in "Authorization: Bearer KEY", or in "x-api-key: KEY"; "" if neither is there.
std::string_view KeyOfHeaders(std::string_view authorization, std::string_view api_key);

}  // namespace puna::api

#endif  // PUNA_API_API_KEYS_H_
