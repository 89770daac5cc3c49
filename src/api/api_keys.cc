#include "api/api_keys.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"

namespace puna::api {
namespace {

// Looks at every character, whatever the earlier ones were.
bool EqualInConstantTime(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<uint8_t>(a[i]) ^ static_cast<uint8_t>(b[i]);
  return difference == 0;
}

bool IsHash(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

struct ApiKeys::Entry {
  std::string name;
  std::string hash;                 // 64 lower-case hexadecimal digits
  int64_t requests_per_minute = 0;  // 0: no limit
  int64_t concurrent = 0;           // 0: no limit
  double allowance = 0;             // requests that may begin now; grows with time
  Clock::time_point refilled{};
  int64_t running = 0;
};

Result<std::shared_ptr<ApiKeys::Entry>> ApiKeys::ParseLine(std::string_view line) {
  auto made = std::make_shared<Entry>();
  Entry& entry = *made;
  std::istringstream words{std::string(line)};
  words >> entry.name >> entry.hash;
  entry.hash = LowerCase(entry.hash);
  if (!IsHash(entry.hash)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "key \"{}\" has no SHA-256 of 64 hexadecimal digits behind its name",
                     entry.name);
  }
  for (std::string limit; words >> limit;) {
    const size_t equals = std::min(limit.find('='), limit.size());
    const std::string name = limit.substr(0, equals);
    int64_t* field = name == "requests_per_minute" ? &entry.requests_per_minute
                     : name == "concurrent"        ? &entry.concurrent
                                                   : nullptr;
    const char* begin = limit.data() + std::min(equals + 1, limit.size());
    const char* end = limit.data() + limit.size();
    int64_t value = 0;
    const auto [stop, code] = std::from_chars(begin, end, value);
    if (field == nullptr || code != std::errc() || stop != end || value < 1) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "key \"{}\" has \"{}\", expected requests_per_minute=N or concurrent=N",
                       entry.name, limit);
    }
    *field = value;
  }
  entry.allowance = static_cast<double>(entry.requests_per_minute);
  return made;
}

Result<std::unique_ptr<ApiKeys>> ApiKeys::Parse(std::string_view text) {
  auto keys = std::make_unique<ApiKeys>();
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (const size_t first = line.find_first_not_of(" \t\r");
        first == std::string::npos || line[first] == '#') {
      continue;
    }
    auto entry = ParseLine(line);
    if (!entry) return WithContext(std::move(entry).error(), fmt::format("line {}", number));
    keys->entries_.push_back(*std::move(entry));
  }
  // A file without keys would shut everybody out; more likely it is the wrong file.
  if (keys->entries_.empty()) return MakeError(ErrorCode::kInvalidArgument, "there are no keys");
  return keys;
}

Result<std::unique_ptr<ApiKeys>> ApiKeys::Load(const std::filesystem::path& file) {
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  auto keys = Parse(text);
  if (!keys) return WithContext(std::move(keys).error(), file.string());
  return keys;
}

Result<size_t> ApiKeys::ReadAgain(const std::filesystem::path& file) {
  PUNA_ASSIGN_OR_RETURN(const auto fresh, Load(file));
  const std::lock_guard lock(mutex_);
  for (std::shared_ptr<Entry>& entry : fresh->entries_) {
    const auto same = [&](const auto& other) { return other->hash == entry->hash; };
    const auto old = std::find_if(entries_.begin(), entries_.end(), same);
    if (old == entries_.end()) continue;
    // The entry that running requests will count themselves out of.
    Entry& kept = **old;
    const bool had_limit = kept.requests_per_minute > 0;
    kept.allowance = had_limit ? std::min(kept.allowance, entry->allowance) : entry->allowance;
    kept.name = entry->name;
    kept.requests_per_minute = entry->requests_per_minute;
    kept.concurrent = entry->concurrent;
    entry = *old;
  }
  entries_ = fresh->entries_;
  return entries_.size();
}

ApiKeys::Admission::Admission(Verdict verdict, std::string name, std::chrono::seconds retry_after,
                              std::shared_ptr<Entry> running, std::mutex* mutex)
    : verdict_(verdict),
      name_(std::move(name)),
      retry_after_(retry_after),
      running_(std::move(running)),
      mutex_(mutex) {}

ApiKeys::Admission::~Admission() {
  if (running_ == nullptr) return;
  const std::lock_guard lock(*mutex_);
  --running_->running;
}

ApiKeys::Admission ApiKeys::Admit(std::string_view key, Clock::time_point now) {
  using Verdict = Admission::Verdict;
  const std::string hash = Sha256Hex(key);
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Entry> found;
  for (const std::shared_ptr<Entry>& entry : entries_) {
    if (EqualInConstantTime(entry->hash, hash)) found = entry;
  }
  if (found == nullptr || key.empty()) return {Verdict::kUnknownKey, "", {}, nullptr, nullptr};
  if (found->concurrent > 0 && found->running >= found->concurrent)
    return {Verdict::kTooMany, found->name, std::chrono::seconds(1), nullptr, nullptr};
  if (found->requests_per_minute > 0) {
    const auto limit = static_cast<double>(found->requests_per_minute);
    if (found->refilled != Clock::time_point()) {
      const std::chrono::duration<double, std::ratio<60>> minutes = now - found->refilled;
      found->allowance = std::min(limit, found->allowance + minutes.count() * limit);
    }
    found->refilled = now;
    if (found->allowance < 1) {
      const std::chrono::duration<double, std::ratio<60>> missing((1 - found->allowance) / limit);
      return {Verdict::kTooMany, found->name, std::chrono::ceil<std::chrono::seconds>(missing),
              nullptr, nullptr};
    }
    found->allowance -= 1;
  }
  ++found->running;
  return {Verdict::kAdmitted, found->name, {}, found, &mutex_};
}

std::string_view KeyOfHeaders(std::string_view authorization, std::string_view api_key) {
  constexpr std::string_view kBearer = "bearer ";
  if (!api_key.empty()) return api_key;
  if (!StartsWithIgnoringCase(authorization, kBearer)) return "";
  authorization.remove_prefix(kBearer.size());
  const size_t first = std::min(authorization.find_first_not_of(' '), authorization.size());
  return authorization.substr(first);
}

}  // namespace puna::api
