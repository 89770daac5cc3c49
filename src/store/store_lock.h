// What keeps processes that share a store from each other's blobs. Internal to store.
//
// A blob is deleted only under the lock of the store, after the manifests and the pins of everybody
// were read; it is relied on only after it was pinned under that lock, or while the lock is held.
// The system drops both when their process dies. (Ollama takes no locks; between its own programs
// nothing changes.)
#ifndef PUNA_STORE_STORE_LOCK_H_
#define PUNA_STORE_STORE_LOCK_H_

#include <filesystem>

#include "base/result.h"

namespace puna::store {

// The lock of the store at `root`, held while the object lives: for what takes milliseconds, such
// as writing or deleting a manifest. Not recursive.
class StoreLock {
 public:
  // Creates the folder if there is none. Waits.
  static Result<StoreLock> Take(const std::filesystem::path& root);
  StoreLock(StoreLock&& other) noexcept;
  StoreLock& operator=(StoreLock&&) = delete;
  ~StoreLock();

 private:
  explicit StoreLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// What root makes in a store whose folder is somebody else's becomes theirs: they could not use the
// store any more. `descriptor` is open to it.
void GiveToOwner(const std::filesystem::path& root, int descriptor);

}  // namespace puna::store

#endif  // PUNA_STORE_STORE_LOCK_H_
