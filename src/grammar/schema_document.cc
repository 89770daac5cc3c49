#include "grammar/schema_document.h"

#include <utility>

#include "base/hex.h"

namespace puna::grammar {
namespace {

struct Uri {
  std::string scheme, authority, path;  // with "scheme:" and "//authority"
};

Uri Split(std::string_view text) {
  Uri uri;
  text = text.substr(0, text.find('#'));
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos && colon < text.find('/')) {
    uri.scheme = text.substr(0, colon + 1);
    text.remove_prefix(colon + 1);
  }
  if (text.starts_with("//")) {
    const size_t end = std::min(text.find('/', 2), text.size());
    uri.authority = text.substr(0, end);
    text.remove_prefix(end);
  }
  uri.path = text;
  return uri;
}

// RFC 3986, section 5.2.4.
std::string WithoutDots(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    if (segment == "/." || segment == "/..") {
      if (segment == "/..") out.erase(std::min(out.rfind('/'), out.size()));
      if (path.empty()) out += '/';
    } else {
      out += segment;
    }
  }
  return out;
}

// `reference` as seen from `base`, without its fragment.
std::string ResolveUri(const std::string& base_text, std::string_view reference) {
  const Uri base = Split(base_text);
  Uri uri = Split(reference);
  if (!uri.scheme.empty()) return uri.scheme + uri.authority + uri.path;
  if (uri.authority.empty()) {
    uri.authority = base.authority;
    if (uri.path.empty()) {
      uri.path = base.path;
    } else if (uri.path[0] != '/') {
      const size_t slash = base.path.rfind('/');
      uri.path = WithoutDots((slash == std::string::npos ? "/" : base.path.substr(0, slash + 1)) +
                             uri.path);
    }
  }
  return base.scheme + uri.authority + uri.path;
}

// What a JSON pointer leads to, or null.
const Json* Follow(const Json* node, std::string_view pointer) {
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    const size_t end = std::min(pointer.find('/'), pointer.size());
    std::string token;
    for (size_t i = 0; i < end; ++i) {
      const bool escape = pointer[i] == '~' && i + 1 < end;
      token += escape ? (pointer[i + 1] == '0' ? '~' : '/') : pointer[i];
      if (escape) ++i;
    }
    pointer.remove_prefix(end);
    if (node->is_object()) {
      const auto it = node->find(token);
      if (it == node->end()) return nullptr;
      node = &*it;
    } else if (node->is_array() && !token.empty() && token.size() < 8 &&
               token.find_first_not_of("0123456789") == std::string::npos) {
      const size_t index = std::stoul(token);
      if (index >= node->size()) return nullptr;
      node = &(*node)[index];
    } else {
      return nullptr;
    }
  }
  return node;
}

}  // namespace

Result<SchemaDocument> SchemaDocument::Read(const Json& root, Effort* effort) {
  SchemaDocument document;
  document.root_ = &root;
  document.by_uri_[""] = &root;
  PUNA_RETURN_IF_ERROR(document.Visit(root, "#", "", 0, Role::kSchema, effort));
  return document;
}

// `is_data`: a constant, in which "$id" is no id.
SchemaDocument::Role SchemaDocument::RoleOf(const std::string& keyword) {
  for (const char* data : {"enum", "const", "default", "examples"}) {
    if (keyword == data) return Role::kData;
  }
  for (const char* schemas : {"properties", "patternProperties", "$defs", "definitions",
                              "dependentSchemas", "dependencies"}) {
    if (keyword == schemas) return Role::kSchemas;
  }
  return Role::kSchema;
}

