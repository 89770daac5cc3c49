#include "gguf/gguf_names.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "gguf/gguf_format.h"

namespace puna::gguf {

std::string Quoted(std::string_view name) {
  constexpr size_t kMaxBytes = 100;
  const bool cut = name.size() > kMaxBytes;
  name = name.substr(0, kMaxBytes);
  if (cut) name = name.substr(0, CompleteUtf8Prefix(name));
  std::string text = ReplaceInvalidUtf8(name);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return "'" + text + (cut ? "...'" : "'");
}

std::string TypeNameOf(const Value& value) {
  // The names in the order of the variant's alternatives.
  static constexpr std::string_view kNames[] = {"uint8",    "int8",   "uint16",  "int16",
                                                "uint32",   "int32",  "float32", "bool",
                                                "a string", "uint64", "int64",   "float64"};
  static_assert(std::size(kNames) + 1 == std::variant_size_v<Value>);
  if (value.index() < std::size(kNames)) return std::string(kNames[value.index()]);
  const auto& array = std::get<std::shared_ptr<const Array>>(value);
  return fmt::format("an array of {}", kValueTypeTraits[array->gguf_type()].name);
}

}  // namespace puna::gguf
