// Times and durations in the forms that Ollama's API and its users write. Thread safe.
#ifndef PUNA_BASE_DURATION_H_
#define PUNA_BASE_DURATION_H_

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace puna {

// What a negative keep_alive means.
inline constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

// Go's duration syntax: "300ms", "1h30m", "-1m", "1.5h"; units ns, us, µs, ms, s, m, h. A bare "0"
// is allowed, other bare numbers are not. Values beyond the range of int64 nanoseconds are an
// error.
Result<std::chrono::nanoseconds> ParseGoDuration(std::string_view text);

// As above, and a bare number counts as seconds; anything negative is kForever. This is
// OLLAMA_KEEP_ALIVE's syntax.
Result<std::chrono::nanoseconds> ParseKeepAlive(std::string_view text);

// RFC 3339 in UTC with nanoseconds: "2026-01-31T12:00:00.123456789Z".
std::string FormatRfc3339(std::chrono::system_clock::time_point time);

}  // namespace puna

#endif  // PUNA_BASE_DURATION_H_
