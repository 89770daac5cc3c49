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
  options.format = format;
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
      {"</think>\nanswer", "|answer|"},
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
      {"{\"tool_calls\": [{\"name\": \"add\", \"parameters\": {\"a\": 1}}, {\"function\": "
       "{\"name\": \"find_town\"}}]}",
       R"(||0:add({"a":1})1:find_town({}))"},
      {"{\"tool_calls\": []}", R"(|{"tool_calls": []}|)"},
      {"{\"name\": \"add\", \"parameters\": {\"a\": -1e999, \"s\": \"\\\"1e999\"}}",
       R"(||0:add({"a":-1.7976931348623157e+308,"s":"\"1e999"}))"},
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
      {"Hm. [TOOL_CALLS]add[ARGS]{\"a\": 1}[TOOL_CALLS]x[ARGS]{}", R"(|Hm.|0:add({"a":1})1:x({}))"},
      {"[TOOL_CALLS]add[CALL_ID]i8[ARGS]{}[TOOL_CALLS]x[CALL_ID]i9[ARGS]{}",
       "||0:add({})i81:x({})i9"},
      {"[TOOL_CALLS]add{\"a\": 1}", R"(||0:add({"a":1}))"},
      {"[TOOL_CALLS]add[ARGS]{oops}", "|[TOOL_CALLS]add[ARGS]{oops}|"},
      {"[TOOL_CALLS]", "|[TOOL_CALLS]|"},
      {"[TOOL", "|[TOOL|"},
      {"[1] [2]", "|[1] [2]|"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(ParseAllWays(options, text), expected) << text;
}

