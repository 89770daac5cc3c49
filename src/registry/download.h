// One blob from a registry into the store. Internal to registry.
#ifndef PUNA_REGISTRY_DOWNLOAD_H_
#define PUNA_REGISTRY_DOWNLOAD_H_

#include "base/result.h"
#include "registry/session.h"
#include "store/store.h"

namespace puna::registry {

// Fetches `layer` unless the store has it with its size. `progress` is called about 16 times a
// second from the calling thread; false cancels and keeps what has arrived. Whoever else fetches
// the same blob into the same store is waited for.
Status DownloadBlob(Session& session, const store::Store& store, const store::Layer& layer,
                    const RegistryOptions& options, const store::ProgressFunction& progress);

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_DOWNLOAD_H_
