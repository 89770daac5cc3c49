// The JSON of manifests: a subset of Docker's image manifest, version 2. For the store
// and the registry.
#ifndef PUNA_STORE_MANIFEST_H_
#define PUNA_STORE_MANIFEST_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace puna::store {

inline constexpr std::string_view kManifestType =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kConfigType = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kModelType = "application/vnd.ollama.image.model";
inline constexpr std::string_view kProjectorType = "application/vnd.ollama.image.projector";
inline constexpr std::string_view kAdapterType = "application/vnd.ollama.image.adapter";
inline constexpr std::string_view kDraftType = "application/vnd.ollama.image.draft";
inline constexpr std::string_view kTemplateType = "application/vnd.ollama.image.template";
inline constexpr std::string_view kPromptType =
    "application/vnd.ollama.image.prompt";  // the old name of template
inline constexpr std::string_view kSystemType = "application/vnd.ollama.image.system";
inline constexpr std::string_view kParamsType = "application/vnd.ollama.image.params";
inline constexpr std::string_view kMessagesType = "application/vnd.ollama.image.messages";
inline constexpr std::string_view kLicenseType = "application/vnd.ollama.image.license";

inline constexpr uint64_t kMaxManifestBytes = 4 << 20;
// Of a layer that is read as a whole: a template, a licence, ...
inline constexpr uint64_t kMaxSmallLayerBytes = 16 << 20;

struct Manifest {
  Layer config;
  std::vector<Layer> layers;
};

// Checks the shape and every digest. kCorrupt names the field.
Result<Manifest> ParseManifest(std::string_view json);
std::string FormatManifest(const Manifest& manifest);

// 64 lower-case hexadecimal digits of "sha256:<hex>" or "sha256-<hex>"; anything else is
// kInvalidArgument.
Result<std::string> DigestHex(std::string_view digest);

}  // namespace puna::store

#endif  // PUNA_STORE_MANIFEST_H_
