#include "gguf/gguf_guard.h"

#include "base/mapping_guard.h"
#include "gguf/gguf_reader.h"

namespace puna::gguf {

void Guard(const File& file) {
  for (const auto& mapping : Reader::MappingsOf(file)) GuardMapping(mapping->bytes());
}

Status CheckReadable(const File& file) {
  for (const auto& mapping : Reader::MappingsOf(file)) {
    if (!IsUnreadable(mapping->bytes().data())) continue;
    return MakeError(ErrorCode::kCorrupt,
                     "the model's file can no longer be read: {} was cut short, or its disk fails",
                     mapping->path().string());
  }
  return {};
}

}  // namespace puna::gguf
