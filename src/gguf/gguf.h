// The GGUF file format (versions 2 and 3): metadata keys, tensor table, tensor data.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
// A file is hostile until read: Open() checks every count, length, type, dimension, offset and
// alignment against the size of the file before it uses it, so that what it returns can be used
// without further checks. Errors name the field.
#ifndef PUNA_GGUF_GGUF_H_
#define PUNA_GGUF_GGUF_H_

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "quant/quant.h"

namespace puna::gguf {

// An array of a metadata value, kept where it lies in the file: strings as views, numbers decoded
// on access.
class Array;

// Strings and arrays point into the mapped file and live as long as the File.
using Value =
    std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                 std::string_view, uint64_t, int64_t, double, std::shared_ptr<const Array>>;

class Array {
 public:
  enum class Kind { kUnsigned, kSigned, kFloat, kBool, kString };
  Kind kind() const { return kind_; }
  uint32_t gguf_type() const { return gguf_type_; }
  int64_t size() const { return size_; }
  // The element as the asked kind. Integers convert between kinds if the value fits; numbers
  // convert to double. REQUIRES: 0 <= i < size(); string_at only for kString, the others only for
  // the number kinds.
  std::string_view string_at(int64_t i) const;
  int64_t integer_at(int64_t i) const;  // floats are truncated; uint64 beyond int64 saturates
  double number_at(int64_t i) const;
  // The packed little-endian elements, for copying; empty for kString.
  std::span<const uint8_t> bytes() const {
    return {data_, kind_ == Kind::kString ? 0 : static_cast<size_t>(size_ * element_bytes_)};
  }

 private:
  friend class Reader;
  Kind kind_ = Kind::kUnsigned;
  uint32_t gguf_type_ = 0;
  int64_t size_ = 0;
  int element_bytes_ = 0;
  const uint8_t* data_ = nullptr;  // numbers: packed little-endian elements; strings: as in a file
  // kString: where each kStride-th begins, from data_ on, and last where the array ends. The texts
  // of vocabularies are many and short: views of all would be larger than they.
  static constexpr int64_t kStride = 8;
  std::vector<uint64_t> marks_;
};

struct Tensor {
  std::string_view name;
  quant::TensorType type = quant::TensorType::kF32;
  // dims[0] is the length of a row (the fastest axis), as GGUF writes them; unused ones are 1.
  // A matrix that maps `in` values to `out` values is dims = {in, out, 1, 1}.
  std::array<int64_t, 4> dims = {1, 1, 1, 1};
  int n_dims = 0;
  std::span<const uint8_t> data;  // exactly the tensor's bytes, in the mapped file
  // Which file that is, alive as long as the File; null if the bytes are not from a file.
  const MappedFile* file = nullptr;

  int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  // The dims that are used, at least one.
  std::span<const int64_t> shape() const {
    return std::span(dims).first(n_dims > 0 ? static_cast<size_t>(n_dims) : 1);
  }
};

struct KeyValue {
  std::string_view key;
  Value value;
};

// A model file, or all parts of a split one. Immutable and thread safe after Open. Copies of views
// into it must not outlive it.
class File {
 public:
  // `path` may name any GGUF. If it is one part of a split model (split.count > 1;
  // NAME-00001-of-0000N.gguf), the other parts beside it are opened too and their tensors added; a
  // missing or contradicting part is an error.
  static Result<std::shared_ptr<const File>> Open(const std::filesystem::path& path);
  // For tests, fuzzers and files that are not on disk. `bytes` must outlive the File.
  static Result<std::shared_ptr<const File>> Parse(std::span<const uint8_t> bytes);

  // Lets go of the memory through which the tensors' bytes are seen, if the file is on disk; they
  // are read again when they are used again. The system keeps them in its cache as it likes.
  void ReleaseMemory() const;
  // False if the file on disk, or a part of it, was replaced, changed or deleted since it was
  // opened. The system is asked; any thread.
  bool IsCurrent() const;

  uint32_t version() const { return version_; }
  uint64_t alignment_bytes() const { return alignment_bytes_; }
  uint64_t file_bytes() const { return file_bytes_; }  // of all parts
  std::span<const KeyValue> metadata() const { return metadata_; }
  std::span<const Tensor> tensors() const { return tensors_; }
  const Tensor* FindTensor(std::string_view name) const;  // null if absent
  const Value* Find(std::string_view key) const;          // null if absent

  // Typed access. Absent: nullopt. Present with another type: an error that names key, type found
  // and type wanted. Any integer type serves for integers if the value fits int64; integers serve
  // for numbers.
  Result<std::optional<std::string_view>> GetString(std::string_view key) const;
  Result<std::optional<int64_t>> GetInteger(std::string_view key) const;
  Result<std::optional<double>> GetNumber(std::string_view key) const;
  Result<std::optional<bool>> GetBool(std::string_view key) const;
  Result<const Array*> GetArray(std::string_view key) const;  // null if absent

 private:
  friend class Reader;
  File() = default;
  std::vector<std::shared_ptr<const MappedFile>> mappings_;
  uint32_t version_ = 0;
  uint64_t alignment_bytes_ = 32;
  uint64_t file_bytes_ = 0;
  std::vector<KeyValue> metadata_;          // in file order
  std::vector<Tensor> tensors_;             // in file order
  std::vector<uint32_t> metadata_by_name_;  // indices sorted by key
  std::vector<uint32_t> tensors_by_name_;   // indices sorted by name
};

// Builds a version 3 file. Add everything, then write once. Not thread safe. Misuse (a duplicate
// name, data of the wrong size) is an error of Write. Tensors are aligned to 32 bytes;
// general.alignment need not be set and may only be 32. llama.cpp reads what is written: names are
// limited to 63 bytes and dimensions to 4.
class Writer {
 public:
  void Set(std::string key, uint32_t value);
  void Set(std::string key, int32_t value);
  void Set(std::string key, uint64_t value);
  void Set(std::string key, float value);
  void Set(std::string key, bool value);
  void Set(std::string key, std::string value);
  void Set(std::string key, const char* value) { Set(std::move(key), std::string(value)); }
  void Set(std::string key, std::vector<std::string> values);
  void Set(std::string key, std::vector<float> values);
  void Set(std::string key, std::vector<int32_t> values);
  // Copies a value read from another file, arrays too. general.alignment is left out: the copy has
  // its own.
  void SetFrom(std::string_view key, const Value& value);

  // `produce` is called once while writing, in the order of the Add calls, and must return exactly
  // the tensor's bytes: so a model is converted tensor by tensor without holding it whole.
  using Producer = std::function<Result<std::vector<uint8_t>>()>;
  void AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims,
                 Producer produce);
  // `data` must stay valid until written.
  void AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims,
                 std::span<const uint8_t> data);

  // `progress`, if given, is called with (bytes written, bytes in all).
  Status Write(AtomicFile* out,
               const std::function<void(uint64_t, uint64_t)>& progress = nullptr) const;
  Status WriteFile(const std::filesystem::path& path) const;

 private:
  struct PendingTensor {
    std::string name;
    quant::TensorType type;
    std::vector<int64_t> dims;
    std::variant<Producer, std::span<const uint8_t>> source;
  };
  // Everything before the tensor data, padded; appends the size of each tensor.
  Result<std::string> EncodeHeader(std::vector<uint64_t>* sizes_bytes) const;

  std::vector<std::pair<std::string, std::string>>
      metadata_;  // key, type and value as they will be written
  std::vector<PendingTensor> tensors_;
};

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_H_
