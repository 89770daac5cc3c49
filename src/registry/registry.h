// Models from and to a registry: Ollama's protocol, which is that of Docker's registry (version 2)
// with a signed token exchange and redirects to where the bytes are.
//
// A registry is a stranger. Its manifest is checked before use, its sizes and redirects are not
// believed, and a blob gets its name in the store only after its hash was found right.
#ifndef PUNA_REGISTRY_REGISTRY_H_
#define PUNA_REGISTRY_REGISTRY_H_

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace puna::registry {

struct RegistryOptions {
  // The ed25519 key that signs token requests, in the form of OpenSSH; made when first needed.
  std::filesystem::path key_file;
  std::string user_agent = "ollama/0 (amd64 linux) puna/0";
  int connections = 8;                         // at once, for one blob
  std::chrono::milliseconds retry_unit{1000};  // the first pause after a failure; it doubles
  std::chrono::seconds stall_timeout{30};      // without a byte, before a part is tried again
  // A connection that gets less than a tenth of what others get for so long is made anew.
  std::chrono::milliseconds speed_window{10000};
};

// ~/.ollama/id_ed25519 if there is one, so that both programs are one user to a registry; else
// ~/.puna/id_ed25519.
std::filesystem::path DefaultKeyFile();

// The line that a registry's page for keys wants: "ssh-ed25519 AAAA...". Makes the key if there is
// none.
Result<std::string> PublicKeyLine(const std::filesystem::path& key_file);

// Whether `text` is the URL of a GGUF file and no model name with a scheme before it.
bool IsFileUrl(std::string_view text);

// Thread safe; calls block until the work is done. Interrupted work (an error, a cancelling
// `progress`, a kill) is resumed by the next call with the same name.
class Registry {
 public:
  // `store` must outlive the registry.
  Registry(store::Store* store, RegistryOptions options);

  // Fetches what the store lacks, then writes the manifest byte for byte and deletes layers that
  // nobody uses any more. Statuses of `progress` are Ollama's. `insecure`: plain http, and no check
  // of certificates. Two pulls of one blob, also of two processes, share one transfer.
  // No such model: kInternal "pull model manifest: file does not exist" (the status that Ollama
  // answers with); no space: kResourceExhausted with both numbers, before anything is fetched.
  // What Hugging Face refuses because it is split into several GGUF files is fetched file by file.
  Status Pull(const store::ModelName& name, bool insecure, const store::ProgressFunction& progress);
  // Fetches the GGUF file at `url` and installs it as `name`; of a split one, all parts. `insecure`
  // permits http, and https without a check of certificates.
  Status PullFile(const std::string& url, const store::ModelName& name, bool insecure,
                  const store::ProgressFunction& progress);
  // Sends the blobs that the registry lacks, then the manifest.
  Status Push(const store::ModelName& name, bool insecure, const store::ProgressFunction& progress);

 private:
  Status Install(class Session& session, const std::vector<struct RemoteFile>& files,
                 const store::ModelName& name, const store::ProgressFunction& progress);
  store::Store* store_;
  RegistryOptions options_;
};

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_REGISTRY_H_
