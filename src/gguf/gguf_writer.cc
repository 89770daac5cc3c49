// The header is built in memory (a vocabulary makes it a few MB), the data is streamed: sizes
// follow from type and shape, so all offsets are known before the first tensor is produced.
//
// Every tensor starts at a multiple of the alignment with nothing else between, and the last one is
// padded too: llama.cpp accepts no other placement.
#include "gguf/gguf_encode.h"
#include "gguf/gguf_names.h"

namespace puna::gguf {

void Writer::Set(std::string key, uint32_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, int32_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, uint64_t value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, float value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, bool value) {
  metadata_.emplace_back(std::move(key), EncodeNumber(value));
}
void Writer::Set(std::string key, std::string value) {
  metadata_.emplace_back(std::move(key), EncodeString(value));
}

void Writer::Set(std::string key, std::vector<std::string> values) {
  metadata_.emplace_back(std::move(key), EncodeStrings(values));
}

void Writer::Set(std::string key, std::vector<float> values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}

void Writer::Set(std::string key, std::vector<int32_t> values) {
  metadata_.emplace_back(std::move(key), EncodeNumbers(values));
}

void Writer::SetFrom(std::string_view key, const Value& value) {
  if (key == kAlignmentKey) return;
  metadata_.emplace_back(std::string(key), EncodeValue(value));
}

void Writer::AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims,
                       Producer produce) {
  tensors_.push_back({std::move(name), type, std::move(dims), std::move(produce)});
}

void Writer::AddTensor(std::string name, quant::TensorType type, std::vector<int64_t> dims,
                       std::span<const uint8_t> data) {
  tensors_.push_back({std::move(name), type, std::move(dims), data});
}

Result<std::string> Writer::EncodeHeader(std::vector<uint64_t>* sizes_bytes) const {
  std::vector<TensorEntry> entries;
  for (const PendingTensor& tensor : tensors_)
    entries.push_back({tensor.name, tensor.type, tensor.dims});
  PUNA_ASSIGN_OR_RETURN(Layout layout, gguf::EncodeHeader(metadata_, entries));
  *sizes_bytes = std::move(layout.sizes_bytes);
  return std::move(layout.header);
}

Status Writer::Write(AtomicFile* out,
                     const std::function<void(uint64_t, uint64_t)>& progress) const {
  std::vector<uint64_t> sizes_bytes;
  PUNA_ASSIGN_OR_RETURN(const std::string header, EncodeHeader(&sizes_bytes));
  uint64_t total = header.size();
  for (const uint64_t bytes : sizes_bytes) total += bytes + PaddingAfter(bytes);
  PUNA_RETURN_IF_ERROR(out->Write(header));
  uint64_t written = header.size();
  if (progress) progress(written, total);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const PendingTensor& tensor = tensors_[i];
    std::vector<uint8_t> produced;
    std::span<const uint8_t> data;
    if (const auto* produce = std::get_if<Producer>(&tensor.source)) {
      Result<std::vector<uint8_t>> made = (*produce)();
      if (!made) return WithContext(std::move(made).error(), "tensor " + Quoted(tensor.name));
      produced = *std::move(made);
      data = produced;
    } else {
      data = std::get<std::span<const uint8_t>>(tensor.source);
    }
    if (data.size() != sizes_bytes[i]) {
      return MakeError(ErrorCode::kInvalidArgument, "tensor {}: data of {} bytes, expected {}",
                       Quoted(tensor.name), data.size(), sizes_bytes[i]);
    }
    PUNA_RETURN_IF_ERROR(out->Write(data));
    PUNA_RETURN_IF_ERROR(out->Write(std::string(PaddingAfter(data.size()), '\0')));
    written += data.size() + PaddingAfter(data.size());
    if (progress) progress(written, total);
  }
  return {};
}

Status Writer::WriteFile(const std::filesystem::path& path) const {
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  PUNA_RETURN_IF_ERROR(Write(&file));
  return file.Commit();
}

}  // namespace puna::gguf
