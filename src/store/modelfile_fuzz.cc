// Any bytes: an error, or a Modelfile with a FROM and whole messages, whose values survive quoting.
#include <cstdint>

#include "base/check.h"
#include "store/modelfile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto modelfile = puna::store::ParseModelfile(text);
  if (!modelfile) {
    CHECK(!modelfile.error().message.empty());
    return 0;
  }
  CHECK(!modelfile->from.empty());
  for (const puna::store::ModelfileMessage& message : modelfile->messages)
    CHECK(message.role == "system" || message.role == "user" || message.role == "assistant");
  // What was written once can be written.
  CHECK(puna::store::QuoteModelfileValue(modelfile->system));
  CHECK(puna::store::QuoteModelfileValue(modelfile->template_text));
  (void)puna::DumpJson(modelfile->parameters);
  return 0;
}
