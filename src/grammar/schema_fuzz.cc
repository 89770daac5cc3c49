// Bytes as a JSON schema, in both readings, judging itself.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "grammar/grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using puna::Json;
  using puna::grammar::Grammar;
  using puna::grammar::Part;
  using puna::grammar::SchemaReading;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const SchemaReading reading : {SchemaReading::kExact, SchemaReading::kNarrow}) {
    Json schema = puna::ParseJson(text);
    if (schema.is_discarded()) return 0;
    const auto grammar = Grammar::Compile(Part::Schema(std::move(schema), reading));
    if (grammar) (void)(*grammar)->AcceptsJson(text);
  }
  return 0;
}
