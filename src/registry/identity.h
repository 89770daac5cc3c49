// Who this installation is to a registry: an ed25519 key in the file format of OpenSSH, as Ollama
// keeps it. Internal to registry.
#ifndef PUNA_REGISTRY_IDENTITY_H_
#define PUNA_REGISTRY_IDENTITY_H_

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::registry {

class Identity {
 public:
  // Reads the key, or makes one (mode 0600) with its .pub beside it. A file that is no unencrypted
  // ed25519 key is kCorrupt and stays as it is.
  static Result<Identity> LoadOrCreate(const std::filesystem::path& path);
  // From the text of a key file.
  static Result<Identity> Parse(std::string_view pem);

  // "AAAAC3NzaC1lZDI1NTE5...": the second field of the .pub file.
  std::string PublicKey() const;
  // The signature of `message`, in base64.
  Result<std::string> Sign(std::string_view message) const;

 private:
  static Result<Identity> FromSeed(std::string_view seed);
  std::string ToPem() const;
  std::array<unsigned char, 32> seed_ = {}, public_ = {};
};

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_IDENTITY_H_
