// The table of formats, and how they are told: by texts that the family's chat templates hold.
#include <algorithm>

#include "chat/tool_format.h"

namespace puna::chat {
namespace {

// Only the first form that a model is constrained to differs between the Mistral models.
OutputFormat Mistral(std::string_view name, size_t first) {
  std::vector<CallPattern> forms = {
      {.open = "[TOOL_CALLS] [", .call = "$JSON", .between = ", ", .close = "]"},
      {.call = "[TOOL_CALLS]$NAME[ARGS]$ARGS"},
      {.call = "[TOOL_CALLS]$NAME[CALL_ID]$ID[ARGS]$ARGS"},
      {.call = "[TOOL_CALLS]$NAME$ARGS"}};
  std::rotate(forms.begin(), forms.begin() + static_cast<std::ptrdiff_t>(first),
              forms.begin() + static_cast<std::ptrdiff_t>(first) + 1);
  OutputFormat format;
  format.name = name;
  format.thinks_again = true;
  format.calls = forms[0];
  format.also.assign(forms.begin() + 1, forms.end());
  return format;
}

// Formats of JSON and of Python that stand alone or in the usual marks.
std::vector<OutputFormat> PlainFormats() {
  const CallPattern bare_json = {.call = "$JSON", .between = "; "};
  const CallPattern bare_python = {.open = "[", .call = "$PYTHON", .between = ", ", .close = "]"};
  const char* const parameters = R"({"name": "$NAME", "parameters": $ARGS})";
  return {
      {.name = "hermes",
       .calls = {.call = "<tool_call>\n$JSON\n</tool_call>", .between = "\n"},
       .calls_end_thinking = true},
      {.name = "llama3",
       .calls = bare_json,
       .json = parameters,
       .also = {{.open = "<|python_tag|>", .call = "$JSON", .between = "; "},
                {.open = "<|python_tag|>", .call = "$PYTHON", .between = "; "},
                {.call = "<function=$NAME>$ARGS</function>"},
                bare_python},
       .declared_only = true},
      {.name = "python",
       .calls = bare_python,
       .also = {{.open = "<|python_start|>[",
                 .call = "$PYTHON",
                 .between = ", ",
                 .close = "]<|python_end|>"},
                bare_json},
       .declared_only = true},
      {.name = "json",
       .calls = bare_json,
       .json = parameters,
       .also = {{.open = "```json\n", .call = "$JSON", .between = "\n", .close = "\n```"}},
       .declared_only = true},
      {.name = "none"},
      {.name = "gemma",
       .calls = {.open = "```tool_code\n", .call = "$PYTHON", .between = "\n", .close = "\n```"},
       .also = {{.open = "```tool_code\nprint(", .call = "$PYTHON", .close = ")\n```"},
                {.open = "```json\n", .call = "$JSON", .between = "\n", .close = "\n```"},
                {.call = "$JSON", .between = "\n"},
                bare_python},
       .declared_only = true},
      {.name = "lfm2",
       .calls = {.open = "<|tool_call_start|>[",
                 .call = "$PYTHON",
                 .between = ", ",
                 .close = "]<|tool_call_end|>"},
       .also = {{.open = "<|tool_call_start|>",
                 .call = "$PYTHON",
                 .between = "\n",
                 .close = "<|tool_call_end|>"},
                {.open = "<|tool_call_start|>",
                 .call = "$JSON",
                 .between = "\n",
                 .close = "<|tool_call_end|>"}}},
      {.name = "olmo3",
       .calls = {.open = "<function_calls>",
                 .call = "$PYTHON",
                 .between = "\n",
                 .close = "</function_calls>"}},
  };
}

// Formats of JSON between marks.
std::vector<OutputFormat> MarkedFormats() {
  return {
      {.name = "granite3",
       .calls = {.open = "<|tool_call|>[", .call = "$JSON", .between = ", ", .close = "]"},
       .also =
           {{.open = "<|tool_call|> [", .call = "$JSON", .between = ", ", .close = "]"},
            {.open = "<tool_call>[", .call = "$JSON", .between = ", ", .close = "] </tool_call>"}},
       .dropped = {"<|/tool_call|>"}},
      {.name = "minimax-m1",
       .calls = {.open = "<tool_calls>\n",
                 .call = "$JSON",
                 .between = "\n",
                 .close = "\n</tool_calls>"}},
      {.name = "apriel",
       .calls =
           {.open = "<tool_calls>[", .call = "$JSON", .between = ", ", .close = "]</tool_calls>"},
       .dropped = {"[END FINAL RESPONSE]"}},
      {.name = "nemotron2",
       .calls = {.open = "<TOOLCALL>[", .call = "$JSON", .between = ", ", .close = "]</TOOLCALL>"}},
      {.name = "apertus",
       .calls = {.open = "<|tools_prefix|>[",
                 .call = "$JSON",
                 .between = ", ",
                 .close = "]<|tools_suffix|>"},
       .json = R"({"$NAME": $ARGS})"},
      {.name = "gigachat3",
       .calls = {.call = "<|message_sep|>\n\nfunction call<|role_sep|>\n$JSON"}},
      {.name = "gigachat3.1", .calls = {.call = "<|function_call|>$JSON"}},
      {.name = "firefunction",
       .calls = {.open = "functools[", .call = "$JSON", .between = ", ", .close = "]"}},
      {.name = "command-r",
       .calls = {.open = "Action:\n```json\n[\n",
                 .call = "$JSON",
                 .between = ",\n",
                 .close = "\n]\n```"},
       .json = R"({"tool_name": "$NAME", "parameters": $ARGS})"},
      {.name = "command-r7b",
       .calls = {.open = "<|START_ACTION|>[\n    ",
                 .call = "$JSON",
                 .between = ",\n    ",
                 .close = "\n]<|END_ACTION|>"},
       .json = R"({"tool_call_id": "$INDEX", "tool_name": "$NAME", "parameters": $ARGS})",
       .dropped = {"<|START_RESPONSE|>", "<|END_RESPONSE|>"},
       .content_open = "<|START_RESPONSE|>",
       .content_close = "<|END_RESPONSE|>"},
      {.name = "cohere2",
       .calls = {.open = "<|START_ACTION|>[\n    ",
                 .call = "$JSON",
                 .between = ",\n    ",
                 .close = "\n]<|END_ACTION|>"},
       .json = R"({"tool_call_id": "$INDEX", "tool_name": "$NAME", "parameters": $ARGS})",
       .dropped = {"<|START_TEXT|>", "<|END_TEXT|>"},
       .content_open = "<|START_TEXT|>",
       .content_close = "<|END_TEXT|>"},
  };
}

// Formats that write the name in front of the arguments, which are JSON.
std::vector<OutputFormat> NamedFormats() {
  return {
      Mistral("mistral", 0),
      Mistral("ministral", 1),
      Mistral("mistral-id", 2),
      {.name = "deepseek-r1",
       .calls = {.open = "<｜tool▁calls▁begin｜>",
                 .call = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>$NAME\n```json\n$ARGS\n```"
                         "<｜tool▁call▁end｜>",
                 .between = "\n",
                 .close = "<｜tool▁calls▁end｜>"},
       .also = {{.open = "<｜tool▁calls▁begin｜>",
                 .call = "<｜tool▁call▁begin｜>$NAME<｜tool▁sep｜>$ARGS<｜tool▁call▁end｜>",
                 .close = "<｜tool▁calls▁end｜>"}}},
      {.name = "deepseek-v3.1",
       .calls = {.open = "<｜tool▁calls▁begin｜>",
                 .call = "<｜tool▁call▁begin｜>$NAME<｜tool▁sep｜>$ARGS<｜tool▁call▁end｜>",
                 .close = "<｜tool▁calls▁end｜>"},
       .also = {{.open = "<｜tool▁calls▁begin｜>",
                 .call = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>$NAME\n```json\n$ARGS\n```"
                         "<｜tool▁call▁end｜>",
                 .close = "<｜tool▁calls▁end｜>"}}},
      {.name = "kimi-k2",
       .calls = {.open = "<|tool_calls_section_begin|>",
                 .call = "<|tool_call_begin|>$NAMED_ID<|tool_call_argument_begin|>$ARGS"
                         "<|tool_call_end|>",
                 .close = "<|tool_calls_section_end|>"}},
      {.name = "solar",
       .calls = {.open = "<|tool_calls|>",
                 .call = "<|tool_call:begin|>$ID<|tool_call:name|>$NAME<|tool_call:args|>$ARGS"
                         "<|tool_call:end|>"},
       .dropped = {"<|begin|>assistant", "<|content|>", "<|end|>"},
       .thinking = "<|think|>",
       .thinking_close = "<|end|>",
       .thinking_next = "<|begin|>assistant",
       .content_open = "<|content|>"},
      {.name = "harmony",
       .calls = {.call = "<|start|>assistant<|channel|>commentary to=functions.$NAME "
                         "<|constrain|>json<|message|>$ARGS"},
       .also = {{.call = "<|start|>assistant to=$NAME<|message|>$ARGS<|call|>"},
                {.call = "<|start|>assistant<|channel|>$WORD to=$NAME<|message|>$ARGS<|call|>"},
                {.call = "<|channel|>$WORD to=$NAME<|message|>$ARGS<|call|>"},
                {.call = "<|start|>assistant to=$NAME<|channel|>$WORD$TYPE<|message|>$ARGS"
                         "<|call|>"}},
       .one_call = true,
       .dropped = {"<|start|>assistant<|channel|>$WORD$TYPE<|message|>",
                   "<|channel|>$WORD$TYPE<|message|>", "<|end|>", "<|return|>", "<|call|>"},
       .thinking = "<|channel|>analysis$TYPE<|message|>",
       .thinking_close = "<|end|>",
       .thinking_next = "<|start|>assistant",
       .content_open = "<|channel|>final<|message|>",
       .prefix = "<|start|>assistant"},
      {.name = "functionary-v3.1",
       .calls = {.call = "<function=$NAME>$ARGS</function>"},
       .also = {{.open = "<|python_tag|>", .call = "$JSON"}}},
      {.name = "functionary-v3.2",
       .calls = {.call = ">>>$NAME\n$ARGS"},
       .dropped = {">>>all\n"},
       .content_open = ">>>all\n",
       .prefix = ">>>"},
      {.name = "functionary-v2",
       .calls = {.call = "<|from|>assistant\n<|recipient|>$NAME\n<|content|>$ARGS",
                 .between = "\n"},
       .dropped = {"<|from|>assistant\n<|recipient|>all\n<|content|>", "<|stop|>"},
       .content_open = "<|from|>assistant\n<|recipient|>all\n<|content|>",
       .prefix = "<|from|>assistant\n<|recipient|>"},
  };
}

// Formats that write one argument after the other.
std::vector<OutputFormat> PairFormats() {
  return {
      {.name = "qwen3-coder",
       .calls = {.call = "<tool_call>\n<function=$NAME>\n$PAIRS</function>\n</tool_call>",
                 .between = "\n",
                 .pair = "<parameter=$KEY>\n$VALUE\n</parameter>\n"},
       .also = {{.call = "<function=$NAME>\n$PAIRS</function>\n</tool_call>",
                 .pair = "<parameter=$KEY>\n$VALUE\n</parameter>\n"},
                {.call = "<tool_call>\n$JSON\n</tool_call>"}},
       .calls_end_thinking = true},
      {.name = "seed-oss",
       .calls = {.call = "<seed:tool_call>\n<function=$NAME>\n$PAIRS</function>\n"
                         "</seed:tool_call>",
                 .between = "\n",
                 .pair = "<parameter=$KEY>$VALUE</parameter>\n"}},
      {.name = "glm",
       .calls = {.call = "<tool_call>$NAME~$PAIRS</tool_call>",
                 .between = "~",
                 .pair = "<arg_key>$KEY</arg_key>~<arg_value>$VALUE</arg_value>~"},
       .also = {{.call = "<tool_call>\n$JSON\n</tool_call>"}},
       .calls_end_thinking = true},
      {.name = "hunyuan3",
       .calls = {.open = "<tool_calls:opensource>\n",
                 .call = "<tool_call:opensource>$NAME<tool_sep:opensource>\n$PAIRS"
                         "</tool_call:opensource>\n",
                 .close = "</tool_calls:opensource>",
                 .pair = "<arg_key:opensource>$KEY</arg_key:opensource>\n<arg_value:opensource>"
                         "$VALUE</arg_value:opensource>\n"}},
      {.name = "minimax-m2",
       .calls = {.open = "<minimax:tool_call>\n",
                 .call = "<invoke name=\"$NAME\">\n$PAIRS</invoke>\n",
                 .close = "</minimax:tool_call>",
                 .pair = "<parameter name=\"$KEY\">$VALUE</parameter>\n"}},
      {.name = "minimax-m3",
       .calls = {.open = "]<]minimax[>[<tool_call>\n",
                 .call = "]<]minimax[>[<invoke name=\"$NAME\">$PAIRS]<]minimax[>[</invoke>\n",
                 .close = "]<]minimax[>[</tool_call>",
                 .pair = "]<]minimax[>[<$KEY>$VALUE]<]minimax[>[</$SAME>"},
       .nested_mark = "]<]minimax[>["},
      {.name = "deepseek-v3.2",
       .calls = {.open = "<｜DSML｜function_calls>\n",
                 .call = "<｜DSML｜invoke name=\"$NAME\">\n$PAIRS</｜DSML｜invoke>\n",
                 .close = "</｜DSML｜function_calls>",
                 .pair = "<｜DSML｜parameter name=\"$KEY\" string=\"$TEXT\">$VALUE"
                         "</｜DSML｜parameter>\n"}},
      {.name = "deepseek-v4",
       .calls = {.open = "<｜DSML｜tool_calls>\n",
                 .call = "<｜DSML｜invoke name=\"$NAME\">\n$PAIRS</｜DSML｜invoke>\n",
                 .close = "</｜DSML｜tool_calls>",
                 .pair = "<｜DSML｜parameter name=\"$KEY\" string=\"$TEXT\">$VALUE"
                         "</｜DSML｜parameter>\n"}},
      {.name = "minicpm5",
       .calls = {.call = "<function name=\"$NAME\">$PAIRS</function>",
                 .between = "\n",
                 .pair = "<param name=\"$KEY\">$VALUE</param>"},
       .cdata = true},
      {.name = "glimmer",
       .calls = {.open = "<atem:function_calls>\n",
                 .call = "<atem:invoke name=\"$NAME\">\n$PAIRS</atem:invoke>\n",
                 .close = "</atem:function_calls>",
                 .pair = "<atem:parameter name=\"$KEY\">$VALUE</atem:parameter>\n"}},
      {.name = "gemma4",
       .calls = {.call = "<|tool_call>call:$NAME$PLAIN<tool_call|>"},
       .thinks_again = true,
       .quote = "<|\"|>"},
      {.name = "functiongemma",
       .calls = {.call = "<start_function_call>call:$NAME$PLAIN<end_function_call>"},
       .quote = "<escape>"},
  };
}

// The first row whose texts all occur, and whose `never` does not, is taken, so a format stands
// above those it could be mistaken for.
struct Sign {
  std::string_view format;
  std::vector<std::string_view> texts;
  std::string_view never = {};
};

const std::vector<Sign>& Signs() {
  static const std::vector<Sign> kSigns = {
      {"harmony", {"<|channel|>", "<|message|>", "<|start|>"}},
      {"solar", {"<|tool_call:begin|>"}},
      {"mistral-id", {"[TOOL_CALLS]", "[CALL_ID]"}},
      {"ministral", {"[TOOL_CALLS]", "[ARGS]"}},
      {"mistral", {"[TOOL_CALLS]"}},
      {"kimi-k2", {"<|tool_call_begin|>"}},
      {"deepseek-v4", {"｜DSML｜", "tool_calls>"}},
      {"deepseek-v3.2", {"｜DSML｜"}},
      {"deepseek-r1", {"<｜tool▁sep｜>", "```json"}},
      {"deepseek-v3.1", {"<｜tool▁sep｜>"}},
      {"minimax-m3", {"]<]minimax[>["}},
      {"minimax-m2", {"<minimax:tool_call>"}},
      {"seed-oss", {"<seed:tool_call>"}},
      {"hunyuan3", {"arg_key:opensource"}},
      {"hunyuan3", {"<arg_key", "<tool_sep"}},
      {"glm", {"<arg_key>"}},
      {"gemma4", {"<|tool_call>"}},
      {"functiongemma", {"<start_function_call>"}},
      {"lfm2", {"<|tool_call_start|>"}},
      {"lfm2", {"<|tool_list_start|>"}},
      {"lfm2", {"List of tools: ["}},
      {"glimmer", {"<atem:function_calls>"}},
      {"minicpm5", {"<function name=\""}},
      {"qwen3-coder", {"<function=", "<parameter="}},
      {"functionary-v3.1", {"<function=", "</function>"}},
      {"functionary-v3.2", {">>>", "recipient"}},
      {"functionary-v2", {"<|recipient|>"}},
      {"cohere2", {"<|START_ACTION|>", "<|START_TEXT|>"}},
      {"command-r7b", {"<|START_ACTION|>"}},
      {"command-r", {"Action:", "```json", "tool_name"}},
      {"olmo3", {"<function_calls>"}},
      {"apriel", {"<tool_calls>["}},
      {"minimax-m1", {"<tool_calls>"}},
      {"hermes", {"<tool_call>", "</tool_call>"}},
      {"granite3", {"<|tool_call|>"}},
      {"apertus", {"<|tools_prefix|>"}},
      {"nemotron2", {"<TOOLCALL>"}},
      {"gigachat3.1", {"<|function_call|>"}},
      {"gigachat3", {"function call", "<|role_sep|>"}},
      {"firefunction", {"functools["}},
      {"python", {"func_name1("}},
      {"python", {"<|python_start|>"}},
      {"llama3", {"<|python_tag|>"}},
      {"llama3", {"<|start_header_id|>", "ipython"}},
      {"gemma", {"tool_code"}},
      {"gemma", {"<start_of_turn>"}},
  };
  return kSigns;
}

}  // namespace

std::span<const OutputFormat> OutputFormats() {
  static const std::vector<OutputFormat> kFormats = [] {
    std::vector<OutputFormat> all = PlainFormats();
    for (auto more : {MarkedFormats(), NamedFormats(), PairFormats()}) {
      std::move(more.begin(), more.end(), std::back_inserter(all));
    }
    return all;
  }();
  return kFormats;
}

const OutputFormat* FindOutputFormat(std::string_view name) {
  const auto formats = OutputFormats();
  const auto found = std::find_if(formats.begin(), formats.end(),
                                  [&](const OutputFormat& f) { return f.name == name; });
  return found == formats.end() ? nullptr : &*found;
}

std::string_view DetectOutputFormat(std::string_view template_source, bool is_jinja) {
  const auto has = [&](std::string_view text) {
    return template_source.find(text) != std::string_view::npos;
  };
  for (const Sign& sign : Signs()) {
    const bool fits = std::all_of(sign.texts.begin(), sign.texts.end(), has) &&
                      (sign.never.empty() || !has(sign.never));
    if (!fits) continue;
    // Of Go templates Ollama knows this one; all others have a generic reading.
    return is_jinja || sign.format == "harmony" ? sign.format : "go";
  }
  return is_jinja ? "json" : "go";
}

const ParserName* FindParserName(std::string_view name) {
  static constexpr ParserName kParsers[] = {
      {"qwen3", "hermes"},
      {"qwen3-thinking", "hermes"},
      {"qwen3-vl-instruct", "hermes"},
      {"qwen3-vl-thinking", "hermes"},
      {"qwen3.5", "qwen3-coder"},
      {"ornith", "qwen3-coder"},
      {"qwen3-coder", "qwen3-coder"},
      {"nemotron-3-nano", "qwen3-coder"},
      {"nemotron-3.5-nano", "qwen3-coder"},
      {"ministral", "ministral"},
      {"passthrough", "none", false},
      {"harmony", "harmony"},
      {"cogito", "deepseek-r1"},
      {"deepseek3", "deepseek-v3.1"},
      {"olmo3", "olmo3"},
      {"olmo3-think", "olmo3"},
      {"functiongemma", "functiongemma"},
      {"gemma4", "gemma4"},
      {"gemma4-no-thinking", "gemma4"},
      {"glm-4.7", "glm"},
      {"glm-ocr", "glm"},
      {"laguna", "glm"},
      {"poolside-v1", "glm"},
      {"lfm2", "lfm2"},
      {"lfm2-thinking", "lfm2"},
      {"cohere", "cohere2"},
      {"glimmer", "glimmer"},
  };
  const auto* const found = std::find_if(std::begin(kParsers), std::end(kParsers),
                                         [&](const ParserName& row) { return row.name == name; });
  return found == std::end(kParsers) ? nullptr : found;
}

bool IsParser(std::string_view name) { return FindParserName(name) != nullptr; }

bool IsRenderer(std::string_view name) {
  static constexpr std::string_view kRenderers[] = {"qwen3-coder",
                                                    "qwen3-vl-instruct",
                                                    "qwen3-vl-thinking",
                                                    "qwen3.5",
                                                    "qwen3.8",
                                                    "ornith",
                                                    "cogito",
                                                    "deepseek3.1",
                                                    "olmo3",
                                                    "olmo3.1",
                                                    "olmo3-think",
                                                    "olmo3-32b-think",
                                                    "nemotron-3-nano",
                                                    "nemotron-3.5-nano",
                                                    "gemma4",
                                                    "gemma4-small",
                                                    "gemma4-large",
                                                    "functiongemma",
                                                    "glm-4.7",
                                                    "glm-ocr",
                                                    "lfm2",
                                                    "lfm2-thinking",
                                                    "laguna",
                                                    "poolside-v1",
                                                    "cohere",
                                                    "glimmer"};
  return std::find(std::begin(kRenderers), std::end(kRenderers), name) != std::end(kRenderers);
}

// Ollama takes any name. A renderer it does not know then fails every chat, and a parser is
// silently none. A template that nobody can execute would be found out by the first request.
Status CheckPromptParts(std::string_view renderer, std::string_view parser,
                        const std::string& go_template) {
  if (!renderer.empty() && !IsRenderer(renderer))
    return MakeError(ErrorCode::kInvalidArgument, "unknown renderer \"{}\"", renderer);
  if (!parser.empty() && !IsParser(parser))
    return MakeError(ErrorCode::kInvalidArgument, "unknown parser \"{}\"", parser);
  if (auto parsed = PromptTemplate::FromGo(go_template); !parsed)
    return WithContext(std::move(parsed).error(), "template error");
  return {};
}

}  // namespace puna::chat
