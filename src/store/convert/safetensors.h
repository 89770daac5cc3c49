// The safetensors format: a JSON header that names tensors, then their bytes.
// https://huggingface.co/docs/safetensors
//
// A file is hostile until checked: what Parse returns lies inside the file, does not overlap, and
// has the sizes that its types and shapes say. Data is read in pieces with pread, never mapped, so
// that memory stays small whatever the file's size. Thread safe after Open.
#ifndef PUNA_STORE_CONVERT_SAFETENSORS_H_
#define PUNA_STORE_CONVERT_SAFETENSORS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace puna::store {

enum class ElementType { kF64, kF32, kF16, kBF16, kF8E4M3, kF8E5M2, kU8, kOther };

struct StoredTensor {
  std::string name;
  ElementType type = ElementType::kOther;
  int element_bytes = 0;
  std::vector<int64_t> shape;  // outermost first, as the file has it; empty for a single value
  uint64_t offset_bytes = 0;   // in the file
  uint64_t size_bytes = 0;

  int64_t elements() const;
};

// The tensors that `header` (the JSON text) declares for `data_bytes` bytes of data which begin at
// `data_offset_bytes` of the file, by name.
Result<std::map<std::string, StoredTensor, std::less<>>> ParseSafetensorsHeader(
    std::string_view header, uint64_t data_offset_bytes, uint64_t data_bytes);

class SafetensorsFile {
 public:
  static Result<std::shared_ptr<const SafetensorsFile>> Open(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::map<std::string, StoredTensor, std::less<>>& tensors() const { return tensors_; }
  // Fills `out` from offset `begin_bytes` of the tensor on. REQUIRES: the range is inside it.
  Status Read(const StoredTensor& tensor, uint64_t begin_bytes, std::span<uint8_t> out) const;

 private:
  SafetensorsFile() = default;
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

// `n` values of a float type as float32. REQUIRES: not kU8, not kOther.
void DecodeElements(ElementType type, const uint8_t* bytes, int64_t n, float* out);
std::string_view ElementTypeName(ElementType type);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_SAFETENSORS_H_
