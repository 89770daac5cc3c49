// Bodies that a client compressed ("Content-Encoding: zstd").
#ifndef PUNA_HTTP_ZSTD_BODY_H_
#define PUNA_HTTP_ZSTD_BODY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::http {

// One or more frames, with nothing behind them. kInvalidArgument: broken, or asking for a window
// larger than 8 MiB. kResourceExhausted: more than `limit_bytes` come out. Memory is bounded by the
// limit and the window, whatever the input says. Thread safe.
Result<std::string> DecompressZstd(std::string_view compressed, uint64_t limit_bytes);

}  // namespace puna::http

#endif  // PUNA_HTTP_ZSTD_BODY_H_
