// Numbers and times as people read them, in Ollama's words.
#ifndef PUNA_CLI_HUMAN_H_
#define PUNA_CLI_HUMAN_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace puna::cli {

// Decimal units: "9.6 GB"; an integer from 10 on.
std::string HumanBytes(int64_t bytes);
// "Less than a second", "5 seconds", "About a minute", "3 hours", "2 days", ...
std::string HumanDuration(std::chrono::nanoseconds duration);
// "2 hours ago", "4 minutes from now", "Never" for a time that could not be read.
std::string HumanTime(std::optional<std::chrono::system_clock::time_point> time,
                      std::chrono::system_clock::time_point now);
// Reads RFC 3339; nothing if it is none.
std::optional<std::chrono::system_clock::time_point> ParseRfc3339(std::string_view text);

// Left-aligned columns, four spaces apart, each line after `indent`.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows,
                        std::string_view indent = "");

}  // namespace puna::cli

#endif  // PUNA_CLI_HUMAN_H_
