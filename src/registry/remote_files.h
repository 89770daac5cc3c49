// GGUF files that lie on a server without a manifest. Internal to registry.
#ifndef PUNA_REGISTRY_REMOTE_FILES_H_
#define PUNA_REGISTRY_REMOTE_FILES_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "registry/session.h"
#include "store/store.h"

namespace puna::registry {

struct RemoteFile {
  std::string name;  // without folders
  std::string url;
  store::Layer layer;  // digest and size, where they are known beforehand
};

// Hugging Face answers so to the request for a manifest of a model that is split into several
// files.
bool SaysSharded(const http::ClientResponse& response);

// The parts of a split model in a repository of Hugging Face: those whose path contains the tag as
// a word; of "latest", those of the type that is preferred.
Result<std::vector<RemoteFile>> FindShards(Session& session, const store::ModelName& name);

// The choice among the files of a repository, given as the JSON that lists them.
Result<std::vector<RemoteFile>> ChooseShards(const Json& listing, std::string_view tag);

// The URLs of all parts of "<path>-00001-of-00003.gguf", or the URL alone.
std::vector<std::string> SplitUrls(const std::string& url);

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_REMOTE_FILES_H_
