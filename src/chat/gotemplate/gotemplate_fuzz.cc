// Template bytes against one fixed conversation, in the three ways that a Go template is executed.
#include <cstdint>
#include <string_view>

#include "chat/chat.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using puna::Json;
  static const Json kConversation = Json::parse(R"({
    "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c",
                  "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, null]}}}]}, {"role": "user", "content": "d"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}}],
    "think": "low"})");
  static const Json kGap = {{"prompt", "a"}, {"suffix", "b"}};
  // Steps are not bounded tightly here, so the template's length is: loops over the small data
  // cannot nest deeply.
  const std::string_view source(reinterpret_cast<const char*>(data), size < 400 ? size : 400);
  (void)puna::chat::RenderGo(source, kConversation);
  (void)puna::chat::RenderGo(source, kGap);
  return 0;
}
