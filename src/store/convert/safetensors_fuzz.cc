// Bytes as a safetensors header, for data of as many bytes as the first two of them say.
#include "store/convert/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint64_t data_bytes = data[0] | uint64_t{data[1]} << 8;
  const std::string_view header(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto tensors = puna::store::ParseSafetensorsHeader(header, 100, data_bytes);
  if (!tensors) return 0;
  for (const auto& [name, tensor] : *tensors) {
    // What the parser promises.
    const uint64_t end = tensor.offset_bytes + tensor.size_bytes;
    if (tensor.offset_bytes < 100 || end > 100 + data_bytes) __builtin_trap();
  }
  return 0;
}
