#include "store/hash_file.h"

#include <algorithm>

#include "base/sha256.h"

namespace puna::store {
namespace {

constexpr size_t kChunkBytes = 4 << 20;
// What was read counts as memory of the process until it is let go.
constexpr size_t kReleaseBytes = 64 << 20;

}  // namespace

Result<std::string> HashFile(const MappedFile& file,
                             const std::function<Status(int64_t)>& progress) {
  Sha256 sha;
  const auto bytes = file.bytes();
  for (size_t at = 0; at < bytes.size();) {
    const auto chunk = bytes.subspan(at, std::min(kChunkBytes, bytes.size() - at));
    sha.Update(chunk);
    at += chunk.size();
    if (at % kReleaseBytes == 0 || at == bytes.size()) file.ReleaseMemory();
    PUNA_RETURN_IF_ERROR(progress(static_cast<int64_t>(at)));
  }
  return "sha256:" + sha.FinishHex();
}

}  // namespace puna::store
