#include "registry/remote_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "http/url.h"
#include "store/manifest.h"

namespace puna::registry {
namespace {

constexpr uint64_t kMaxListingBytes = 16 << 20;
constexpr int kMaxShards = 1000;
// Of a repository with several, in this order, as Hugging Face itself chooses.
constexpr const char* kPreferredTypes[] = {"q4_k_m", "q4_0", "q4_k_s", "q5_k_m", "q8_0"};

// The digits of "<prefix>-00001-of-00003.gguf".
struct ShardName {
  std::string prefix;
  int number = 0, count = 0;
};

std::optional<ShardName> ParseShardName(std::string_view path) {
  constexpr std::string_view kShape = "-00000-of-00000.gguf";
  if (path.size() < kShape.size()) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kShape.size());
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(end[i])) != 0;
    if (kShape[i] == '0' ? !digit : end[i] != kShape[i]) return std::nullopt;
  }
  ShardName name;
  name.prefix = path.substr(0, path.size() - kShape.size());
  std::from_chars(end.data() + 1, end.data() + 6, name.number);
  std::from_chars(end.data() + 10, end.data() + 15, name.count);
  if (name.number < 1 || name.number > name.count || name.count > kMaxShards) return std::nullopt;
  return name;
}

// Whether `word` is in `text` with neither a letter, a digit nor an underscore beside it.
bool HasWord(std::string_view text, std::string_view word) {
  const auto is_part = [&](size_t i) {
    return i < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '_');
  };
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    if ((at == 0 || !is_part(at - 1)) && !is_part(at + word.size())) return true;
  }
  return false;
}

using Groups = std::map<std::string, std::vector<RemoteFile>>;  // of the same prefix, in order

// The complete sets of parts in a listing, with path in `url`.
Groups CompleteGroups(const Json& listing) {
  std::map<std::string, std::map<int, RemoteFile>> found;
  std::map<std::string, int> counts;
  for (const Json& entry : listing) {
    if (!entry.is_object()) continue;
    const std::string path = JsonString(entry, "path");
    const auto shard = ParseShardName(path);
    const Json lfs = entry.value("lfs", Json::object());
    const auto hex = store::DigestHex("sha256:" + JsonString(lfs, "oid"));
    const Json size = entry.value("size", Json());
    if (!shard || !hex || !size.is_number_integer() || size.get<int64_t>() <= 0) continue;
    RemoteFile file;
    file.name = path.substr(path.rfind('/') + 1);
    file.url = path;
    file.layer.digest = "sha256:" + *hex;
    file.layer.size_bytes = size.get<int64_t>();
    found[shard->prefix][shard->number] = std::move(file);
    counts[shard->prefix] = shard->count;
  }
  Groups groups;
  for (auto& [prefix, files] : found) {
    if (static_cast<int>(files.size()) != counts[prefix]) continue;
    for (auto& [number, file] : files) groups[prefix].push_back(std::move(file));
  }
  return groups;
}

std::string EncodePath(std::string_view path) {
  std::string out;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    out += (at == 0 ? "" : "/") + http::EncodeComponent(path.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

bool SaysSharded(const http::ClientResponse& response) {
  return response.status == 400 && response.body.find("sharded GGUF") != std::string::npos;
}

Result<std::vector<RemoteFile>> ChooseShards(const Json& listing, std::string_view tag) {
  if (!listing.is_array()) return MakeError(ErrorCode::kCorrupt, "the list of files is no array");
  Groups groups = CompleteGroups(listing);
  const auto pick = [&](std::string_view word) -> std::vector<RemoteFile>* {
    for (auto& [prefix, files] : groups) {
      if (HasWord(LowerCase(prefix), word)) return &files;
    }
    return nullptr;
  };
  if (const std::string wanted = LowerCase(tag); wanted != "latest") {
    if (auto* files = pick(wanted)) return std::move(*files);
  } else {
    for (const char* type : kPreferredTypes) {
      if (auto* files = pick(type)) return std::move(*files);
    }
    if (!groups.empty()) return std::move(groups.begin()->second);
  }
  return MakeError(ErrorCode::kNotFound, "no complete set of GGUF files is named \"{}\"", tag);
}

Result<std::vector<RemoteFile>> FindShards(Session& session, const store::ModelName& name) {
  const std::string repository = name.name_space + "/" + name.model;
  http::ClientRequest request;
  request.url = session.HostUrl("/api/models/" + repository + "/tree/main?recursive=true");
  request.max_body_bytes = kMaxListingBytes;
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, session.Get(std::move(request)));
  if (response.status != 200) return StatusError("files of " + repository, response);
  auto files = ChooseShards(ParseJson(response.body), name.tag);
  if (!files) return WithContext(std::move(files).error(), "files of " + repository);
  for (RemoteFile& file : *files)
    file.url = session.HostUrl("/" + repository + "/resolve/main/" + EncodePath(file.url));
  return files;
}

std::vector<std::string> SplitUrls(const std::string& url) {
  const size_t end = std::min(url.find_first_of("?#"), url.size());
  const auto shard = ParseShardName(std::string_view(url).substr(0, end));
  if (!shard) return {url};
  std::vector<std::string> urls;
  for (int i = 1; i <= shard->count; ++i) {
    urls.push_back(
        fmt::format("{}-{:05}-of-{:05}.gguf{}", shard->prefix, i, shard->count, url.substr(end)));
  }
  return urls;
}

}  // namespace puna::registry
