// From a model's text to content, thinking and tool calls. Every case is fed whole, byte by byte
// and in random pieces, and must come out the same.
#include <gtest/gtest.h>

#include <random>

#include "chat/chat.h"
#include "chat/json_scanner.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

Tool Named(const std::string& name) {
  return {{{"type", "function"}, {"function", {{"name", name}, {"parameters", Json::object()}}}}};
}

OutputOptions With(const std::string& format, const std::string& tag = "") {
  OutputOptions options;
  options.think_tags = {"<think>", "</think>"};
  options.tools = {Named("add"), Named("find_town")};
  options.tool_format = format;
  options.tool_call_tag = tag;
  return options;
}

// Content, thinking and calls in one line: thinking|content|name(arguments)...
std::string Show(const OutputDelta& delta) {
  std::string text = delta.thinking + "|" + delta.content + "|";
  for (const ToolCall& call : delta.tool_calls) {
    text += fmt::format("{}:{}({}){}", call.index, call.name, call.arguments.dump(), call.id);
  }
  return text;
}

void Join(OutputDelta&& part, OutputDelta* all) {
  all->content += part.content;
  all->thinking += part.thinking;
  for (ToolCall& call : part.tool_calls) all->tool_calls.push_back(std::move(call));
}

template <typename NextSize>
std::string Parse(const OutputOptions& options, std::string_view text, NextSize next_size) {
  OutputParser parser(options);
  OutputDelta all;
  while (!text.empty()) {
    const size_t size = std::min<size_t>(next_size(), text.size());
    Join(parser.Add(text.substr(0, size)), &all);
    text.remove_prefix(size);
  }
  Join(parser.Finish(), &all);
  return Show(all);
}

std::string ParseAllWays(const OutputOptions& options, const std::string& text) {
  const std::string whole = Parse(options, text, [&] { return text.size(); });
  EXPECT_EQ(Parse(options, text, [] { return size_t{1}; }), whole) << "byte by byte";
  std::mt19937 random(1);
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(Parse(options, text, [&] { return 1 + random() % 9; }), whole) << "in random pieces";
  }
  return whole;
}

