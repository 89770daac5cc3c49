// Blobs from a network into the store. Internal to registry.
#ifndef PUNA_REGISTRY_DOWNLOAD_H_
#define PUNA_REGISTRY_DOWNLOAD_H_

#include <string>
#include <vector>

#include "base/result.h"
#include "registry/session.h"
#include "store/store.h"

namespace puna::registry {

// What a download works with, for all blobs of a model.
struct DownloadContext {
  Session& session;
  const store::Store& store;
  const RegistryOptions& options;
  store::BlobPins& pins;  // of what is fetched, so that nobody deletes it before it is named
  const store::ProgressFunction& progress;
};

// kResourceExhausted, with both numbers, if the disk cannot take what is missing of `layers`.
Status CheckDiskSpace(const store::Store& store, const std::vector<store::Layer>& layers);

// Fetches `layer` from `url` unless the store has it with its size. Progress is reported about 16
// times a second from the calling thread; false cancels and keeps what has arrived. Whoever else
// fetches the same blob into the same store is waited for. Bytes that have the wrong hash are
// fetched again, piece by piece, until they have the right one or come the same twice (kCorrupt).
Status DownloadBlob(const DownloadContext& context, const store::Layer& layer,
                    const std::string& url);

// The same for a file whose hash is told by nobody: the layer says what came. A server that does
// not say how long the file is, is kUnsupported.
Result<store::Layer> DownloadFile(const DownloadContext& context, const std::string& url);

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_DOWNLOAD_H_
