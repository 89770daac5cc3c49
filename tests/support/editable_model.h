// A model file in memory, to be rewritten by tests: the same network in other words, with other
// metadata, or in other layouts. Float32 tensors only.
#ifndef TESTS_SUPPORT_EDITABLE_MODEL_H_
#define TESTS_SUPPORT_EDITABLE_MODEL_H_

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gguf/gguf.h"

namespace puna::testing {

struct Values {
  std::vector<int64_t> dims;  // as GGUF writes them: dims[0] is the length of a row
  std::vector<float> data;
};
using Tensors = std::map<std::string, Values>;

inline Tensors ReadTensors(const gguf::File& file) {
  Tensors tensors;
  for (const gguf::Tensor& tensor : file.tensors()) {
    Values values;
    values.dims.assign(tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims);
    values.data.resize(static_cast<size_t>(tensor.elements()));
    CHECK(tensor.type == quant::TensorType::kF32) << tensor.name;
    std::memcpy(values.data.data(), tensor.data.data(), tensor.data.size());
    tensors.emplace(tensor.name, std::move(values));
  }
  return tensors;
}

inline Values Take(Tensors* tensors, const std::string& name) {
  Values values = std::move(tensors->at(name));
  tensors->erase(name);
  return values;
}

inline void Rename(Tensors* tensors, const std::string& from, const std::string& to) {
  (*tensors)[to] = Take(tensors, from);
}

// Rows of all tensors below one another.
inline void Stack(Tensors* tensors, const std::vector<std::string>& from, const std::string& to) {
  Values all;
  for (const std::string& name : from) {
    const Values part = Take(tensors, name);
    if (all.dims.empty()) {
      all = part;
      continue;
    }
    all.dims.back() += part.dims.back();
    all.data.insert(all.data.end(), part.data.begin(), part.data.end());
  }
  (*tensors)[to] = std::move(all);
}

// All metadata of `file`; under another architecture's name if `architecture` is not empty.
inline void CopyMetadata(const gguf::File& file, const std::string& architecture,
                         gguf::Writer* writer) {
  const std::string old_name(**file.GetString("general.architecture"));
  for (const gguf::KeyValue& entry : file.metadata()) {
    std::string key(entry.key);
    if (key == "general.architecture" && !architecture.empty()) {
      writer->Set(key, architecture);
      continue;
    }
    if (!architecture.empty() && key.starts_with(old_name + "."))
      key.replace(0, old_name.size(), architecture);
    writer->SetFrom(key, entry.value);
  }
}

// `tensors` must stay as they are until the writer has written.
inline void AddTensors(const Tensors& tensors, gguf::Writer* writer) {
  for (const auto& [name, values] : tensors) {
    const std::span<const float> data = values.data;
    writer->AddTensor(name, quant::TensorType::kF32, values.dims,
                      {reinterpret_cast<const uint8_t*>(data.data()), data.size_bytes()});
  }
}

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_EDITABLE_MODEL_H_
