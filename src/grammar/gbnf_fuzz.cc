// Bytes as a GBNF grammar. Whatever it says, reading it ends soon, and a text can be judged by it.
#include <cstdint>
#include <string_view>

#include "grammar/grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using puna::grammar::Grammar;
  using puna::grammar::Part;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto grammar = Grammar::Compile(Part::Gbnf(text));
  if (grammar) (void)(*grammar)->Accepts(text.substr(0, 64));
  return 0;
}
