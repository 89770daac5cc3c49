// The log: LogInfo("loaded {} in {} ms", name, ms); one line each on standard error. Thread safe.
// Prompts and answers of users are never logged above trace level.
#ifndef PUNA_BASE_LOG_H_
#define PUNA_BASE_LOG_H_

#include <spdlog/spdlog.h>

#include <utility>

namespace puna {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError };

// Sets the level below which nothing is written, for the whole process. Call it once, early.
void InitLog(LogLevel level);

template <typename... Args>
void LogTrace(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::trace(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::debug(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::error(format, std::forward<Args>(args)...);
}

}  // namespace puna

#endif  // PUNA_BASE_LOG_H_
