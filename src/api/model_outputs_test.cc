// What models of each family say, word for word (tests/data/api/model_outputs.json), through the
// whole server: every dialect, streamed and not, must tell the same thinking, text and calls. The
// marks of a family are control tokens of the vocabulary where they are for the model itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "chat/tool_format.h"
#include "tests/support/scripted_server.h"

namespace puna::api {
namespace {

// The ids of mini's vocabulary from here on are words that merges make last, and then its control
// tokens.
constexpr std::ptrdiff_t kFirstReplaced = 2030;

const Json& Tools() {
  static const Json kTools = Json::parse(R"([
    {"name": "get_weather", "description": "Weather of a city",
     "parameters": {"type": "object", "properties": {
       "city": {"type": "string", "description": "City"},
       "unit": {"type": "string", "description": "Unit", "enum": ["celsius", "fahrenheit"]}}, "required": ["city"]}},
    {"name": "plan_trip", "description": "Plans a trip",
     "parameters": {"type": "object", "properties": {
       "days": {"type": "integer", "description": "d"}, "ratio": {"type": "number", "description": "r"},
       "direct": {"type": "boolean", "description": "b"},
       "stops": {"type": "array", "description": "s", "items": {"type": "string"}},
       "hotel": {"type": "object", "description": "h", "additionalProperties": {"type": "string"}, "properties": {"name": {"type": "string", "description": "n"}, "stars": {"type": "integer", "description": "i"}}},
       "note": {"type": "string", "description": "t"}}, "required": ["days"]}}])");
  return kTools;
}

// An answer, whatever the dialect. Arguments are compared as values: formats order the keys.
struct Reply {
  std::string thinking, content;
  std::vector<std::pair<std::string, nlohmann::json>> calls;
  std::vector<std::string> ids;
  std::string reason;