TEST(OutputParser, Thinking) {
  const OutputOptions options = With("none");
  const std::pair<const char*, const char*> cases[] = {
      {"<think>a b</think>answer", "a b|answer|"},
      {" \n<think>\n a\nb\n</think>\n\n answer ", "a\nb\n|answer |"},
      {"no thinking <think>here</think>", "|no thinking <think>here</think>|"},
      {"  plain", "|  plain|"},
      {"<thin", "|<thin|"},
      {"<thinner>", "|<thinner>|"},
      {"<think>a</thin", "a</thin||"},
      {"<think>a</think", "a</think||"},
      {"<think>a</</think>b", "a</|b|"},
      {"<think></think>x", "|x|"},
      {"<think>only", "only||"},
      {"<think>", "||"},
      {"", "||"},
      {" \n", "| \n|"},
      {"<think>\xC3\xA9</think>\xE4\xB8\x96", "\xC3\xA9|\xE4\xB8\x96|"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(ParseAllWays(options, text), expected) << text;
  OutputOptions inside = options;
  inside.starts_thinking = true;
  EXPECT_EQ(ParseAllWays(inside, "\nhm</think>\nyes"), "hm|yes|");
  OutputOptions without = options;
  without.think_tags = {};
  EXPECT_EQ(ParseAllWays(without, "<think>a</think>b"), "|<think>a</think>b|");
}

TEST(OutputParser, TagsThatOverlapThemselves) {
  OutputOptions options = With("none");
  options.think_tags = {"[[THINK]", "aab"};
  EXPECT_EQ(ParseAllWays(options, "[[THINK]xaaab."), "xa|.|");
}

TEST(OutputParser, HermesCalls) {
  const OutputOptions options = With("hermes");
  const std::pair<const char*, const char*> cases[] = {
      {"<tool_call>\n{\"name\": \"add\", \"arguments\": {\"b\": 1, \"a\": 2}}\n</tool_call>",
       R"(||0:add({"b":1,"a":2}))"},
      {"Sure.\n\n<tool_call>{\"name\": \"add\", \"arguments\": "
       "{}}</tool_call>\n<tool_call>{\"name\": \"x\", \"arguments\": {}}</tool_call>\nDone.",
       "|Sure.Done.|0:add({})1:x({})"},
      {"<think>use "
       "add</think>\n<tool_call>{\"name\":\"add\",\"arguments\":{\"t\":\"</tool_call>\"}}</"
       "tool_call>",
       R"(use add||0:add({"t":"</tool_call>"}))"},
      {"<tool_call>{\"name\": \"add\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
       R"(||0:add({"a":1}))"},
      {"<tool_call>{\"name\": \"add\", \"arguments\": {}}", "||0:add({})"},
      {"<tool_call>{\"name\": \"add\", \"arguments\": {}}<tool_call>{\"name\": "
       "\"add\"}</tool_call>",
       "||0:add({})1:add({})"},
      {"a < b <tool <tool_cal", "|a < b <tool <tool_cal|"},
      {"<tool_call> none </tool_call>", "|<tool_call> none </tool_call>|"},
      {"x\n<tool_call>{\"name\": }</tool_call>", "|x\n<tool_call>{\"name\": }</tool_call>|"},
      {"<tool_call>{\"name\": \"add\", \"arg", "|<tool_call>{\"name\": \"add\", \"arg|"},
      {"<tool_call>{\"a\": 1}</tool_call>", "|<tool_call>{\"a\": 1}</tool_call>|"},
      {"<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"two\nlines\"}}</tool_call>",
       R"(||0:add({"s":"two\nlines"}))"},
      {"{\"name\": \"add\", \"arguments\": {}}", R"(|{"name": "add", "arguments": {}}|)"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(ParseAllWays(options, text), expected) << text;
  OutputOptions no_tools = options;
  no_tools.tools.clear();
  EXPECT_EQ(ParseAllWays(no_tools, cases[0].first), std::string("|") + cases[0].first + "|");
}

TEST(OutputParser, Llama3AndPlainJsonCalls) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"name\": \"add\", \"parameters\": {\"a\": 1}}", R"(||0:add({"a":1}))"},
      {" \n{\"name\": \"add\", \"parameters\": {}}; {\"name\": \"find_town\", \"parameters\": {}}",
       "||0:add({})1:find_town({})"},
      {"[{\"name\": \"add\", \"arguments\": {}}, {\"name\": \"add\", \"arguments\": {}}]",
       "||0:add({})1:add({})"},
      {"{\"type\": \"function\", \"function\": {\"name\": \"add\", \"arguments\": {}}}",
       "||0:add({})"},
      {"{\"function\": \"add\", \"arguments\": {}}", "||0:add({})"},
      {"{\"add\": {\"a\": 1}}", R"(||0:add({"a":1}))"},
      {"{\"name\": \"unknown\", \"parameters\": {}}", R"(|{"name": "unknown", "parameters": {}}|)"},
      {"{\"answer\": 42}", R"(|{"answer": 42}|)"},
      {"[1] see {\"name\": \"add\"}", R"(|[1] see {"name": "add"}|)"},
      {"{not json", "|{not json|"},
      {"text {\"name\": \"add\", \"parameters\": {}}",
       R"(|text {"name": "add", "parameters": {}}|)"},
      {"{\"name\": \"add\", \"parameters\": {}} and text", "|and text|0:add({})"},
      {"{\"name\": \"add\", \"parameters\": 5}", R"(|{"name": "add", "parameters": 5}|)"},
  };
  for (const char* format : {"llama3", "json"}) {
    for (const auto& [text, expected] : cases)
      EXPECT_EQ(ParseAllWays(With(format), text), expected) << format << text;
  }
  EXPECT_EQ(ParseAllWays(With("llama3"), "<|python_tag|>{\"name\": \"add\", \"parameters\": {}}"),
            "||0:add({})");
}

TEST(OutputParser, MistralCalls) {
  const OutputOptions options = With("mistral");
  const std::pair<const char*, const char*> cases[] = {
      {"[TOOL_CALLS] [{\"name\": \"add\", \"arguments\": {\"a\": 1}, \"id\": \"abc123def\"}]",
       R"(||0:add({"a":1})abc123def)"},
      {"[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {}}, {\"name\": \"x\", \"arguments\": {}}]",
       "||0:add({})1:x({})"},
      {"Hm. [TOOL_CALLS]add[ARGS]{\"a\": 1}[TOOL_CALLS]x[CALL_ID]i9[ARGS]{}",
       R"(|Hm.|0:add({"a":1})1:x({})i9)"},
      {"[TOOL_CALLS]add{\"a\": 1}", R"(||0:add({"a":1}))"},
      {"[TOOL_CALLS]add[ARGS]{oops}", "|[TOOL_CALLS]add[ARGS]{oops}|"},
      {"[TOOL_CALLS]", "|[TOOL_CALLS]|"},
      {"[TOOL", "|[TOOL|"},
      {"[1] [2]", "|[1] [2]|"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(ParseAllWays(options, text), expected) << text;
}

TEST(OutputParser, GoTemplateTags) {
  const std::pair<const char*, const char*> tagged[] = {
      {"Well <tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>",
       R"(|Well|0:add({"a":1}))"},
      {"<tool_call>add\n{\"a\": 1}</tool_call><tool_call>find_town{}</tool_call>",
       R"(||0:add({"a":1})1:find_town({}))"},
      {"<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>",
       R"(|<tool_call>{"name": "unknown", "arguments": {}}</tool_call>|)"},
      {"<tool_call>[add]{\"a\": 1}", R"(||0:add({"a":1}))"},
      {"<tool_call> nothing", "|<tool_call> nothing|"},
  };
  for (const auto& [text, expected] : tagged)
    EXPECT_EQ(ParseAllWays(With("go", "<tool_call>"), text), expected) << text;
  EXPECT_EQ(ParseAllWays(With("go", "{"), "{\"name\": \"add\", \"parameters\": {}}"),
            "||0:add({})");
  EXPECT_EQ(ParseAllWays(With("go", "{"), "{\"x\": 1} text"), "|{\"x\": 1} text|");
  EXPECT_EQ(ParseAllWays(With("go", "{"), "a {\"name\": \"add\"}"), "|a {\"name\": \"add\"}|");
}

// Any soup of the pieces that formats are made of: no way of cutting it may matter, and without a
// call nothing may be lost.
TEST(OutputParser, RandomSoupIsCutIndependently) {
  const char* const pieces[] = {"<think>",
                                "</think>",
                                "<tool_call>",
                                "</tool_call>",
                                "[TOOL_CALLS]",
                                "[ARGS]",
                                "<|python_tag|>",
                                "{\"name\": \"add\", \"arguments\": {}}",
                                "{",
                                "}",
                                "[",
                                "]",
                                "\"",
                                "add",
                                " ",
                                "\n",
                                ",",
                                ";",
                                "text",
                                "<",
                                "</"};
  std::mt19937 random(7);
  for (const char* format : {"hermes", "llama3", "json", "mistral", "go", "none"}) {
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (size_t i = random() % 12; i > 0; --i) text += pieces[random() % std::size(pieces)];
      OutputOptions options = With(format, round % 2 == 0 ? "<tool_call>" : "{");
      options.starts_thinking = round % 5 == 0;
      const std::string whole = Parse(options, text, [&] { return text.size() + 1; });
      ASSERT_EQ(Parse(options, text, [] { return size_t{1}; }), whole) << format << ": " << text;
      if (format == std::string("none") && text.find("think>") == std::string::npos &&
          !options.starts_thinking) {
        ASSERT_EQ(whole, "|" + text + "|");
      }
    }
  }
}

TEST(OutputParser, LongOutputsAreLinear) {
  const OutputOptions options = With("hermes");
  const std::string unit = "<tool_cal <<<tool_call>x ";
  std::string text;
  for (int i = 0; i < 40000; ++i) text += unit;
  text += "<tool_call>{\"name\": \"add\", \"arguments\": {\"t\": \"" + std::string(1'000'000, 'x') +
          "\"}}</tool_call>";
  const std::string shown = Parse(options, text, [] { return size_t{3}; });
  EXPECT_NE(shown.find("0:add("), std::string::npos);
}

TEST(OutputOptions, FollowTheTemplate) {
  PromptRequest request;
  request.tools = {Named("add")};
  const auto options = [&](const char* source, const char* prompt = "") {
    return OutputOptionsFor(**PromptTemplate::FromJinja(source, "", ""), request, prompt);
  };
  EXPECT_EQ(options("<tool_call></tool_call>").tool_format, "hermes");
  EXPECT_EQ(options("[TOOL_CALLS]").tool_format, "mistral");
  EXPECT_EQ(options("<|python_tag|>").tool_format, "llama3");
  EXPECT_EQ(options("tools").tool_format, "json");
  EXPECT_TRUE(options("<think></think>", "<|assistant|><think>\n").starts_thinking);
  EXPECT_FALSE(options("<think></think>", "<think></think>\n").starts_thinking);
  EXPECT_TRUE(options("plain", "<think>").think_tags.empty());
  EXPECT_EQ(OutputOptionsFor(*PromptTemplate::Default(), request, "").tool_format, "go");
}

TEST(JsonScanner, FindsTheEndOrTheFirstWrongByte) {
  const auto scan = [](std::string_view text) {
    JsonScanner scanner;
    for (size_t i = 0; i < text.size(); ++i) {
      const auto state = scanner.Feed(text[i]);
      if (state == JsonScanner::State::kDone) return "done at " + std::to_string(i);
      if (state == JsonScanner::State::kInvalid) return "wrong at " + std::to_string(i);
    }
    return std::string("more");
  };
  EXPECT_EQ(scan("{}x"), "done at 1");
  EXPECT_EQ(scan("[1, -2.5e3, \"a]\\\"\\u00e9\", true, null, {\"k\": []}] "), "done at 47");
  EXPECT_EQ(scan("{\"a\": [1, 2"), "more");
  EXPECT_EQ(scan("{a"), "wrong at 1");
  EXPECT_EQ(scan("{\"a\" 1}"), "wrong at 5");
  EXPECT_EQ(scan("[1,]"), "wrong at 3");
  EXPECT_EQ(scan("{\"a\":1,}"), "wrong at 7");
  EXPECT_EQ(scan("[}"), "wrong at 1");
  EXPECT_EQ(scan("[tru3"), "wrong at 4");
  EXPECT_EQ(scan("[\"\\x"), "wrong at 3");
  EXPECT_EQ(scan("x"), "wrong at 0");
  EXPECT_EQ(scan(std::string(201, '[')), "wrong at 200");
}

}  // namespace
}  // namespace puna::chat
