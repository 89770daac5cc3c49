#include "store/manifest.h"

#include <algorithm>

#include "base/json.h"

namespace puna::store {
namespace {

Result<std::string> StringField(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) {
    return MakeError(ErrorCode::kCorrupt, "manifest: \"{}\" is missing or not a string", key);
  }
  return it->get<std::string>();
}

Result<Layer> ParseLayer(const Json& object) {
  if (!object.is_object())
    return MakeError(ErrorCode::kCorrupt, "manifest: a layer is not an object");
  Layer layer;
  PUNA_ASSIGN_OR_RETURN(layer.media_type, StringField(object, "mediaType"));
  PUNA_ASSIGN_OR_RETURN(const std::string digest, StringField(object, "digest"));
  const auto hex = DigestHex(digest);
  if (!hex) {
    return MakeError(ErrorCode::kCorrupt,
                     "manifest: the digest \"{}\" is not sha256: and 64 hexadecimal digits",
                     digest);
  }
  layer.digest = "sha256:" + *hex;
  if (const auto it = object.find("size"); it != object.end()) {
    const bool valid = it->is_number_unsigned() && it->get<uint64_t>() <= INT64_MAX;
    if (!valid) return MakeError(ErrorCode::kCorrupt, "manifest: a \"size\" is no number of bytes");
    layer.size_bytes = it->get<int64_t>();
  }
  if (const auto it = object.find("from"); it != object.end() && it->is_string()) layer.from = *it;
  return layer;
}

Json LayerJson(const Layer& layer) {
  Json json = {
      {"mediaType", layer.media_type}, {"digest", layer.digest}, {"size", layer.size_bytes}};
  if (!layer.from.empty()) json["from"] = layer.from;
  return json;
}

}  // namespace

Result<std::string> DigestHex(std::string_view digest) {
  const bool prefixed = digest.starts_with("sha256:") || digest.starts_with("sha256-");
  const std::string_view hex = prefixed ? digest.substr(7) : std::string_view();
  const bool valid =
      hex.size() == 64 && std::all_of(hex.begin(), hex.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      });
  if (!valid) return MakeError(ErrorCode::kInvalidArgument, "invalid digest format");
  std::string lower(hex);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return lower;
}

Result<Manifest> ParseManifest(std::string_view text) {
  const Json json = ParseJson(text);
  if (!json.is_object()) return MakeError(ErrorCode::kCorrupt, "manifest: not a JSON object");
  Manifest manifest;
  const auto config = json.find("config");
  if (config == json.end())
    return MakeError(ErrorCode::kCorrupt, "manifest: \"config\" is missing");
  PUNA_ASSIGN_OR_RETURN(manifest.config, ParseLayer(*config));
  if (const auto layers = json.find("layers"); layers != json.end() && layers->is_array()) {
    for (const Json& object : *layers) {
      PUNA_ASSIGN_OR_RETURN(Layer layer, ParseLayer(object));
      manifest.layers.push_back(std::move(layer));
    }
  }
  return manifest;
}

std::string FormatManifest(const Manifest& manifest) {
  Json json = {
      {"schemaVersion", 2}, {"mediaType", kManifestType}, {"config", LayerJson(manifest.config)}};
  json["layers"] = Json::array();
  for (const Layer& layer : manifest.layers) json["layers"].push_back(LayerJson(layer));
  return json.dump();
}

}  // namespace puna::store