  void Call(const Json& name, const Json& id, const Json& arguments) {
    calls.emplace_back(name.get<std::string>(),
                       nlohmann::json::parse(
                           arguments.is_string() ? arguments.get<std::string>() : arguments.dump(),
                           nullptr, false));
    ids.push_back(id.is_string() ? id.get<std::string>() : "");
  }
  std::string Show() const {
    std::string text = "thinking: " + thinking + "\ncontent: " + content + "\nreason: " + reason;
    for (const auto& [name, arguments] : calls) text += "\n" + name + " " + arguments.dump();
    return text;
  }
};

Reply ReadOllama(const std::vector<Json>& chunks) {
  Reply reply;
  for (const Json& chunk : chunks) {
    const Json& message = chunk["message"];
    reply.thinking += message.value("thinking", "");
    reply.content += message.value("content", "");
    for (const Json& call : message.value("tool_calls", Json::array())) {
      const Json& function = call["function"];
      EXPECT_EQ(function["index"], reply.calls.size());
      reply.Call(function["name"], call["id"], function["arguments"]);
    }
    if (chunk["done"] == true) reply.reason = chunk["done_reason"];
  }
  return reply;
}

Reply ReadOpenAi(const std::vector<Json>& chunks, bool stream) {
  Reply reply;
  std::map<int, Json> calls;
  const auto add = [](Json* to, const Json& part) {
    if (!part.is_string()) return;
    *to = (to->is_string() ? to->get<std::string>() : "") + part.get<std::string>();
  };
  for (const Json& chunk : chunks) {
    for (const Json& choice : chunk["choices"]) {
      const Json& message = choice[stream ? "delta" : "message"];
      reply.thinking += message.value("reasoning", "");
      if (message.contains("content") && message["content"].is_string())
        reply.content += message["content"].get<std::string>();
      for (const Json& part : message.value("tool_calls", Json::array())) {
        Json& call = calls[part["index"].get<int>()];
        if (part.contains("id")) call["id"] = part["id"];
        const Json& function = part["function"];
        for (const char* key : {"name", "arguments"}) {
          if (function.contains(key)) add(&call[key], function[key]);
        }
      }
      if (choice["finish_reason"].is_string()) reply.reason = choice["finish_reason"];
    }
  }
  for (const auto& [index, call] : calls) reply.Call(call["name"], call["id"], call["arguments"]);
  return reply;
}

// Streamed answers are read twice: from their pieces, and from the whole that ends them.
Reply ReadResponses(const std::vector<Json>& events, bool stream) {
  Reply reply, pieces;
  for (const Json& event : events) {
    const std::string type = event.value("type", "");
    if (type == "response.reasoning_summary_text.delta") pieces.thinking += event["delta"];
    if (type == "response.output_text.delta") pieces.content += event["delta"];
  }
  Json whole = events.back();
  if (stream) whole = whole["response"];
  for (const Json& item : whole["output"]) {
    if (item["type"] == "reasoning") reply.thinking += item["summary"][0]["text"];
    if (item["type"] == "message") reply.content += item["content"][0]["text"];
    if (item["type"] == "function_call")
      reply.Call(item["name"], item["call_id"], item["arguments"]);
  }
  reply.reason = whole["status"];
  if (stream) {
    EXPECT_EQ(pieces.thinking, reply.thinking);
    EXPECT_EQ(pieces.content, reply.content);
  }
  return reply;
}

Reply ReadAnthropic(const std::vector<Json>& events, bool stream) {
  Reply reply;
  std::vector<Json> blocks;
  if (!stream) {
    const Json& content = events[0]["content"];
    blocks.assign(content.begin(), content.end());
    reply.reason = events[0]["stop_reason"];
  }
  for (const Json& event : events) {
    const std::string type = event.value("type", "");
    if (type == "content_block_start") {
      EXPECT_EQ(event["index"], blocks.size());
      blocks.push_back(event["content_block"]);
      if (blocks.back()["type"] == "tool_use") blocks.back()["input"] = "";
    }
    if (type == "content_block_delta") {
      for (const auto& [from, to] : {std::pair("thinking", "thinking"), std::pair("text", "text"),
                                     std::pair("partial_json", "input")}) {
        if (event["delta"].contains(from))
          blocks.back()[to] =
              blocks.back()[to].get<std::string>() + event["delta"][from].get<std::string>();
      }
    }
    if (type == "message_delta") reply.reason = event["delta"]["stop_reason"];
  }
  for (const Json& block : blocks) {
    if (block["type"] == "thinking") reply.thinking += block["thinking"];
    if (block["type"] == "text") reply.content += block["text"];
    if (block["type"] == "tool_use") reply.Call(block["name"], block["id"], block["input"]);
  }
  return reply;
}

// The JSON values of an answer: lines, or the data of events, or the answer itself.
std::vector<Json> Values(const std::string& body) {
  std::vector<Json> values;
  size_t at = 0;
  while (at < body.size()) {
    const size_t end = std::min(body.find('\n', at), body.size());
    std::string line = body.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("data: ")) line.erase(0, 6);
    if (!line.starts_with('{')) continue;
    values.push_back(Json::parse(line, nullptr, false));
  }
  return values;
}

enum class Dialect { kOllama, kOpenAi, kResponses, kAnthropic };

