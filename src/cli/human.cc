#include "cli/human.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "cli/word_wrap.h"

namespace puna::cli {

using std::chrono::system_clock;

std::string HumanBytes(int64_t bytes) {
  static constexpr std::pair<double, const char*> kUnits[] = {
      {1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "KB"}};
  const auto value = static_cast<double>(bytes);
  for (const auto& [size, unit] : kUnits) {
    if (value < size) continue;
    const double number = value / size;
    if (number >= 10) return fmt::format("{} {}", static_cast<int64_t>(number), unit);
    return number == std::floor(number) ? fmt::format("{:.0f} {}", number, unit)
                                        : fmt::format("{:.1f} {}", number, unit);
  }
  return fmt::format("{} B", bytes);
}

std::string HumanDuration(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  const int64_t minutes = seconds / 60;
  const auto hours = static_cast<int64_t>(std::llround(static_cast<double>(seconds) / 3600));
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", hours / 24 / 365);
}

std::string HumanTime(std::optional<system_clock::time_point> time, system_clock::time_point now) {
  if (!time) return "Never";
  const auto difference = now - *time;
  if (difference >= std::chrono::seconds(0)) return HumanDuration(difference) + " ago";
  if (-difference > std::chrono::hours(24 * 365 * 20)) return "Forever";
  return HumanDuration(-difference) + " from now";
}

std::optional<system_clock::time_point> ParseRfc3339(std::string_view text) {
  const std::string copy(text);
  std::tm parts = {};
  int length = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &length) != 6) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  std::time_t seconds = ::timegm(&parts);
  size_t at = static_cast<size_t>(length);
  if (at < copy.size() && copy[at] == '.')
    at = std::min(copy.find_first_not_of("0123456789", at + 1), copy.size());
  int hours = 0, minutes = 0;
  if (at < copy.size() && (copy[at] == '+' || copy[at] == '-') &&
      std::sscanf(copy.c_str() + at + 1, "%2d:%2d", &hours, &minutes) == 2) {
    seconds += (copy[at] == '-' ? 1 : -1) * (hours * 3600 + minutes * 60);
  }
  return system_clock::from_time_t(seconds);
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows,
                        std::string_view indent) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    out += indent;
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      // Blanks at the end would be lines of their own in a narrow terminal.
      if (i + 1 < row.size())
        out.append(static_cast<size_t>(widths[i] + 4 - DisplayWidth(row[i])), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace puna::cli
