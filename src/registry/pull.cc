#include <unistd.h>

#include "base/file.h"
#include "registry/download.h"
#include "registry/registry.h"
#include "registry/session.h"
#include "store/manifest.h"

namespace puna::registry {
namespace {

constexpr uint64_t kMaxManifestBytes = 4 << 20;
constexpr int kNotFoundStatus = 404;

// The manifest as the registry sent it.
Result<std::string> FetchManifest(Session& session, const store::ModelName& name) {
  http::ClientRequest request;
  request.url = session.Url("manifests/" + name.tag);
  request.headers = {{"Accept", std::string(store::kManifestType)}};
  request.max_body_bytes = kMaxManifestBytes;
  auto response = session.Send(std::move(request));
  if (!response) return WithContext(response.error(), "pull model manifest");
  if (response->status == kNotFoundStatus)
    return MakeError(ErrorCode::kInternal, "pull model manifest: file does not exist");
  if (response->status != 200) return StatusError("pull model manifest", *response);
  return std::move(response->body);
}

// puna runs GGUF files; tensors that come one by one are for other engines.
Status CheckFormat(const store::Manifest& manifest, const store::ModelName& name) {
  for (const store::Layer& layer : manifest.layers) {
    if (layer.media_type == "application/vnd.ollama.image.tensor") {
      return MakeError(ErrorCode::kUnsupported,
                       "{} consists of single tensors for MLX; puna runs GGUF models",
                       name.FullName());
    }
  }
  return {};
}

}  // namespace

std::filesystem::path DefaultKeyFile() {
  const std::filesystem::path home = HomeDirectory();
  const std::filesystem::path shared = home / ".ollama" / "id_ed25519";
  std::error_code error;
  return std::filesystem::exists(shared, error) ? shared : home / ".puna" / "id_ed25519";
}

Registry::Registry(store::Store* store, RegistryOptions options)
    : store_(store), options_(std::move(options)) {}

Status Registry::Pull(const store::ModelName& name, bool insecure,
                      const store::ProgressFunction& progress) {
  const auto report = [&](const char* status) -> Status {
    if (progress && !progress({status, "", 0, 0}))
      return MakeError(ErrorCode::kCancelled, "cancelled");
    return {};
  };
  PUNA_RETURN_IF_ERROR(report("pulling manifest"));
  Session session(name, insecure, options_);
  PUNA_ASSIGN_OR_RETURN(const std::string text, FetchManifest(session, name));
  auto manifest = store::ParseManifest(text);
  if (!manifest) return WithContext(manifest.error(), "manifest of " + name.FullName());
  PUNA_RETURN_IF_ERROR(CheckFormat(*manifest, name));
  for (const store::Layer& layer : manifest->layers)
    PUNA_RETURN_IF_ERROR(DownloadBlob(session, *store_, layer, options_, progress));
  PUNA_RETURN_IF_ERROR(DownloadBlob(session, *store_, manifest->config, options_, progress));
  PUNA_RETURN_IF_ERROR(report("verifying sha256 digest"));
  PUNA_RETURN_IF_ERROR(report("writing manifest"));
  PUNA_RETURN_IF_ERROR(store_->AddManifest(name, text));
  return report("success");
}

}  // namespace puna::registry
