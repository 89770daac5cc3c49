// Any bytes: either an error, or a File all of whose views can be touched, and which survives being
// written again.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "base/check.h"
#include "gguf/gguf.h"
#include "tests/support/shared_data.h"

namespace puna::gguf {
namespace {

volatile uint8_t g_sink;  // keeps the reads

void TouchText(std::string_view text) {
  for (const char c : text) g_sink = static_cast<uint8_t>(c);
}

void TouchValue(const Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) TouchText(*text);
  const auto* held = std::get_if<std::shared_ptr<const Array>>(&value);
  if (held == nullptr) return;
  const Array& array = **held;
  for (int64_t i = 0; i < array.size(); ++i) {
    if (array.kind() == Array::Kind::kString) {
      TouchText(array.string_at(i));
    } else {
      g_sink = static_cast<uint8_t>(array.integer_at(i));
      g_sink = array.number_at(i) > 0;
    }
  }
}

void TouchTensor(const Tensor& tensor) {
  const quant::TypeTraits& traits = quant::TraitsOf(tensor.type);
  CHECK(static_cast<int64_t>(tensor.data.size()) ==
        quant::BytesFor(tensor.type, tensor.elements()));
  g_sink = tensor.data.front();
  g_sink = tensor.data.back();
  if (traits.decode == nullptr) return;
  std::vector<float> values(static_cast<size_t>(traits.block_elements));
  traits.decode(tensor.data.data(), traits.block_elements, values.data());
  g_sink = values.back() > 0;
}

bool SameArray(const Array& a, const Array& b) {
  if (a.gguf_type() != b.gguf_type() || a.size() != b.size()) return false;
  if (!std::ranges::equal(a.bytes(), b.bytes())) return false;
  for (int64_t i = 0; a.kind() == Array::Kind::kString && i < a.size(); ++i) {
    if (a.string_at(i) != b.string_at(i)) return false;
  }
  return true;
}

bool SameValue(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const auto* array = std::get_if<std::shared_ptr<const Array>>(&a)) {
    return SameArray(**array, *std::get<std::shared_ptr<const Array>>(b));
  }
  if (const auto* number = std::get_if<float>(&a); number != nullptr && *number != *number)
    return true;
  if (const auto* number = std::get_if<double>(&a); number != nullptr && *number != *number)
    return true;
  return a == b;
}

// Writes what was read and reads it again. Files that the writer does not make (names too long for
// llama.cpp) are left out.
void CheckRoundTrip(const File& file) {
  Writer writer;
  for (const KeyValue& pair : file.metadata()) writer.SetFrom(pair.key, pair.value);
  for (const Tensor& tensor : file.tensors()) {
    if (tensor.name.size() > 63) return;
    writer.AddTensor(std::string(tensor.name), tensor.type,
                     {tensor.dims.begin(), tensor.dims.begin() + std::max(tensor.n_dims, 1)},
                     tensor.data);
  }
  static const testing::TemporaryDirectory folder;
  Result<AtomicFile> out = AtomicFile::Create(folder.path() / "copy.gguf");
  CHECK(out) << out.error().message;
  const Status written = writer.Write(&*out);
  CHECK(written) << written.error().message;
  const Result<std::string> bytes =
      ReadFile(out->temporary_path());  // never committed: syncing would take most of the time
  CHECK(bytes) << bytes.error().message;
  const auto copy = File::Parse({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()});
  CHECK(copy) << copy.error().message;
  CHECK((*copy)->tensors().size() == file.tensors().size());
  for (const KeyValue& pair : file.metadata()) {
    const Value* value = (*copy)->Find(pair.key);
    CHECK(pair.key == "general.alignment" || (value != nullptr && SameValue(pair.value, *value)))
        << pair.key;
  }
  for (const Tensor& tensor : file.tensors()) {
    const Tensor* copied = (*copy)->FindTensor(tensor.name);
    CHECK(copied != nullptr && copied->type == tensor.type && copied->dims == tensor.dims)
        << tensor.name;
    CHECK(std::ranges::equal(copied->data, tensor.data)) << tensor.name;
  }
}

}  // namespace
}  // namespace puna::gguf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace puna::gguf;
  const std::vector<uint8_t> exact(data,
                                   data + size);  // so that a sanitizer sees reads beyond the end
  const auto file = File::Parse(exact);
  if (!file) return 0;
  for (const KeyValue& pair : (*file)->metadata()) {
    TouchText(pair.key);
    TouchValue(pair.value);
    (void)(*file)->GetInteger(pair.key);
    (void)(*file)->GetNumber(pair.key);
  }
  for (const Tensor& tensor : (*file)->tensors()) TouchTensor(tensor);
  CheckRoundTrip(**file);
  return 0;
}