// One call, text around calls, two calls, and what is none, in the form of each family.
struct FamilyCase {
  const char *format, *text, *expected;
};
const FamilyCase kFamilyCases[] = {
    {"qwen3-coder",
     "So.\n<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=s>\n two\n"
     "lines \n</parameter>\n</function>\n</tool_call>\n",
     R"(|So.|0:add({"a":1,"s":" two\nlines "}))"},
    {"qwen3-coder", "<function=add>\n</function>\n</tool_call> end", "|end|0:add({})"},
    {"qwen3-coder", "<tool_call>\n<function=add>\n<parameter=a>\n1\n</param",
     "|<tool_call>\n<function=add>\n<parameter=a>\n1\n</param|"},
    {"qwen3-coder", "<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>", "||0:add({})"},
    {"seed-oss",
     "<seed:tool_call>\n<function=add>\n<parameter=s>\n</parameter>\n</function>\n"
     "</seed:tool_call>",
     "||0:add({\"s\":\"\\n\"})"},
    {"glm",
     "Hm\n<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>5</arg_value>\n</tool_call>\n"
     "<tool_call>find_town</tool_call>",
     R"(|Hm|0:add({"a":5})1:find_town({}))"},
    {"glm", "<tool_call> none of these </tool_call>", "|<tool_call> none of these </tool_call>|"},
    {"hunyuan3",
     "<tool_calls:opensource>\n<tool_call:opensource>add<tool_sep:opensource>\n"
     "<arg_key:opensource>s</arg_key:opensource>\n<arg_value:opensource>5"
     "</arg_value:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
     R"(||0:add({"s":"5"}))"},
    {"minimax-m2",
     "<minimax:tool_call>\n<invoke name=\"add\">\n<parameter name=\"a\">7</parameter>\n</invoke>"
     "\n<invoke name=\"x\">\n</invoke>\n</minimax:tool_call>.",
     R"(|.|0:add({"a":7})1:x({}))"},
    {"minimax-m3",
     "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"add\">]<]minimax[>[<s>a<b"
     "]<]minimax[>[</s>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
     R"(||0:add({"s":"a<b"}))"},
    {"minimax-m3",
     "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"add\">]<]minimax[>[<o>"
     "]<]minimax[>[<l>]<]minimax[>[<item>1]<]minimax[>[</item>]<]minimax[>[</l>"
     "]<]minimax[>[<t>x]<]minimax[>[</t>]<]minimax[>[</o>]<]minimax[>[</invoke>\n",
     R"(||0:add({"o":{"l":[1],"t":"x"}}))"},
    {"minimax-m1", "<tool_calls>\n{\"name\": \"add\", \"arguments\": {}}\n</tool_calls>",
     "||0:add({})"},
    {"deepseek-v3.2",
     "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"add\">\n<｜DSML｜parameter name=\"a\" "
     "string=\"false\">[1]</｜DSML｜parameter>\n<｜DSML｜parameter name=\"q\" string=\"true\">3"
     "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
     R"(||0:add({"a":[1],"q":"3"}))"},
    {"deepseek-r1",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\": 1}\n"
     "```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>x\n```json\n{}\n```"
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     R"(||0:add({"a":1})1:x({}))"},
    {"deepseek-v3.1",
     "Yes<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"a\": "
     "1}<｜tool▁call▁end｜>"
     "<｜tool▁calls▁end｜>",
     R"(|Yes|0:add({"a":1}))"},
    {"deepseek-v3.1", "<｜tool▁calls▁begin｜>oops", "|<｜tool▁calls▁begin｜>oops|"},
    {"kimi-k2",
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>"
     "{\"a\": 1}<|tool_call_end|><|tool_call_begin|>functions.x:1<|tool_call_argument_begin|>{}"
     "<|tool_call_end|><|tool_calls_section_end|>",
     R"(||0:add({"a":1})functions.add:01:x({})functions.x:1)"},
    {"solar",
     "<|think|>So.<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>abc"
     "<|tool_call:name|>add<|tool_call:args|>{}<|tool_call:end|>",
     "So.||0:add({})abc"},
    {"solar", "<|content|>Yes.<|end|>", "|Yes.|"},
    {"functionary-v3.1", "Hi <function=add>{\"a\": 1}</function><function=x>{}</function>",
     R"(|Hi|0:add({"a":1})1:x({}))"},
    {"functionary-v3.2", "all\nHello>>>add\n{\"a\": 1}", R"(|Hello|0:add({"a":1}))"},
    {"functionary-v3.2", "add\n{}>>>x\n{}", "||0:add({})1:x({})"},
    {"functionary-v3.2", "all\n>>> 1 + 1 {", "|>>> 1 + 1 {|"},
    {"functionary-v2",
     "all\n<|content|>Hello\n<|from|>assistant\n<|recipient|>add\n<|content|>{\"a\": 1}<|stop|>",
     R"(|Hello|0:add({"a":1}))"},
    {"command-r",
     "Action: ```json\n[\n    {\n \"tool_name\": \"add\",\n \"parameters\": {\"a\": 1}\n }\n]```",
     R"(||0:add({"a":1}))"},
    {"command-r7b",
     "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"add\", \"parameters\": "
     "{}}\n]<|END_ACTION|>",
     "||0:add({})"},
    {"command-r7b", "<|START_RESPONSE|>Hello <b>!<|END_RESPONSE|>", "|Hello <b>!|"},
    {"cohere2", "<|START_TEXT|>Hello<|END_TEXT|>", "|Hello|"},
    {"gemma4", "<|tool_call>call:add{a:1,s:<|\"|>a}, \"b<|\"|>,l:[<|\"|>x<|\"|>,true]}<tool_call|>",
     R"(||0:add({"a":1,"s":"a}, \"b","l":["x",true]}))"},
    {"functiongemma", "<start_function_call>call:add{s:<escape>x<escape>}<end_function_call>",
     R"(||0:add({"s":"x"}))"},
    {"gemma", "```tool_code\nadd(a=1, s='x')\n```", R"(||0:add({"a":1,"s":"x"}))"},
    {"gemma", "```tool_code\nprint(1)\n```", "|```tool_code\nprint(1)\n```|"},
    {"gemma", "```json\n{\"name\": \"add\", \"parameters\": {}}\n```", "||0:add({})"},
    {"lfm2", "<|tool_call_start|>[add(a=-1.5, s=\"it's\"), x()]<|tool_call_end|>Wait",
     R"(|Wait|0:add({"a":-1.5,"s":"it's"})1:x({}))"},
    {"lfm2", "<|tool_call_start|>[add(1)]", "|<|tool_call_start|>[add(1)]|"},
    {"olmo3", "<function_calls>\nadd(a=[1, {'k': None}])\nx()\n</function_calls>",
     R"(||0:add({"a":[1,{"k":null}]})1:x({}))"},
    {"python", "[add(a=True), find_town()]", R"(||0:add({"a":true})1:find_town({}))"},
    {"python", "[add] is not it", "|[add] is not it|"},
    {"llama3", "<function=add>{\"a\": 1}</function>", R"(||0:add({"a":1}))"},
    {"llama3", "<|python_tag|>add.call(a=1)", R"(||0:add({"a":1}))"},
    {"llama3", "<|python_tag|>print(1)", "|<|python_tag|>print(1)|"},
    {"granite3", "<|tool_call|>[{\"name\": \"add\", \"arguments\": {}}]", "||0:add({})"},
    {"apriel", "<tool_calls>[{\"name\": \"add\", \"arguments\": {}, \"id\": \"i\"}]</tool_calls>",
     "||0:add({})i"},
    {"apriel", "Done.\n[END FINAL RESPONSE]", "|Done.\n|"},
    {"nemotron2", "<TOOLCALL>[{\"name\": \"add\", \"arguments\": {}}]</TOOLCALL>", "||0:add({})"},
    {"apertus", "<|tools_prefix|>[{\"add\": {\"a\": 1}}]<|tools_suffix|>", R"(||0:add({"a":1}))"},
    {"gigachat3",
     "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"add\", \"arguments\": {}}",
     "||0:add({})"},
    {"gigachat3.1", "<|function_call|>{\"name\": \"add\", \"arguments\": {}}", "||0:add({})"},
    {"firefunction", " functools[{\"name\": \"add\", \"arguments\": {}}]", "||0:add({})"},
    {"minicpm5",
     "<function name=\"add\"><param name=\"s\"><![CDATA[a</param>b]]></param></function>",
     R"(||0:add({"s":"a</param>b"}))"},
    {"glimmer",
     "<atem:function_calls>\n<atem:invoke name=\"add\">\n<atem:parameter name=\"a\">1"
     "</atem:parameter>\n</atem:invoke>\n</atem:function_calls>",
     R"(||0:add({"a":1}))"},
    {"harmony",
     "<|channel|>analysis<|message|>Hm <b>.<|end|><|start|>assistant<|channel|>final"
     "<|message|>Hello\n",
     "Hm <b>.|Hello\n|"},
    {"harmony",
     "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.add <|constrain|>json<|message|>{\"a\": 1}<|call|>",
     R"(A.||0:add({"a":1}))"},
    {"harmony", " to=functions.add<|channel|>commentary json<|message|>{}", "||0:add({})"},
    {"harmony",
     "<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant"
     "<|channel|>commentary to=functions.add<|message|>{}",
     "|Let me see.|0:add({})"},
    {"harmony", "Plain", "|Plain|"},
    {"harmony", "<|channel|>final<|message|>a<|chan", "|a<|chan|"},
    {"harmony", "<|channel|>analysis<|message|>a<|en", "a<|en||"},
};

