#include "gguf/gguf_guard.h"

#include "base/mapping_guard.h"

namespace puna::gguf {
namespace {

// Calls `function` with each file that tensors are in, until it returns false.
template <typename Function>
void EachFile(const File& file, Function function) {
  const MappedFile* last = nullptr;
  for (const Tensor& tensor : file.tensors()) {
    if (tensor.file == last || tensor.file == nullptr) continue;
    last = tensor.file;
    if (!function(*last)) return;
  }
}

}  // namespace

void Guard(const File& file) {
  EachFile(file, [](const MappedFile& one) {
    GuardMapping(one.bytes());
    return true;
  });
}

Status CheckReadable(const File& file) {
  Status status;
  EachFile(file, [&](const MappedFile& one) {
    if (!IsUnreadable(one.bytes().data())) return true;
    status =
        MakeError(ErrorCode::kCorrupt,
                  "the model's file can no longer be read: {} was cut short, or its disk fails",
                  one.path().string());
    return false;
  });
  return status;
}

}  // namespace puna::gguf
