#include "store/model_name.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace puna::store {
namespace {

constexpr size_t kMaxPartBytes = 80, kMaxHostBytes = 350;

enum class Part { kHost, kNamespace, kModel, kTag };

bool IsWordCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool IsValidPart(Part part, std::string_view text) {
  const size_t limit = part == Part::kHost ? kMaxHostBytes : kMaxPartBytes;
  if (text.empty() || text.size() > limit || !IsWordCharacter(text[0])) return false;
  for (const char c : text) {
    if (IsWordCharacter(c) || c == '-') continue;
    if (c == '.' && part != Part::kNamespace) continue;
    if (c == ':' && part == Part::kHost) continue;
    return false;
  }
  return true;
}

}  // namespace

Result<ModelName> ModelName::Parse(std::string_view text) {
  std::string_view rest = text;
  if (const size_t scheme = rest.find("://"); scheme != std::string_view::npos)
    rest.remove_prefix(scheme + 3);
  ModelName name;
  const size_t last_slash = rest.rfind('/');
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos &&
      (last_slash == std::string_view::npos || colon > last_slash)) {
    name.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  if (const size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    name.model = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
    const size_t second = rest.rfind('/');
    name.name_space = second == std::string_view::npos ? rest : rest.substr(second + 1);
    if (second != std::string_view::npos) name.host = rest.substr(0, second);
  } else {
    name.model = rest;
  }
  if (!IsValidPart(Part::kHost, name.host) || !IsValidPart(Part::kNamespace, name.name_space) ||
      !IsValidPart(Part::kModel, name.model) || !IsValidPart(Part::kTag, name.tag)) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "invalid model name \"{}\": names are [host/][namespace/]model[:tag], parts of "
        "at most {} letters, digits, \"_\", \"-\" and \".\"",
        Shortened(text), kMaxPartBytes);
  }
  return name;
}

std::string ModelName::ShortName() const {
  const ModelName defaults;
  std::string out;
  if (!EqualIgnoringCase(host, defaults.host)) {
    out = host + "/" + name_space + "/";
  } else if (!EqualIgnoringCase(name_space, defaults.name_space)) {
    out = name_space + "/";
  }
  return out + model + ":" + tag;
}

std::string ModelName::FullName() const {
  return host + "/" + name_space + "/" + model + ":" + tag;
}

std::filesystem::path ModelName::RelativePath() const {
  return std::filesystem::path(host) / name_space / model / tag;
}

std::string ModelNameOfFile(const std::filesystem::path& file) {
  std::string stem = file.filename().string();
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);
  constexpr std::string_view kPart = "-00001-of-00001";
  if (stem.size() > kPart.size() && stem.compare(stem.size() - 9, 4, "-of-") == 0)
    stem.resize(stem.size() - kPart.size());
  std::string name;
  for (const char c : stem) {
    const bool allowed =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
    const char next = allowed ? c : '-';
    if (next != '-' || !name.ends_with('-')) name += next;
  }
  name.erase(0, std::min(name.find_first_not_of("-."), name.size()));
  name.resize(std::min(name.size(), kMaxPartBytes));
  return name.empty() ? "model" : name;
}

bool SameName(const ModelName& a, const ModelName& b) {
  return EqualIgnoringCase(a.host, b.host) && EqualIgnoringCase(a.name_space, b.name_space) &&
         EqualIgnoringCase(a.model, b.model) && EqualIgnoringCase(a.tag, b.tag);
}

}  // namespace puna::store
