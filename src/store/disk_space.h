// Whether the disk has room, asked before long work and not found out in the middle of it. Internal
// to store and those above it.
#ifndef PUNA_STORE_DISK_SPACE_H_
#define PUNA_STORE_DISK_SPACE_H_

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace puna::store {

// What users without privileges may still write where `path` is, or would be made.
Result<int64_t> FreeDiskBytes(const std::filesystem::path& path);

// Takes the room for `bytes` of the file at `path`, which stays as long as it was.
// kResourceExhausted, with both numbers, if there is less.
Status ReserveDiskSpace(const std::filesystem::path& path, uint64_t bytes);

}  // namespace puna::store

#endif  // PUNA_STORE_DISK_SPACE_H_
