// Calls that were made to happen: whatever a model picks, its text parses into calls that obey the
// tools' schemas.
#include "chat/tool_grammar.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "chat/chat.h"
#include "chat/tool_format.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/vocabulary.h"

namespace puna::chat {
namespace {

std::vector<Tool> Tools() {
  const char* definitions[] = {
      R"({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
          "properties": {"city": {"enum": ["Paris", "Oslo \"N\""]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
          "required": ["city"]}}})",
      R"({"type": "function", "function": {"name": "stop"}})",
      R"({"type": "function", "function": {"name": "pick", "parameters": {"properties": {"of": {"$ref": "#/$defs/flags"}},
          "required": ["of"], "$defs": {"flags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}}}}})",
      R"({"type": "function", "function": {"name": "say", "parameters": {"type": "object", "properties": {
          "word": {"type": "string", "maxLength": 3}, "loud": {"type": "boolean"},
          "mark": {"type": ["string", "integer"], "pattern": "^[a-c<]{2}$", "minimum": 4, "maximum": 6}}}}})"};
  std::vector<Tool> tools;
  for (const char* definition : definitions) tools.push_back({Json::parse(definition)});
  return tools;
}

struct Way {
  std::string format, tag;
};
const std::vector<Way>& Ways() {
  static const std::vector<Way> kWays = [] {
    std::vector<Way> ways = {
        {"go", "{"}, {"go", "[TOOL_CALLS]"}, {"go", "<tool_call>"}, {"go", "["}};
    for (const OutputFormat& format : OutputFormats()) {
      if (!format.calls.call.empty()) ways.push_back({std::string(format.name), ""});
    }
    return ways;
  }();
  return kWays;
}

OutputOptions OptionsOf(const Way& way) {
  OutputOptions options;
  options.tools = Tools();
  options.format = way.format;
  options.tool_call_tag = way.tag;
  if (const OutputFormat* format = FindOutputFormat(way.format)) options.given = format->prefix;
  return options;
}

// Texts that a grammar accepts, chosen byte by byte at random.
class RandomWriter {
 public:
  RandomWriter() {
    tokenizer::testing::SmallVocabulary vocabulary(tokenizer::Algorithm::kSentencePiece);
    vocabulary.source().unknown = vocabulary.Add("<unk>", tokenizer::TokenKind::kUnknown);
    vocabulary.source().eos = vocabulary.Add("</s>", tokenizer::TokenKind::kControl);
    for (int byte = 0; byte < 256; ++byte) {
      vocabulary.Add(tokenizer::ByteTokenText(static_cast<uint8_t>(byte)),
                     tokenizer::TokenKind::kByte);
    }
    // Ends thinking, which random bytes would hardly do.
    for (const char* text : {"<|end|>", "<|call|>", "<|return|>"})
      vocabulary.Add(text, tokenizer::TokenKind::kControl);
    tokenizer_ = vocabulary.Make();
    trie_ = grammar::MakeTokenTrie(tokenizer_);
  }

