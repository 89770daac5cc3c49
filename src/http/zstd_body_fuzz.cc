// Any bytes: never a crash, and never more than the limit.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "http/zstd_body.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kLimit = 1 << 20;
  const auto text = puna::http::DecompressZstd(
      std::string_view(reinterpret_cast<const char*>(data), size), kLimit);
  if (text && text->size() > kLimit) std::abort();
  return 0;
}