TEST(OutputParser, CallsOfTheFamilies) {
  for (const FamilyCase& one : kFamilyCases) {
    OutputOptions options = With(one.format);
    options.tools[0] = {
        Json::parse(R"({"type": "function", "function": {"name": "add", "parameters": {
        "properties": {"a": {"type": ["integer", "string", "number", "boolean", "array"]},
                       "s": {"type": "string"}}}}})")};
    const OutputFormat* format = FindOutputFormat(one.format);
    ASSERT_NE(format, nullptr) << one.format;
    options.given = format->prefix;
    EXPECT_EQ(ParseAllWays(options, one.text), one.expected) << one.format << ": " << one.text;
  }
}

// What models write that their templates do not.
TEST(OutputParser, CallsBesideTheTemplates) {
  struct Case {
    const char *format, *text, *expected;
  };
  const Case cases[] = {
      {"harmony", "<|channel|>commentary to=functions.add json<|message|>{\"a\": 1}<|call|>",
       R"(||0:add({"a":1}))"},
      {"harmony",
       "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>analysis "
       "to=functions.add code<|message|>{\"a\": 1}<|call|>",
       R"(x||0:add({"a":1}))"},
      {"harmony",
       "<|start|>assistant to=functions.add<|channel|>commentary json<|message|>{\"a\": 1}",
       R"(||0:add({"a":1}))"},
      {"harmony",
       "<|start|>assistant to=functions.add<|channel|>commentary <|constrain|>json<|message|>{}",
       "||0:add({})"},
      {"harmony", "<|channel|>commentary to=functions.add json<|message|>not an object",
       "|<|channel|>commentary to=functions.add json<|message|>not an object|"},
      // A text like any other where the family's template has no such thing.
      {"glm",
       "<tool_call>add\n<arg_key>s</arg_key>\n<arg_value><![CDATA[x]]></arg_value>\n</tool_call>",
       R"(||0:add({"s":"<![CDATA[x]]>"}))"},
      {"glm",
       "<tool_call>add\n<arg_key>s</arg_key>\n<arg_value><![CDATA[ in "
       "RSS</arg_value>\n</tool_call>",
       R"(||0:add({"s":"<![CDATA[ in RSS"}))"},
      {"granite3", "<|tool_call|> [{\"name\": \"add\", \"arguments\": {}}]<|/tool_call|>",
       "||0:add({})"},
      {"gemma", "```tool_code\nprint(add(a=1))\n```", R"(||0:add({"a":1}))"},
      {"json", "```json\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n```",
       R"(||0:add({"a":1}))"},
      {"json", "```json\n{\"a\": 1}\n```", "|```json\n{\"a\": 1}\n```|"},
      // Cut off by a limit: within an escape, a tag, a surrogate pair.
      {"hermes", "<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"\\ud83d\\u",
       "|<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"\\ud83d\\u|"},
      {"hermes",
       "<tool_call>{\"name\": \"add\", \"arguments\": {\"s\": \"} ]{ \\\"\\ud83d\\ude00\"}}</too",
       "||0:add({\"s\":\"} ]{ \\\"\xF0\x9F\x98\x80\"})"},
      {"qwen3-coder", "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</func",
       "|<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</func|"},
  };
  for (const auto& [format, text, expected] : cases)
    EXPECT_EQ(ParseAllWays(With(format), text), expected) << format << ": " << text;
}

TEST(OutputParser, WhatThePromptWroteIsNoPartOfTheAnswer) {
  struct Case {
    const char *format, *text, *expected;
  };
  const Case cases[] = {
      {"harmony", "", "||"},
      {"harmony", "Plain", "|Plain|"},
      {"harmony", " plain <b>", "| plain <b>|"},
      {"harmony", "<|end|>", "||"},
      {"harmony", "<|return|>", "||"},
      {"harmony", "<|chan", "|<|chan|"},
      {"harmony", "<|channel|>final", "|<|channel|>final|"},
      {"harmony", "<|start|>assistant<|channel|>final<|message|>Hi", "|Hi|"},
      {"harmony", "<|channel|>final<|message|>Hi", "|Hi|"},
      {"functionary-v3.2", "", "||"},
      {"functionary-v3.2", "al", "|al|"},
      {"functionary-v3.2", "all\nHi", "|Hi|"},
      {"functionary-v2", "", "||"},
      {"functionary-v2", "all\n<|content|>Hi<|stop|>", "|Hi|"},
      {"functionary-v2", "nobody <|from|>", "|nobody <|from|>|"},
  };
  for (const auto& [format, text, expected] : cases) {
    OutputOptions options = With(format);
    options.given = FindOutputFormat(format)->prefix;
    EXPECT_EQ(ParseAllWays(options, text), expected) << format << ": " << text;
    options.tools.clear();
    EXPECT_EQ(ParseAllWays(options, text), expected) << format << " without tools: " << text;
  }
}

// A client may have sent an answer that ends within a mark.
TEST(OutputParser, AMarkThatThePromptBeganIsReadOn) {
  OutputOptions options = With("harmony");
  options.think_tags = {};
  options.starts_thinking = true;
  options.given = "<|channel|>analysis<|message|>Hm<|en";
  EXPECT_EQ(ParseAllWays(options, "d|><|start|>assistant<|channel|>final<|message|>Hello"),
            "|Hello|");
  EXPECT_EQ(ParseAllWays(options, "ter>"), "ter>||");
}

TEST(OutputParser, HarmonyHeadersMayTellTheTypeOfTheMessage) {
  const std::pair<const char*, const char*> cases[] = {
      {"<|channel|>final <|constrain|>json<|message|>{\"x\": 1}<|return|>", "|{\"x\": 1}|"},
      {"<|channel|>final<|constrain|>json<|message|>a", "|a|"},
      {"<|channel|>final json<|message|>a", "|a|"},
      {"<|channel|>final <|message|>a", "|a|"},
      {"<|channel|>analysis <|message|>a", "a||"},
      {"<|channel|>analysis code<|message|>a<|end|><|start|>assistant<|channel|>final "
       "<|constrain|>JSON<|message|>b",
       "a|b|"},
      {"<|channel|>final <|constrain|>json", "|<|channel|>final <|constrain|>json|"},
      {"<|channel|>final a <b> c<|message|>d", "|<|channel|>final a <b> c<|message|>d|"},
      {"<|channel|>analysis<|end|><|start|>assistant<|channel|>final<|message|>Hi",
       "|<|channel|>analysis<|end|>Hi|"},
      {"<|channel|>analysis to=functions.add code<|message|>{}", "||0:add({})"},
  };
  for (const auto& [text, expected] : cases) {
    OutputOptions options = With("harmony");
    EXPECT_EQ(ParseAllWays(options, text), expected) << text;
    options.given = FindOutputFormat("harmony")->prefix;
    EXPECT_EQ(ParseAllWays(options, text), expected) << text;
  }
}

TEST(OutputParser, ACompleteCallEndsThinkingThatWasNotClosed) {
  const std::string hermes = "<tool_call>\n{\"name\": \"add\", \"arguments\": {}}\n</tool_call>";
  const std::string coder = "<tool_call>\n<function=add>\n</function>\n</tool_call>";
  const std::string glm = "<tool_call>add</tool_call>";
  for (const auto& [format, call] : std::vector<std::pair<const char*, std::string>>{
           {"hermes", hermes}, {"qwen3-coder", coder}, {"glm", glm}}) {
    OutputOptions options = With(format);
    EXPECT_EQ(ParseAllWays(options, "<think>hm\n" + call), "hm\n||0:add({})") << format;
    options.starts_thinking = true;
    EXPECT_EQ(ParseAllWays(options, call), "||0:add({})") << format;
    EXPECT_EQ(ParseAllWays(options, "hm\n" + call + "\n" + call), "hm\n||0:add({})1:add({})");
    EXPECT_EQ(ParseAllWays(options, "a" + call + "\n</think>\nDone </think>."),
              "a|Done </think>.|0:add({})")
        << format;
    EXPECT_EQ(ParseAllWays(options, "say <tool_call> <</think>\nDone" + call),
              "say <tool_call> <|Done|0:add({})")
        << format;
    EXPECT_EQ(ParseAllWays(options, "cut " + call.substr(0, call.size() / 2)),
              "cut " + call.substr(0, call.size() / 2) + "||")
        << format;
    OutputOptions without = options;
    without.tools.clear();
    EXPECT_EQ(ParseAllWays(without, "a" + call), "a" + call + "||") << format;
  }
  OutputOptions options = With("hermes");
  options.starts_thinking = true;
  EXPECT_EQ(ParseAllWays(options, "<tool_call><tool_call" + hermes),
            "<tool_call><tool_call||0:add({})");
  options.format = "glm";
  EXPECT_EQ(ParseAllWays(options, "<tool_call>other</tool_call></think>yes"),
            "<tool_call>other</tool_call>|yes|")
      << "not a declared tool";
}

TEST(OutputParser, AnOpeningTagBehindThatOfThePromptIsNoThinking) {
  OutputOptions options = With("hermes");
  options.starts_thinking = true;
  EXPECT_EQ(ParseAllWays(options, "\n<think>\nhm</think>yes"), "hm|yes|");
  EXPECT_EQ(ParseAllWays(options, "<think><think>hm</think>yes"), "<think>hm|yes|");
  EXPECT_EQ(ParseAllWays(options, "<thin</think>yes"), "<thin|yes|");
  EXPECT_EQ(ParseAllWays(options, "<thin"), "<thin||");
  EXPECT_EQ(ParseAllWays(options, "</think>yes"), "|yes|");
}

TEST(OutputParser, ThinkingMayComeAgain) {
  struct Case {
    const char *text, *expected;
  };
  OutputOptions gemma = With("gemma4");
  gemma.think_tags = {"<|channel>thought", "<channel|>"};
  const Case of_gemma[] = {
      {"<|channel>thought\nhm<channel|>A.<|channel>thought\n more <channel|> B.", "hmmore |A.B.|"},
      {"Hi <|channel>thought\nhm<channel|>there", "hm|Hi there|"},
      {"A<|channel>thought\n<channel|><|tool_call>call:add{}<tool_call|>", "|A|0:add({})"},
      {"<|tool_call>call:add{s:<|\"|><|channel>thought<|\"|>}<tool_call|>",
       "||0:add({\"s\":\"<|channel>thought\"})"},
      {"A<|channel>thou", "|A<|channel>thou|"},
      {"A<|channel>thought\n", "|A|"},
  };
  for (const auto& [text, expected] : of_gemma)
    EXPECT_EQ(ParseAllWays(gemma, text), expected) << text;
  OutputOptions mistral = With("ministral");
  mistral.think_tags = {"[THINK]", "[/THINK]"};
  const Case of_mistral[] = {
      {"[THINK]a[/THINK]b[THINK]c[/THINK] d", "ac|bd|"},
      {"b[THINK]c[/THINK][TOOL_CALLS]add[ARGS]{}", "c|b|0:add({})"},
      {"b [THINK", "|b [THINK|"},
  };
  for (const auto& [text, expected] : of_mistral)
    EXPECT_EQ(ParseAllWays(mistral, text), expected) << text;
  mistral.tools.clear();
  EXPECT_EQ(ParseAllWays(mistral, "b[THINK]c[/THINK]d"), "c|bd|");
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
  std::vector<std::string> names = {"go"};
  for (const OutputFormat& format : OutputFormats()) names.emplace_back(format.name);
  for (const std::string& format : names) {
    std::vector<std::string> own(std::begin(pieces), std::end(pieces));
    if (const OutputFormat* found = FindOutputFormat(format)) {
      for (const CallPattern& pattern : {found->calls, found->calls, found->calls}) {
        for (const std::string& text :
             {pattern.open, pattern.call, pattern.close, pattern.pair, found->thinking}) {
          for (const PatternElement& element : ParsePattern(text)) {
            if (!element.text.empty()) own.push_back(element.text);
          }
        }
      }
    }
    for (int round = 0; round < 200; ++round) {
      std::string text;
      for (size_t i = random() % 12; i > 0; --i) text += own[random() % own.size()];
      OutputOptions options = With(format, round % 2 == 0 ? "<tool_call>" : "{");
      options.starts_thinking = round % 5 == 0;
      const std::string whole = Parse(options, text, [&] { return text.size() + 1; });
      ASSERT_EQ(Parse(options, text, [] { return size_t{1}; }), whole) << format << ": " << text;
      if (format == "none" && text.find("think>") == std::string::npos &&
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
  EXPECT_EQ(options("<tool_call></tool_call>").format, "hermes");
  EXPECT_EQ(options("[TOOL_CALLS]").format, "mistral");
  EXPECT_EQ(options("<|python_tag|>").format, "llama3");
  EXPECT_EQ(options("tools").format, "json");
  EXPECT_TRUE(options("<think></think>", "<|assistant|><think>\n").starts_thinking);
  EXPECT_FALSE(options("<think></think>", "<think></think>\n").starts_thinking);
  EXPECT_TRUE(options("plain", "<think>").think_tags.empty());
  EXPECT_EQ(OutputOptionsFor(*PromptTemplate::Default(), request, "").format, "go");
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