  std::string Write(const grammar::Part& part) {
    const auto compiled = grammar::Grammar::Compile(part);
    EXPECT_TRUE(compiled.has_value()) << compiled.error().message;
    grammar::Matcher matcher(std::make_shared<const grammar::Constraint>(*compiled, trie_));
    std::string text;
    while (text.size() < 100'000) {
      const auto mask = *matcher.Mask();
      std::vector<grammar::TokenId> choices;
      for (grammar::TokenId token = 0; token < tokenizer_->vocabulary_size(); ++token) {
        if ((mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0)
          choices.push_back(token);
      }
      if (choices.empty()) break;
      const grammar::TokenId token = choices[random_() % choices.size()];
      if (tokenizer_->IsEndOfGeneration(token)) return text;
      EXPECT_TRUE(matcher.Accept(token).has_value());
      text += tokenizer_->PieceOf(token, /*with_special=*/true);
    }
    ADD_FAILURE() << "no end: " << text.substr(0, 200);
    return text;
  }

 private:
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::shared_ptr<const grammar::TokenTrie> trie_;
  std::mt19937 random_{11};
};

void ExpectObeys(const ToolCall& call) {
  const Json& a = call.arguments;
  if (call.name == "get_weather") {
    EXPECT_TRUE(a["city"] == "Paris" || a["city"] == "Oslo \"N\"") << a;
    if (a.contains("days")) {
      EXPECT_TRUE(a["days"] >= 1 && a["days"] <= 9) << a;
    }
    EXPECT_LE(a.size(), 2u);
  } else if (call.name == "pick") {
    EXPECT_TRUE(a["of"].is_array() && a["of"].size() <= 2) << a;
  } else if (call.name == "say") {
    if (a.contains("word")) {
      EXPECT_TRUE(a["word"].is_string()) << a;
    }
    if (a.contains("loud")) {
      EXPECT_TRUE(a["loud"].is_boolean()) << a;
    }
    if (a.contains("mark")) {
      EXPECT_TRUE(a["mark"].is_string() ? a["mark"].get<std::string>().size() == 2
                                        : a["mark"] >= 4 && a["mark"] <= 6)
          << a;
    }
    EXPECT_LE(a.size(), 3u);
  } else {
    EXPECT_EQ(call.name, "stop");
    EXPECT_TRUE(a.is_object());
  }
}

std::vector<ToolCall> Parse(const OutputOptions& options, const std::string& text) {
  OutputParser parser(options);
  OutputDelta all = parser.Add(text);
  OutputDelta rest = parser.Finish();
  all.content += rest.content;
  all.tool_calls.insert(all.tool_calls.end(), rest.tool_calls.begin(), rest.tool_calls.end());
  EXPECT_EQ(all.content, "") << text;
  return all.tool_calls;
}

TEST(ToolGrammar, WhatItAllowsParsesIntoCallsThatObeyTheSchemas) {
  RandomWriter writer;
  for (const Way& way : Ways()) {
    const OutputOptions options = OptionsOf(way);
    for (const bool several : {false, true}) {
      const auto part = ToolCallsPart(options, "", several, false);
      ASSERT_TRUE(part.has_value()) << part.error().message;
      for (int round = 0; round < 6; ++round) {
        const std::string text = writer.Write(*part);
        const std::vector<ToolCall> calls = Parse(options, text);
        EXPECT_FALSE(calls.empty()) << way.format << way.tag << ": " << text;
        if (!several || way.format == "harmony") {
          EXPECT_EQ(calls.size(), 1u) << text;
        }
        for (const ToolCall& call : calls) ExpectObeys(call);
      }
    }
  }
}

TEST(ToolGrammar, OnlyTheNamedTool) {
  RandomWriter writer;
  for (const Way& way : Ways()) {
    const OutputOptions options = OptionsOf(way);
    const auto part = ToolCallsPart(options, "pick", false, false);
    ASSERT_TRUE(part.has_value()) << part.error().message;
    const std::vector<ToolCall> calls = Parse(options, writer.Write(*part));
    ASSERT_EQ(calls.size(), 1u) << way.format << way.tag;
    EXPECT_EQ(calls[0].name, "pick");
  }
}

TEST(ToolGrammar, AcceptsWhatModelsWrite) {
  const auto accepts = [](const Way& way, const std::string& text) {
    return (*grammar::Grammar::Compile(*ToolCallsPart(OptionsOf(way), "", true, false)))
        ->Accepts(text);
  };
  EXPECT_TRUE(
      accepts({"hermes", ""},
              "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\", "
              "\"days\": 3}}\n"
              "</tool_call>\n<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_TRUE(accepts({"llama3", ""},
                      "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}"));
  EXPECT_TRUE(accepts({"mistral", ""}, "[TOOL_CALLS] [{\"name\": \"stop\", \"arguments\": {}}]"));
  EXPECT_TRUE(accepts({"ministral", ""}, "[TOOL_CALLS]stop[ARGS]{}"));
  EXPECT_FALSE(
      accepts({"llama3", ""}, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\"}}"));
  EXPECT_FALSE(accepts({"llama3", ""}, "{\"name\": \"other\", \"parameters\": {}}"));
}

TEST(ToolGrammar, ThinkingAndContentAreFramedAsTheFamilyDoes) {
  const auto accepts = [](const char* format, const std::string& text) {
    const OutputOptions options = OptionsOf({format, ""});
    const auto part = AnswerPart(grammar::Part::Text("{}"), options, false);
    return (*grammar::Grammar::Compile(part))->Accepts(text);
  };
  EXPECT_TRUE(accepts("harmony", "<|channel|>final<|message|>{}"));
  EXPECT_TRUE(accepts("harmony",
                      "<|channel|>analysis<|message|>Any {thing.<|end|><|start|>assistant"
                      "<|channel|>final<|message|>{}"));
  EXPECT_FALSE(accepts("harmony", "<|channel|>final<|message|>no"));
  EXPECT_FALSE(accepts("harmony", "{}"));
  EXPECT_TRUE(accepts("solar", "<|think|>Hm.<|end|><|begin|>assistant<|content|>{}"));
  EXPECT_TRUE(accepts("functionary-v3.2", "all\n{}"));
  EXPECT_TRUE(accepts("command-r7b", "<|START_RESPONSE|>{}<|END_RESPONSE|>"));
  EXPECT_TRUE(accepts("hermes", "{}"));

  OutputOptions options = OptionsOf({"hermes", ""});
  options.think_tags = {"<think>", "</think>"};
  const auto call = *ToolCallsPart(options, "stop", false, /*thinks=*/true);
  const std::string text = "<tool_call>\n{\"name\": \"stop\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE((*grammar::Grammar::Compile(call))->Accepts("<think>\nWell.\n</think>\n" + text));
  EXPECT_TRUE((*grammar::Grammar::Compile(call))->Accepts(text));
}

TEST(ToolGrammar, NamesWhatAFormCannotSay) {
  OutputOptions options = OptionsOf({"glm", ""});
  options.tools = {{Json::parse(R"({"type": "function", "function": {"name": "f",
      "parameters": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}}})")}};
  const auto part = ToolCallsPart(options, "", true, false);
  ASSERT_FALSE(part.has_value());
  EXPECT_EQ(part.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(part.error().message.find("\"anyOf\""), std::string::npos) << part.error().message;
}

TEST(ToolGrammar, SaysWhatIsMissing) {
  OutputOptions options = OptionsOf({"hermes", ""});
  EXPECT_EQ(ToolCallsPart(options, "nothing", true, false).error().message,
            "there is no tool named \"nothing\"");
  options.tools.clear();
  EXPECT_EQ(ToolCallsPart(options, "", true, false).error().message,
            "a tool call is required, and there are no tools");
  options = OptionsOf({"unheard of", ""});
  EXPECT_EQ(ToolCallsPart(options, "", true, false).error().code, ErrorCode::kUnsupported);
}

// Formats that write arguments one by one repeat the definitions for each that refers to some, and
// what may come behind each that may come first.
TEST(ToolGrammar, ManyArgumentsAreBounded) {
  const auto named = [](int count, const auto& schema) {
    Json all = Json::object();
    for (int i = 0; i < count; ++i) all["d" + std::to_string(i)] = schema(i);
    return all;
  };
  const auto plain = [](int) { return Json{{"type", "integer"}}; };
  const auto referring = [](int i) { return Json{{"$ref", "#/$defs/d" + std::to_string(i)}}; };
  const Json definitions = named(1000, plain);
  int refused = 0;
  for (const Way& way : Ways()) {
    OutputOptions options = OptionsOf(way);
    const auto message = [&](const Json& properties) -> std::string {
      const Json parameters = {{"properties", properties}, {"$defs", definitions}};
      options.tools = {{{{"function", {{"name", "f"}, {"parameters", parameters}}}}}};
      const auto part = ToolCallsPart(options, "", /*several=*/true, /*thinks=*/false);
      return part ? "" : part.error().message;
    };
    EXPECT_EQ(message(named(200, plain)), "") << way.format;
    EXPECT_EQ(message(named(40, referring)), "") << way.format;
    refused += message(named(1000, referring)).find("100000 parts") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace puna::chat
