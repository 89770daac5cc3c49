// Template bytes against one fixed conversation. Nothing may crash, hang or leak, whatever the
// template says.
#include <cstdint>
#include <string_view>

#include "chat/jinja/jinja.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using puna::chat::jinja::RenderOptions;
  using puna::chat::jinja::Template;
  static const auto kVariables = puna::Json::parse(R"({
    "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b \u00e9"},
                 {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, 2.5, null]}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {}}}}}],
    "bos_token": "<s>", "add_generation_prompt": true, "n": 3})");
  const auto parsed = Template::Parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!parsed) return 0;
  RenderOptions options;
  options.limits.max_steps = 20'000;
  options.limits.max_output_bytes = 1 << 20;
  options.limits.max_live_bytes = 8 << 20;
  for (const bool changes : {false, true}) {
    options.allow_list_changes = changes;
    (void)(*parsed)->Render(kVariables, options);
  }
  return 0;
}
