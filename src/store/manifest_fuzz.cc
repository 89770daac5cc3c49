// Any bytes: an error, or a manifest that is the same after it was written and read again.
#include <cstdint>

#include "base/check.h"
#include "store/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using puna::store::ParseManifest;
  const auto manifest = ParseManifest({reinterpret_cast<const char*>(data), size});
  if (!manifest) return 0;
  const std::string text = puna::store::FormatManifest(*manifest);
  const auto again = ParseManifest(text);
  CHECK(again.has_value());
  CHECK(puna::store::FormatManifest(*again) == text);
  for (const puna::store::Layer& layer : manifest->layers) {
    CHECK(layer.size_bytes >= 0);
    CHECK(layer.digest.size() == 71 && layer.digest.find('/') == std::string::npos);
  }
  return 0;
}
