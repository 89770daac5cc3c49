// First byte: which format and whether the answer starts inside its thinking. Rest: the model's
// text. Whole and byte by byte must give the same.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "chat/chat.h"
#include "chat/tool_format.h"

namespace {

using puna::Json;
using puna::chat::OutputDelta;
using puna::chat::OutputOptions;
using puna::chat::OutputParser;

std::string Parse(const OutputOptions& options, std::string_view text, size_t step) {
  OutputParser parser(options);
  OutputDelta all;
  const auto join = [&](const OutputDelta& part) {
    all.content += part.content;
    all.thinking += part.thinking;
    all.tool_calls.insert(all.tool_calls.end(), part.tool_calls.begin(), part.tool_calls.end());
  };
  for (size_t at = 0; at < text.size(); at += step) join(parser.Add(text.substr(at, step)));
  join(parser.Finish());
  std::string shown = all.thinking + "\x01" + all.content;
  for (const auto& call : all.tool_calls) {
    shown += "\x01" + call.name +
             call.arguments.dump(-1, ' ', false, Json::error_handler_t::replace) + call.id;
  }
  return shown;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto formats = puna::chat::OutputFormats();
  const size_t which = data[0] % (formats.size() + 1);
  OutputOptions options;
  options.format = which == formats.size() ? "go" : formats[which].name;
  if (which < formats.size() && data[0] % 4 == 1) options.given = formats[which].prefix;
  options.tool_call_tag = data[0] % 2 == 0 ? "<tool_call>" : "{";
  options.starts_thinking = data[0] % 3 == 0;
  options.think_tags = {"<think>", "</think>"};
  options.tools = {{Json::parse(R"({"type": "function", "function": {"name": "add",
      "parameters": {"properties": {"a": {"type": "integer"}, "s": {"type": "string"}}}}})")}};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  CHECK(Parse(options, text, 1) == Parse(options, text, text.size() + 1)) << options.format;
  return 0;
}
