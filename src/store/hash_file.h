// The digest of a file of any size, in little memory.
#ifndef PUNA_STORE_HASH_FILE_H_
#define PUNA_STORE_HASH_FILE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace puna::store {

// Reads the file once: "sha256:<hex>". `progress` is told the bytes read so far, a few MB at a
// time; its error ends it.
Result<std::string> HashFile(const MappedFile& file,
                             const std::function<Status(int64_t)>& progress);

}  // namespace puna::store

#endif  // PUNA_STORE_HASH_FILE_H_
