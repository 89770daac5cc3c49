// Pages of prompts that more than one request began with, kept in a folder, so that a server that
// starts again need not compute a long system prompt again. A file for the first 256 tokens, of
// which less is computed faster than a disk answers, and one for each page behind them
// (page_file.h); written by a thread of its own under its final name only when it is whole; read
// and verified before use. Nothing depends on it: whatever is missing, damaged or foreign is
// computed, and what cannot be written (a full disk) is not kept. The least recently used files go
// when there are too many.
//
// Several models and processes may share a folder. Nobody else may write to it: its files decide
// what models say.
//
// Thread rule: as the engine, one thread calls.
#ifndef PUNA_ENGINE_DISK_PREFIXES_H_
#define PUNA_ENGINE_DISK_PREFIXES_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/repeated_trouble.h"
#include "base/result.h"

namespace puna::engine {

class DiskPrefixes {
 public:
  struct Options {
    std::filesystem::path folder;  // made if it is missing, for this user alone
    int64_t max_bytes = 0;         // of all files in it
    std::string identity;          // what pages depend on beside the tokens
    int64_t page_bytes = 0;
  };
  // kUnavailable: the folder cannot be made or read, or somebody else may write to it.
  static Result<std::unique_ptr<DiskPrefixes>> Open(Options options);
  // Does not wait for what is not written yet.
  ~DiskPrefixes();

  // The pages of the first file of a prompt.
  static constexpr size_t kHeadPages = 16;

  // Keeps the whole pages of `tokens`, of which bytes(i) gives the content; nothing if there are
  // fewer than kHeadPages. Only what is not there yet is copied, and only as much as may wait to be
  // written; the rest another time.
  void Keep(std::span<const int32_t> tokens,
            const std::function<std::span<const uint8_t>(size_t)>& bytes);

  struct FileOnDisk {
    std::string name;
    size_t first = 0, pages = 1;  // tokens [16 first, 16 (first + pages))
    std::filesystem::file_time_type used;
  };
  // The files that hold `tokens` from page `first` on, as far as they seem to be there, up to the
  // one that makes it `most` pages. They may begin with pages before `first`.
  std::vector<FileOnDisk> Find(std::span<const int32_t> tokens, size_t first, size_t most) const;
  // Reads the last pages of one of them, as many as there are `pages`; on false it cannot be used
  // and `pages` hold anything.
  bool Read(const FileOnDisk& file, std::span<const std::span<uint8_t>> pages);

  // Waits until everything is written; for tests.
  void Flush();

 private:
  struct Waiting {
    FileOnDisk file;
    std::vector<uint8_t> bytes;
  };
  explicit DiskPrefixes(Options options);
  std::filesystem::path PathOf(const std::string& name) const;
  void WriteAll();
  Status WriteAndMakeRoom(const Waiting& waiting);
  Status WriteOne(const Waiting& waiting);
  void MakeRoom();
  void Forget(const std::string& name);
  void ForEachFile(std::span<const int32_t> tokens,
                   const std::function<bool(const FileOnDisk&)>& visit) const;

  const Options options_;
  const std::string chain_;  // where the names begin

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_set<std::string> names_;  // that are there or on their way
  std::deque<Waiting> waiting_;
  int64_t waiting_bytes_ = 0;
  bool writing_ = false, stop_ = false;
  // Only the writer's:
  int64_t bytes_ = 0;  // of the files in the folder, roughly
  RepeatedTrouble trouble_;
  std::thread writer_;
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_DISK_PREFIXES_H_