Status SchemaDocument::Visit(const Json& node, const std::string& place, const std::string& outer,
                             int depth, Role role, Effort* effort) {
  if (depth > kMaxDepth)
    return MakeError(ErrorCode::kInvalidArgument, "the schema is nested deeper than {} levels",
                     kMaxDepth);
  if (++nodes_ > kMaxNodes)
    return MakeError(ErrorCode::kInvalidArgument, "the schema has more than {} parts", kMaxNodes);
  constexpr int64_t kStepsOfPart = 10;
  PUNA_RETURN_IF_ERROR(effort->Spend(kStepsOfPart));
  name_bytes_ += place.size() + outer.size();
  if (name_bytes_ > kMaxNameBytes)
    return MakeError(ErrorCode::kInvalidArgument,
                     "the names and ids of the schema's parts have more than {} bytes together",
                     kMaxNameBytes);
  places_[&node] = place;
  if (node.is_array()) {
    for (size_t i = 0; i < node.size(); ++i)
      PUNA_RETURN_IF_ERROR(
          Visit(node[i], place + "/" + std::to_string(i), outer, depth + 1, role, effort));
  }
  if (!node.is_object()) return {};
  std::string base = outer;
  if (role == Role::kSchema) {
    if (const std::string id = JsonString(node, "$id"); !id.empty() && id[0] != '#') {
      base = ResolveUri(outer, id);
      by_uri_.try_emplace(base, &node);
    }
    for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
      if (const std::string anchor = JsonString(node, keyword); !anchor.empty())
        by_uri_.try_emplace(base + "#" + anchor, &node);
    }
    if (const std::string anchor = JsonString(node, "$dynamicAnchor"); !anchor.empty())
      dynamic_.emplace(anchor, &node);
    if (&node == root_) root_base_ = base;
    bases_[&node] = base;
  }
  for (const auto& [name, value] : node.items()) {
    const Role inner = role == Role::kSchema    ? RoleOf(name)
                       : role == Role::kSchemas ? Role::kSchema
                                                : Role::kData;
    PUNA_RETURN_IF_ERROR(Visit(value, place + "/" + name, base, depth + 1, inner, effort));
  }
  return {};
}

Result<const Json*> SchemaDocument::Resolve(const Json& from, const std::string& keyword) const {
  const std::string reference = JsonString(from, keyword);
  const auto base = bases_.find(&from);
  const std::string uri = ResolveUri(base == bases_.end() ? "" : base->second, reference);
  const size_t hash = reference.find('#');
  const std::string fragment =
      hash == std::string::npos ? "" : PercentDecoded(reference.substr(hash + 1));
  const auto resource = by_uri_.find(uri);
  if (resource == by_uri_.end()) {
    return MakeError(ErrorCode::kUnsupported,
                     "{}: \"{}\" to another document (\"{}\") is not supported", PlaceOf(from),
                     keyword, reference);
  }
  const Json* target = nullptr;
  if (fragment.empty() || fragment[0] == '/') {
    target = Follow(resource->second, fragment);
  } else if (const auto anchor = by_uri_.find(uri + "#" + fragment); anchor != by_uri_.end()) {
    target = anchor->second;
  }
  if (target == nullptr) {
    return MakeError(ErrorCode::kInvalidArgument, "{}: \"{}\" leads to nothing: \"{}\"",
                     PlaceOf(from), keyword, reference);
  }
  if (keyword != "$dynamicRef" || JsonString(*target, "$dynamicAnchor") != fragment) return target;
  // The outermost resource on the way that has such an anchor is meant, and the root is on every
  // way.
  if (dynamic_.count(fragment) == 1) return target;
  if (const auto outermost = by_uri_.find(root_base_ + "#" + fragment);
      outermost != by_uri_.end() && JsonString(*outermost->second, "$dynamicAnchor") == fragment)
    return outermost->second;
  return MakeError(ErrorCode::kUnsupported,
                   "{}: \"$dynamicRef\" that could mean several places (\"{}\") is not supported",
                   PlaceOf(from), reference);
}

std::string SchemaDocument::PlaceOf(const Json& node) const {
  const auto it = places_.find(&node);
  return it == places_.end() ? "schema" : it->second;
}

}  // namespace puna::grammar
