#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "http/url.h"
#include "registry/download.h"
#include "registry/registry.h"
#include "registry/remote_files.h"
#include "registry/session.h"
#include "store/manifest.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxManifestBytes = 4 << 20;
constexpr std::string_view kModelLayers = "application/vnd.ollama.image.";
constexpr size_t kMaxLayers = 1000;  // each is a file and a request
constexpr int kNotFoundStatus = 404;

// The answer to the request for the manifest, if it is one that can be worked with.
Result<http::ClientResponse> FetchManifest(Session& session, const store::ModelName& name) {
  http::ClientRequest request;
  request.url = session.Url("manifests/" + name.tag);
  request.headers = {{"Accept", std::string(store::kManifestType)}};
  request.max_body_bytes = kMaxManifestBytes;
  auto response = session.Get(std::move(request));
  if (!response) return WithContext(response.error(), "pull model manifest");
  if (response->status == kNotFoundStatus)
    return MakeError(ErrorCode::kInternal, "pull model manifest: file does not exist");
  if (response->status != 200 && !SaysSharded(*response))
    return StatusError("pull model manifest", *response);
  return response;
}

// puna runs GGUF files; tensors that come one by one are for other engines, and what has layers of
// somebody else's kinds alone is no model but, for one, the image of a container.
Status CheckFormat(const store::Manifest& manifest, const store::ModelName& name) {
  for (const store::Layer& layer : manifest.layers) {
    if (layer.media_type == "application/vnd.ollama.image.tensor") {
      return MakeError(ErrorCode::kUnsupported,
                       "{} consists of single tensors for MLX; puna runs GGUF models",
                       name.FullName());
    }
  }
  const auto& layers = manifest.layers;
  if (layers.size() > kMaxLayers) {
    return MakeError(ErrorCode::kUnsupported, "{} has {} layers, the limit is {}", name.FullName(),
                     layers.size(), kMaxLayers);
  }
  const bool known = std::any_of(layers.begin(), layers.end(), [](const store::Layer& layer) {
    return layer.media_type.starts_with(kModelLayers);
  });
  if (layers.empty() || known) return {};
  return MakeError(ErrorCode::kUnsupported, "{} is no model: it has layers of type \"{}\"",
                   name.FullName(), layers[0].media_type);
}

// A model has weights, or says where else it runs.
Status CheckWhole(const store::Store& store, const store::Manifest& manifest,
                  const store::ModelName& name) {
  const bool weights =
      std::any_of(manifest.layers.begin(), manifest.layers.end(),
                  [](const store::Layer& layer) { return layer.media_type == store::kModelType; });
  if (weights) return {};
  PUNA_ASSIGN_OR_RETURN(const fs::path path, store.BlobPath(manifest.config.digest));
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, store::kMaxSmallLayerBytes));
  const Json config = ParseJson(text);
  if (config.is_object() && !JsonString(config, "remote_host").empty()) return {};
  return MakeError(ErrorCode::kUnsupported, "{} is no model: it has no weights", name.FullName());
}

}  // namespace

std::filesystem::path DefaultKeyFile() {
  const std::filesystem::path home = HomeDirectory();
  const std::filesystem::path shared = home / ".ollama" / "id_ed25519";
  std::error_code error;
  return std::filesystem::exists(shared, error) ? shared : home / ".puna" / "id_ed25519";
}

bool IsFileUrl(std::string_view text) {
  return (text.starts_with("https://") || text.starts_with("http://")) &&
         text.substr(0, text.find_first_of("?#")).ends_with(".gguf");
}

Registry::Registry(store::Store* store, RegistryOptions options)
    : store_(store), options_(std::move(options)) {}

