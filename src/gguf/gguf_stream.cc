#include "gguf/gguf_stream.h"

#include <algorithm>

#include "gguf/gguf_encode.h"

namespace puna::gguf {

void StreamWriter::Set(std::string key, uint32_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void StreamWriter::Set(std::string key, float value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void StreamWriter::Set(std::string key, bool value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void StreamWriter::Set(std::string key, std::string_view value) {
  metadata_.emplace_back(std::move(key), EncodeString(value));
}
void StreamWriter::Set(std::string key, const std::vector<std::string>& values) {
  metadata_.emplace_back(std::move(key), EncodeStrings(values));
}
void StreamWriter::Set(std::string key, const std::vector<float>& values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}
void StreamWriter::Set(std::string key, const std::vector<int32_t>& values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}
void StreamWriter::Set(std::string key, const std::vector<bool>& values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}
void StreamWriter::Set(std::string key, const std::vector<uint8_t>& values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}

void StreamWriter::SetFrom(std::string_view key, const Value& value) {
  if (key != kAlignmentKey) metadata_.emplace_back(std::string(key), EncodeValue(value));
}

void StreamWriter::AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims) {
  tensors_.push_back({std::move(name), type, std::move(dims)});
}

bool StreamWriter::Has(std::string_view key) const {
  return std::any_of(metadata_.begin(), metadata_.end(),
                     [&](const auto& entry) { return entry.first == key; });
}

Result<Layout> StreamWriter::Plan() const {
  std::vector<TensorEntry> entries;
  for (const Tensor& tensor : tensors_) entries.push_back({tensor.name, tensor.type, tensor.dims});
  return EncodeHeader(metadata_, entries);
}

}  // namespace puna::gguf
