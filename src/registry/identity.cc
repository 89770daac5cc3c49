// The format is OpenSSH's PROTOCOL.key: base64 of a magic word, cipher and key derivation ("none"
// here), the public key, and a section with the private one, padded with 1, 2, 3, ...
#include "registry/identity.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>
#include <optional>

#include "base/base64.h"
#include "base/file.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic("openssh-key-v1\0", 15);
constexpr std::string_view kKeyType = "ssh-ed25519";
constexpr size_t kSeedBytes = 32;

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using KeyPointer = std::unique_ptr<EVP_PKEY, KeyDeleter>;

void PutU32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

void PutString(std::string_view text, std::string* out) {
  PutU32(static_cast<uint32_t>(text.size()), out);
  out->append(text);
}

// Takes fields off the front of `bytes_`; nothing where they do not fit.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : bytes_(bytes) {}
  std::optional<std::string_view> Take(size_t count) {
    if (bytes_.size() < count) return std::nullopt;
    const std::string_view out = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return out;
  }
  std::optional<uint32_t> U32() {
    const auto bytes = Take(4);
    if (!bytes) return std::nullopt;
    uint32_t value = 0;
    for (const char c : *bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::optional<std::string_view> String() {
    const auto size = U32();
    if (!size) return std::nullopt;
    return Take(*size);
  }

 private:
  std::string_view bytes_;
};

std::string_view View(const std::array<unsigned char, kSeedBytes>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string PublicBlob(const std::array<unsigned char, kSeedBytes>& key) {
  std::string blob;
  PutString(kKeyType, &blob);
  PutString(View(key), &blob);
  return blob;
}

KeyPointer PrivateKey(const std::array<unsigned char, kSeedBytes>& seed) {
  return KeyPointer(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
}

// A file that only its owner can read. kAlreadyExists: somebody was faster.
Status WritePrivate(const fs::path& path, std::string_view text) {
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, AtomicFile::kPrivate));
  PUNA_RETURN_IF_ERROR(file.Write(text));
  return file.CommitNew();
}

}  // namespace

Result<Identity> Identity::FromSeed(std::string_view seed) {
  Identity identity;
  std::copy_n(seed.begin(), kSeedBytes, identity.seed_.begin());
  const KeyPointer key = PrivateKey(identity.seed_);
  size_t size = identity.public_.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), identity.public_.data(), &size) != 1) {
    return MakeError(ErrorCode::kInternal, "the ed25519 key could not be used");
  }
  return identity;
}

Result<Identity> Identity::Parse(std::string_view pem) {
  const auto corrupt = [] {
    return MakeError(ErrorCode::kCorrupt, "not an unencrypted ed25519 key of OpenSSH");
  };
  const size_t begin = pem.find(kBegin);
  const size_t end = pem.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin)
    return corrupt();
  std::string_view text = pem.substr(begin + kBegin.size(), end - begin - kBegin.size());
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  const auto bytes = DecodeBase64(text);
  if (!bytes) return corrupt();
  FieldReader outer(*bytes);
  if (outer.Take(kMagic.size()) != kMagic || outer.String() != "none" || outer.String() != "none" ||
      !outer.String() || outer.U32() != 1u || !outer.String()) {
    return corrupt();
  }
  const auto section = outer.String();
  if (!section) return corrupt();
  FieldReader inner(*section);
  const auto first = inner.U32();
  if (!first || inner.U32() != first || inner.String() != kKeyType || !inner.String())
    return corrupt();
  const auto secret = inner.String();  // the seed and the public key
  if (!secret || secret->size() != 2 * kSeedBytes) return corrupt();
  return FromSeed(secret->substr(0, kSeedBytes));
}

std::string Identity::ToPem() const {
  std::string section;
  uint32_t check = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&check), sizeof(check));
  PutU32(check, &section);
  PutU32(check, &section);
  PutString(kKeyType, &section);
  PutString(View(public_), &section);
  PutString(std::string(View(seed_)) + std::string(View(public_)), &section);
  PutString("", &section);
  for (char pad = 1; section.size() % 8 != 0; ++pad) section.push_back(pad);

  std::string bytes(kMagic);
  PutString("none", &bytes);
  PutString("none", &bytes);
  PutString("", &bytes);
  PutU32(1, &bytes);
  PutString(PublicBlob(public_), &bytes);
  PutString(section, &bytes);
  const std::string text = EncodeBase64(bytes);
  std::string pem = std::string(kBegin) + "\n";
  for (size_t at = 0; at < text.size(); at += 70) pem += text.substr(at, 70) + "\n";
  return pem + std::string(kEnd) + "\n";
}

Result<Identity> Identity::LoadOrCreate(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    std::string seed(kSeedBytes, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(seed.data()), kSeedBytes) != 1)
      return MakeError(ErrorCode::kInternal, "no random numbers");
    PUNA_ASSIGN_OR_RETURN(const Identity made, FromSeed(seed));
    const Status written = WritePrivate(path, made.ToPem());
    if (written) {
      PUNA_RETURN_IF_ERROR(WriteFileAtomically(
          path.string() + ".pub", std::string(kKeyType) + " " + made.PublicKey() + "\n"));
      return made;
    }
    // Another process may have been faster; then its key is the one.
    if (written.error().code != ErrorCode::kAlreadyExists) return tl::unexpected(written.error());
  }
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 64 << 10));
  auto identity = Parse(text);
  if (!identity) return WithContext(identity.error(), path.string());
  return identity;
}

Result<std::string> PublicKeyLine(const fs::path& key_file) {
  PUNA_ASSIGN_OR_RETURN(const Identity identity, Identity::LoadOrCreate(key_file));
  return std::string(kKeyType) + " " + identity.PublicKey();
}

std::string Identity::PublicKey() const { return EncodeBase64(PublicBlob(public_)); }

Result<std::string> Identity::Sign(std::string_view message) const {
  const KeyPointer key = PrivateKey(seed_);
  const std::unique_ptr<EVP_MD_CTX, KeyDeleter> context(EVP_MD_CTX_new());
  unsigned char signature[64];
  size_t size = sizeof(signature);
  if (!key || !context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature, &size,
                     reinterpret_cast<const unsigned char*>(message.data()), message.size()) != 1) {
    return MakeError(ErrorCode::kInternal, "the message could not be signed");
  }
  return EncodeBase64({reinterpret_cast<const char*>(signature), size});
}

}  // namespace puna::registry
