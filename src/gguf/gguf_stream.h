// A GGUF file whose tensors are written by somebody else, in any order and from several threads:
// for models that are larger than the memory. gguf::Writer is simpler where the order is fixed.
#ifndef PUNA_GGUF_GGUF_STREAM_H_
#define PUNA_GGUF_GGUF_STREAM_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::gguf {

// Where everything lies in the file. What lies between tensors is zero.
struct Layout {
  std::string header;                                // from offset 0
  std::vector<uint64_t> offsets_bytes, sizes_bytes;  // of each tensor, in the order of AddTensor
  uint64_t file_bytes = 0;                           // with the padding after the last tensor
};

// Collects what the header says. Not thread safe. Misuse is an error of Plan, as with Writer.
class StreamWriter {
 public:
  void Set(std::string key, uint32_t value);
  void Set(std::string key, float value);
  void Set(std::string key, bool value);
  void Set(std::string key, std::string_view value);
  void Set(std::string key, const char* value) { Set(std::move(key), std::string_view(value)); }
  void Set(std::string key, const std::vector<std::string>& values);
  void Set(std::string key, const std::vector<float>& values);
  void Set(std::string key, const std::vector<int32_t>& values);
  void Set(std::string key, const std::vector<bool>& values);
  void Set(std::string key, const std::vector<uint8_t>& values);
  // Copies a value read from another file; general.alignment is left out.
  void SetFrom(std::string_view key, const Value& value);
  void AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims);
  bool Has(std::string_view key) const;

  Result<Layout> Plan() const;

 private:
  struct Tensor {
    std::string name;
    quant::TensorType type;
    std::vector<int64_t> dims;
  };
  std::vector<std::pair<std::string, std::string>> metadata_;  // key, type and value as written
  std::vector<Tensor> tensors_;
};

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_STREAM_H_
