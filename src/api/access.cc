#include "api/access.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "base/text.h"

namespace puna::api {
namespace {

namespace ip = boost::asio::ip;

// "[::1]:80" -> "::1", "name:80" -> "name".
std::string HostWithoutPort(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  if (std::count(host.begin(), host.end(), ':') == 1) host = host.substr(0, host.find(':'));
  return LowerCase(host);
}

bool IsPrivateAddress(const ip::address& address) {
  if (address.is_loopback() || address.is_unspecified()) return true;
  if (address.is_v4()) {
    const uint32_t bits = address.to_v4().to_uint();
    return (bits >> 24) == 10 || (bits >> 20) == 0xAC1 || (bits >> 16) == 0xC0A8;
  }
  return (address.to_v6().to_bytes()[0] & 0xFE) == 0xFC;
}

}  // namespace

const char kAllowedMethods[] = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS";
const char kAllowedHeaders[] =
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,OpenAI-Beta,x-api-key,"
    "anthropic-version,anthropic-beta,anthropic-dangerous-direct-browser-access,x-stainless-arch,"
    "x-stainless-async,x-stainless-custom-poll-interval,x-stainless-helper,"
    "x-stainless-helper-method,x-stainless-lang,x-stainless-os,x-stainless-package-version,"
    "x-stainless-poll-helper,x-stainless-retry-count,x-stainless-runtime,"
    "x-stainless-runtime-version,x-stainless-timeout";

bool MatchesWildcard(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  text.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (size_t skip = 0; skip <= text.size(); ++skip) {
    if (MatchesWildcard(pattern, text.substr(skip))) return true;
  }
  return false;
}

AccessRules::AccessRules(std::string_view origins, bool loopback) : loopback_(loopback) {
  while (!origins.empty()) {
    const size_t comma = origins.find(',');
    std::string_view one = origins.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (!one.empty()) patterns_.push_back(LowerCase(one));
    if (comma == std::string_view::npos) break;
    origins.remove_prefix(comma + 1);
  }
  for (const char* host : {"localhost", "127.0.0.1", "0.0.0.0"}) {
    for (const char* scheme : {"http://", "https://"}) {
      patterns_.push_back(std::string(scheme) + host);
      patterns_.push_back(std::string(scheme) + host + ":*");
    }
  }
  for (const char* own :
       {"app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"}) {
    patterns_.emplace_back(own);
  }
  char name[256] = "";
  if (::gethostname(name, sizeof(name) - 1) == 0) machine_name_ = LowerCase(name);
}

bool AccessRules::HostAllowed(std::string_view header) const {
  if (!loopback_) return true;
  const std::string host = HostWithoutPort(header);
  if (host.empty() || host == "localhost" || host == machine_name_) return true;
  boost::system::error_code error;
  const ip::address address = ip::make_address(host, error);
  if (!error) return IsPrivateAddress(address);
  return host.ends_with(".localhost") || host.ends_with(".local") || host.ends_with(".internal");
}

bool AccessRules::OriginAllowed(std::string_view origin, std::string_view host) const {
  if (origin.empty()) return true;
  const std::string lower = LowerCase(origin);
  if (lower == "http://" + LowerCase(host) || lower == "https://" + LowerCase(host)) return true;
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::string& pattern) { return MatchesWildcard(pattern, lower); });
}

}  // namespace puna::api
