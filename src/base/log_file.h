// The log in a file too, for servers that nobody watches.
#ifndef PUNA_BASE_LOG_FILE_H_
#define PUNA_BASE_LOG_FILE_H_

#include <filesystem>

#include "base/result.h"

namespace puna {

// ~/.puna/logs/server.log
std::filesystem::path DefaultLogFile();

// Every line goes to `path` as well from now on, and the first ones before, as far as they are
// kept. At 8 MiB the file becomes path with ".1" before its extension, of which three are kept.
// Lines that cannot be written (a full disk) are lost there; standard error says so when that
// begins, and now and then. Call it once, after InitLog.
Status AddLogFile(const std::filesystem::path& path);

}  // namespace puna

#endif  // PUNA_BASE_LOG_FILE_H_
