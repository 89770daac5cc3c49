// Keeping blobs that no manifest names yet.
#ifndef PUNA_STORE_BLOB_PINS_H_
#define PUNA_STORE_BLOB_PINS_H_

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace puna::store {

// Keeps blobs from being deleted, by this process or another, until a manifest names them. Whether
// they are there is to be asked after they were added. Not thread safe.
class BlobPins {
 public:
  static Result<BlobPins> Create(const std::filesystem::path& root);
  BlobPins(BlobPins&& other) noexcept;
  BlobPins& operator=(BlobPins&&) = delete;
  ~BlobPins();
  Status Add(const std::vector<std::string>& digests);

 private:
  BlobPins() = default;
  std::filesystem::path root_, path_;
  int descriptor_ = -1;
};

// The digests that somebody has pinned; an error if that cannot be told. Files of pins whose owners
// died are removed if `remove_stale`.
// REQUIRES: the lock of the store is held, if anything is to be deleted.
Result<std::set<std::string>> PinnedDigests(const std::filesystem::path& root, bool remove_stale);

}  // namespace puna::store

#endif  // PUNA_STORE_BLOB_PINS_H_