class ModelOutputs : public testing::ScriptedServer {
 protected:
  // mini, with another template, and with control tokens in place of the words that it learned
  // last.
  void Create(const std::string& name, const std::string& chat_template,
              const std::vector<std::string>& control_tokens) {
    gguf::Writer writer;
    for (const gguf::KeyValue& entry : mini_->metadata()) {
      const std::string key(entry.key);
      if (key == "tokenizer.chat_template") {
        writer.Set(key, chat_template);
      } else if (key.ends_with(".context_length")) {
        writer.Set(key, uint32_t{16384});
      } else if (key == "tokenizer.ggml.tokens") {
        const gguf::Array& old = **mini_->GetArray(key);
        std::vector<std::string> tokens;
        for (int64_t i = 0; i < old.size(); ++i) tokens.emplace_back(old.string_at(i));
        std::copy(control_tokens.begin(), control_tokens.end(), tokens.begin() + kFirstReplaced);
        writer.Set(key, tokens);
      } else if (key == "tokenizer.ggml.token_type") {
        const gguf::Array& old = **mini_->GetArray(key);
        std::vector<int32_t> types;
        for (int64_t i = 0; i < old.size(); ++i)
          types.push_back(static_cast<int32_t>(old.integer_at(i)));
        std::fill_n(types.begin() + kFirstReplaced, control_tokens.size(),
                    static_cast<int32_t>(tokenizer::TokenKind::kControl));
        writer.Set(key, types);
      } else {
        writer.SetFrom(key, entry.value);
      }
    }
    for (const gguf::Tensor& tensor : mini_->tensors()) {
      writer.AddTensor(std::string(tensor.name), tensor.type,
                       {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims}, tensor.data);
    }
    const std::filesystem::path path = folder_.path() / "model.gguf";
    ASSERT_TRUE(writer.WriteFile(path));
    const std::string bytes = *ReadFile(path);
    const std::string digest = "sha256:" + Sha256Hex(bytes);
    PostBytes("/api/blobs/" + digest, bytes);
    const std::string created =
        Post("/api/create", {{"model", name}, {"files", {{"model.gguf", digest}}}});
    ASSERT_NE(created.find("success"), std::string::npos) << created;
    model_ = name;
    model_tokenizer_ = *tokenizer::Tokenizer::FromGguf(**gguf::File::Open(path));
  }

  std::string Body(Dialect dialect, bool stream) {
    Json body = {{"model", model_}, {"stream", stream}};
    Json tools = Json::array();
    for (const Json& tool : Tools()) {
      Json flat = tool;
      if (dialect == Dialect::kAnthropic) {
        flat["input_schema"] = flat["parameters"];
        flat.erase("parameters");
        tools.push_back(flat);
      } else if (dialect == Dialect::kResponses) {
        flat["type"] = "function";
        tools.push_back(flat);
      } else {
        tools.push_back({{"type", "function"}, {"function", flat}});
      }
    }
    body["tools"] = tools;
    if (dialect == Dialect::kAnthropic) body["max_tokens"] = 1000;
    body[dialect == Dialect::kResponses ? "input" : "messages"] =
        Json::array({{{"role", "user"}, {"content", "Weather in Quito?"}}});
    if (dialect == Dialect::kAnthropic)
      body["thinking"] = {{"type", "enabled"}, {"budget_tokens", 1024}};
    return DumpJson(body);
  }

  Reply Ask(Dialect dialect, bool stream, const std::string& text) {
    Say(text, false, model_tokenizer_.get());
    static const std::map<Dialect, const char*> kPaths = {
        {Dialect::kOllama, "/api/chat"},
        {Dialect::kOpenAi, "/v1/chat/completions"},
        {Dialect::kResponses, "/v1/responses"},
        {Dialect::kAnthropic, "/v1/messages"}};
    const std::string body = PostBytes(kPaths.at(dialect), Body(dialect, stream));
    const std::vector<Json> values = Values(body);
    EXPECT_FALSE(values.empty()) << body;
    if (values.empty()) return {};
    const bool failed = values[0].contains("error") && !values[0]["error"].is_null();
    EXPECT_FALSE(failed) << body;
    if (failed) return {};
    switch (dialect) {
      case Dialect::kOllama:
        return ReadOllama(values);
      case Dialect::kOpenAi:
        return ReadOpenAi(values, stream);
      case Dialect::kResponses:
        return ReadResponses(values, stream);
      default:
        return ReadAnthropic(values, stream);
    }
  }