Status Registry::Pull(const store::ModelName& typed, bool insecure,
                      const store::ProgressFunction& told) {
  const store::ModelName name = store_->Spelling(typed);
  Listener listener(told);
  const store::ProgressFunction& progress = listener.progress();
  PUNA_RETURN_IF_ERROR(Say(progress, "pulling manifest"));
  Session session(name, insecure, options_, [&] { return listener.Cancelled(); });
  session.FindScheme();
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, FetchManifest(session, name));
  if (response.status != 200) {
    PUNA_ASSIGN_OR_RETURN(const auto files, FindShards(session, name));
    return Install(session, files, name, progress);
  }
  const std::string& text = response.body;
  auto manifest = store::ParseManifest(text);
  if (!manifest) return WithContext(manifest.error(), "manifest of " + name.FullName());
  PUNA_RETURN_IF_ERROR(CheckFormat(*manifest, name));
  std::vector<store::Layer> layers = manifest->layers;
  layers.push_back(manifest->config);
  PUNA_RETURN_IF_ERROR(CheckDiskSpace(*store_, layers));
  PUNA_ASSIGN_OR_RETURN(store::BlobPins pins, store::BlobPins::Create(store_->root()));
  const DownloadContext context{session, *store_, options_, pins, progress};
  for (const store::Layer& layer : layers)
    PUNA_RETURN_IF_ERROR(DownloadBlob(context, layer, session.Url("blobs/" + layer.digest)));
  PUNA_RETURN_IF_ERROR(CheckWhole(*store_, *manifest, name));
  PUNA_RETURN_IF_ERROR(Say(progress, "verifying sha256 digest"));
  PUNA_RETURN_IF_ERROR(Say(progress, "writing manifest"));
  PUNA_RETURN_IF_ERROR(store_->AddManifest(name, text));
  return Say(progress, "success");
}

Status Registry::PullFile(const std::string& url, const store::ModelName& name, bool insecure,
                          const store::ProgressFunction& told) {
  Listener listener(told);
  const store::ProgressFunction& progress = listener.progress();
  PUNA_RETURN_IF_ERROR(Say(progress, "pulling file"));
  PUNA_ASSIGN_OR_RETURN(const http::UrlParts parts, http::SplitUrl(url));
  if (parts.scheme != "https" && !insecure) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "{} is not https; it can be pulled as insecure (--insecure)", url);
  }
  store::ModelName host = name;
  host.host = parts.host;
  Session session(host, insecure, options_, [&] { return listener.Cancelled(); });
  std::vector<RemoteFile> files;
  for (const std::string& each : SplitUrls(url)) {
    RemoteFile file;
    file.url = each;
    file.name = fs::path(each.substr(0, each.find('?'))).filename();
    files.push_back(std::move(file));
  }
  return Install(session, files, name, progress);
}

// Fetches the files of a model and makes it of them.
Status Registry::Install(Session& session, const std::vector<RemoteFile>& files,
                         const store::ModelName& name, const store::ProgressFunction& progress) {
  std::vector<store::Layer> fetched;
  const auto install = [&]() -> Status {
    PUNA_ASSIGN_OR_RETURN(store::BlobPins pins, store::BlobPins::Create(store_->root()));
    const DownloadContext context{session, *store_, options_, pins, progress};
    std::vector<store::Layer> known;
    for (const RemoteFile& file : files) {
      if (!file.layer.digest.empty()) known.push_back(file.layer);
    }
    PUNA_RETURN_IF_ERROR(CheckDiskSpace(*store_, known));
    store::CreateRequest request;
    request.name = name;
    for (const RemoteFile& file : files) {
      store::Layer layer = file.layer;
      if (layer.digest.empty()) {
        PUNA_ASSIGN_OR_RETURN(layer, DownloadFile(context, file.url));
      } else {
        PUNA_RETURN_IF_ERROR(DownloadBlob(context, layer, file.url));
      }
      request.files.emplace_back(file.name, layer.digest);
      fetched.push_back(std::move(layer));
    }
    return store_->Create(request, progress);
  };
  const Status done = install();
  // What is no model after all is not to lie about. (Now that it is pinned no more.)
  if (!done) (void)store_->RemoveUnused(fetched);
  return done;
}

}  // namespace puna::registry
