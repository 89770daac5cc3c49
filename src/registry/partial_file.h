// A blob that is on its way: sha256-<hex>-partial beside the blobs, and what is known of its parts
// in sha256-<hex>-partial-state. Internal to registry.
#ifndef PUNA_REGISTRY_PARTIAL_FILE_H_
#define PUNA_REGISTRY_PARTIAL_FILE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>

#include "base/result.h"

namespace puna::registry {

// A run of the file that one connection fetches from its beginning on.
struct Part {
  Part(int64_t begin, int64_t size, int64_t done) : begin(begin), size(size), done(done) {}
  const int64_t begin, size;
  std::atomic<int64_t> done;  // bytes that are in the file
  // What the transfer notes: that it did not come in one go, that its connection is to be made
  // anew, and how often it was.
  bool suspect = false;
  std::atomic<bool> cut = false;
  int cuts = 0;
};

// Locked against other transfers of the same blob, of this process and of others, while it lives.
class PartialFile {
 public:
  // Null if somebody else holds it. What an earlier transfer left, Ollama's too, is taken up if it
  // fits `size`.
  static Result<std::unique_ptr<PartialFile>> Open(const std::filesystem::path& blob, int64_t size,
                                                   int connections);
  // What somebody else's transfer of the blob has written down, 0 if nothing is known.
  static int64_t DoneByOthers(const std::filesystem::path& blob, int64_t size);
  // What the partial file of the blob takes of the disk, whether it counts as done or not.
  static int64_t AllocatedBytes(const std::filesystem::path& blob);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  std::deque<Part>& parts() { return parts_; }
  int64_t Done() const;
  // How many bytes from the start on are all there.
  int64_t Contiguous() const;
  // Thread safe for different ranges. One thread writes at a time: file systems let no more in
  // anyway, and a thread that waits here costs no time of a core.
  Status WriteAt(int64_t offset, std::span<const char> bytes);
  // Writes `bytes` if others are there; true if they were.
  Result<bool> Correct(int64_t offset, std::span<const char> bytes);
  Status ReadAt(int64_t offset, std::span<uint8_t> out) const;
  // Lets the system begin to bring what was written onto the disk; thread safe.
  void StartWriting();
  // Syncs the bytes, then writes down which parts are there. Safe beside WriteAt.
  Status SaveState();
  // Starts over: everything in one part, for servers that send only the whole.
  void UseOnePart();
  // The parts count as missing, or as there, whatever the bytes are.
  void Forget();
  void MarkComplete();
  // Syncs and gives the file its final name.
  Status FinishAs(const std::filesystem::path& blob);
  void Discard();

 private:
  PartialFile(std::filesystem::path blob, int descriptor, int64_t size);
  bool LoadState();
  std::filesystem::path Path() const { return blob_.string() + "-partial"; }
  std::filesystem::path StatePath() const { return StatePath(blob_); }
  static std::filesystem::path StatePath(const std::filesystem::path& blob) {
    return blob.string() + "-partial-state";
  }

  const std::filesystem::path blob_;
  const int descriptor_;
  const int64_t size_;
  std::mutex write_mutex_;
  std::deque<Part> parts_;  // in order, without gaps
};

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_PARTIAL_FILE_H_