  // All dialects, or Ollama's alone, must tell `output`.
  void Check(const Json& output, const std::string& text, bool all_dialects) {
    static const std::map<Dialect, std::pair<const char*, const char*>> kReasons = {
        {Dialect::kOllama, {"stop", "stop"}},
        {Dialect::kOpenAi, {"stop", "tool_calls"}},
        {Dialect::kResponses, {"completed", "completed"}},
        {Dialect::kAnthropic, {"end_turn", "tool_use"}}};
    for (const auto& [dialect, reasons] : kReasons) {
      if (!all_dialects && dialect != Dialect::kOllama) continue;
      Reply expected;
      expected.thinking = output["thinking"];
      expected.content = output["content"];
      for (const Json& call : output["calls"])
        expected.Call(call["name"], call.value("id", Json()), call["arguments"]);
      expected.reason = expected.calls.empty() ? reasons.first : reasons.second;
      for (const bool stream : {false, true}) {
        const Reply reply = Ask(dialect, stream, text);
        EXPECT_EQ(reply.Show(), expected.Show())
            << "dialect " << static_cast<int>(dialect) << (stream ? " streamed: " : ": ") << text;
        ASSERT_EQ(reply.ids.size(), expected.ids.size());
        for (size_t i = 0; i < reply.ids.size(); ++i) {
          if (expected.ids[i].empty()) {
            EXPECT_FALSE(reply.ids[i].empty());
          } else {
            EXPECT_EQ(reply.ids[i], expected.ids[i]);
          }
        }
      }
    }
  }

  static Json Families() {
    return Json::parse(*ReadFile(testing::SourcePath("tests/data/api/model_outputs.json")));
  }

  std::string model_;
  std::shared_ptr<const tokenizer::Tokenizer> model_tokenizer_;
};

std::vector<std::string> Strings(const Json& list) { return list.get<std::vector<std::string>>(); }

TEST_F(ModelOutputs, EveryDialectTellsWhatEveryFamilySays) {
  std::vector<std::string> missing;
  for (const chat::OutputFormat& format : chat::OutputFormats()) {
    if (!format.calls.call.empty()) missing.emplace_back(format.name);
  }
  int number = 0;
  for (const Json& family : Families()) {
    SCOPED_TRACE(family["family"].get<std::string>());
    std::string source =
        "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
        "{{ message.content }}<|im_end|>\n{%- endfor %}<|im_start|>assistant\n";
    source += family["prompt_end"].get<std::string>() + "{#";
    if (family["think"] == true) source += " <think></think>";
    for (const std::string& sign : Strings(family["signs"])) source += " " + sign;
    source += " tools #}";
    ASSERT_EQ(chat::DetectOutputFormat(source, true), family["format"].get<std::string>());
    std::erase(missing, family["format"].get<std::string>());
    Create("family-" + std::to_string(number++), source, Strings(family["control_tokens"]));
    for (const Json& output : family["outputs"]) Check(output, output["text"], true);
  }
  EXPECT_TRUE(missing.empty()) << missing.size() << " formats without a case, first " << missing[0];
}

// What is left to say behind a prompt that has opened the thinking already. False: it has closed
// it, so there is none to be had.
bool StartAs(const std::string& prompt, std::string* text) {
  static constexpr std::pair<std::string_view, std::string_view> kTags[] = {
      {"<think>", "</think>"}, {"<|START_THINKING|>", "<|END_THINKING|>"}};
  for (const auto& [open, close] : kTags) {
    if (prompt.ends_with(open)) {
      if (text->starts_with(open)) {
        text->erase(0, open.size());
      } else {
        text->insert(0, close);
      }
    } else if (prompt.ends_with(close) && text->starts_with(open)) {
      return false;
    }
  }
  return true;
}

TEST_F(ModelOutputs, TheFamilysOwnTemplateLeadsToTheSame) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates/jinja");
  int number = 0;
  for (const Json& family : Families()) {
    const std::string name = family["template"];
    if (name.empty()) continue;
    SCOPED_TRACE(name);
    Create("published-" + std::to_string(number++), *ReadFile(folder / (name + ".jinja")),
           Strings(family["control_tokens"]));
    Json debug = Json::parse(Body(Dialect::kOllama, false));
    debug["_debug_render_only"] = true;
    const Json rendered = Json::parse(Post("/api/chat", debug), nullptr, false);
    ASSERT_TRUE(rendered.contains("_debug_info")) << rendered;
    std::string prompt = rendered["_debug_info"]["rendered_template"];
    while (prompt.ends_with('\n')) prompt.pop_back();
    for (const Json& output : family["outputs"]) {
      std::string text = output["text"];
      if (StartAs(prompt, &text)) Check(output, text, false);
    }
  }
  EXPECT_GT(number, 30);
}

}  // namespace
}  // namespace puna::api
