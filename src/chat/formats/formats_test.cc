// The templates of published models are the oracle: what they render for a call that was made is
// what the model says when it makes one, so reading it must give the same call.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "chat/chat.h"
#include "chat/tool_format.h"
#include "chat/tool_grammar.h"
#include "tests/support/shared_data.h"

namespace puna::chat {
namespace {

std::vector<Tool> Tools() {
  const char* definitions[] = {
      R"({"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
          "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "City"},
          "unit": {"type": "string", "description": "Unit", "enum": ["celsius", "fahrenheit"]}}, "required": ["city"]}}})",
      R"({"type": "function", "function": {"name": "plan_trip", "description": "Plans a trip",
          "parameters": {"type": "object", "properties": {
          "days": {"type": "integer", "description": "d"}, "ratio": {"type": "number", "description": "r"},
          "direct": {"type": "boolean", "description": "b"},
          "stops": {"type": "array", "description": "s", "items": {"type": "string"}},
          "hotel": {"type": "object", "description": "h", "additionalProperties": {"type": "string"}, "properties": {"name": {"type": "string", "description": "n"},
                    "stars": {"type": "integer", "description": "i"}}},
          "note": {"type": "string", "description": "t"}}, "required": ["days"]}}})"};
  std::vector<Tool> tools;
  for (const char* definition : definitions) tools.push_back({Json::parse(definition)});
  return tools;
}

// The calls of one message. Keys are in the order of the alphabet, which some templates make.
std::vector<std::vector<ToolCall>> Conversations() {
  const auto call = [](const char* id, const char* name, const char* arguments) {
    ToolCall made;
    made.id = id;
    made.name = name;
    made.arguments = Json::parse(arguments);
    return made;
  };
  const ToolCall weather =
      call("abcdefgh1", "get_weather", R"({"city": "Quito", "unit": "celsius"})");
  const ToolCall trip = call("abcdefgh2", "plan_trip",
                             R"({"days": 3, "direct": true, "hotel": {"name": "Inn", "stars": 4},
           "note": "true", "ratio": -2.5, "stops": ["Oslo", "Bergen"]})");
  const ToolCall note = call("abcdefgh3", "plan_trip",
                             R"({"days": 12, "note": "Two\nlines, a } and a ], \u00e9, a < b."})");
  return {{weather}, {trip}, {note}, {weather, note}};
}

Message Says(std::string role, std::string content) {
  Message message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

// Texts of tokens that end the answer. Some templates open the next turn behind them.
constexpr std::string_view kEnds[] = {"<|im_end|>",
                                      "<|eot_id|>",
                                      "<|eom_id|>",
                                      "<|end_of_text|>",
                                      "<|END_OF_TURN_TOKEN|>",
                                      "<|START_OF_TURN_TOKEN|>",
                                      "<｜end▁of▁sentence｜>",
                                      "</s>",
                                      "<|call|>",
                                      "<|calls|>",
                                      "[e~[",
                                      "<turn|>",
                                      "<seed:eos>",
                                      "<|observation|>",
                                      "</assistant>",
                                      "<SPECIAL_12>",
                                      "<sep>",
                                      "<｜hy_eos:opensource｜>",
                                      "<|assistant_end|>",
                                      "<|return|>",
                                      "<|stop|>",
                                      "<|tool_response>"};
// And those that may stand within one.
constexpr std::string_view kLastEnds[] = {"<|end|>", "<|message_sep|>"};

class PublishedTemplate {
 public:
  explicit PublishedTemplate(const std::filesystem::path& path) {
    const Result<std::string> source = ReadFile(path);
    if (source) template_ = *PromptTemplate::FromJinja(*source, "<s>", "</s>");
  }
  const PromptTemplate& get() const { return *template_; }

  // What the model said to make the calls, and the prompt it was given; or why there is none.
  std::string Answer(const std::vector<ToolCall>& calls, PromptRequest* request,
                     std::string* prompt) const {
    std::string best;
    for (int think = -1; think < 2; ++think) {
      request->think.is_set = think >= 0;
      request->think.on = think == 1;
      request->messages = {Says("user", "Weather in Quito?")};
      request->add_generation_prompt = true;
      const Result<std::string> asked = template_->Render(*request);
      if (!asked) return asked.error().message;
      request->messages.push_back(Says("assistant", ""));
      request->messages.back().tool_calls = calls;
      request->add_generation_prompt = false;
      const Result<std::string> whole = template_->Render(*request);
      if (!whole) return whole.error().message;
      size_t same = 0;
      while (same < std::min(asked->size(), whole->size()) && (*asked)[same] == (*whole)[same])
        ++same;
      // Not in the middle of a tag.
      const size_t tag = whole->find_last_of("<[>]", same == 0 ? 0 : same - 1);
      if (same < asked->size() && tag != std::string::npos &&
          ((*whole)[tag] == '<' || (*whole)[tag] == '['))
        same = tag;
      if (same <= prompt->size()) continue;
      *prompt = whole->substr(0, same);
      best = whole->substr(same);
    }
    // The one turn whose opening differs from what the prompt has in its place.
    static constexpr std::string_view kRole = "<|CHATBOT_TOKEN|>";
    if (best.starts_with(kRole)) best.erase(0, kRole.size());
    for (const std::string_view end : kEnds) best.resize(std::min(best.find(end), best.size()));
    const auto trim = [&] {
      while (!best.empty() && (best.back() == '\n' || best.back() == ' ')) best.pop_back();
    };
    trim();
    for (const std::string_view end : kLastEnds) {
      if (best.ends_with(end)) best.resize(best.size() - end.size());
    }
    trim();
    return best;
  }

 private:
  std::shared_ptr<const PromptTemplate> template_;
};

OutputDelta Parse(const OutputOptions& options, std::string_view text, size_t step) {
  OutputParser parser(options);
  OutputDelta all;
  const auto join = [&](OutputDelta part) {
    all.content += part.content;
    all.thinking += part.thinking;
    std::move(part.tool_calls.begin(), part.tool_calls.end(), std::back_inserter(all.tool_calls));
  };
  for (size_t at = 0; at < text.size(); at += step) join(parser.Add(text.substr(at, step)));
  join(parser.Finish());
  return all;
}

std::string Show(const std::vector<ToolCall>& calls) {
  std::string text;
  for (const ToolCall& call : calls) {
    // The order of the keys does not count.
    text += call.name + nlohmann::json::parse(call.arguments.dump()).dump();
  }
  return text;
}

// Templates of models that call no tools, or that leave the calls of earlier turns out.
const std::set<std::string>& Silent() {
  static const std::set<std::string> kSilent = {
      "HuggingFaceTB-SmolLM3-3B", "LFM2-8B-A1B",
      "LFM2.5-Instruct",          "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
      "google-gemma-2-2b-it",     "ibm-granite-granite-3.3-2B-Instruct",
      "llama-cpp-rwkv-world",     "microsoft-Phi-3.5-mini-instruct"};
  return kSilent;
}

TEST(OutputFormats, ReadWhatTheTemplatesRender) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates/jinja");
  int templates = 0, renderings = 0;
  std::map<std::string, std::string> formats;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string name = entry.path().stem().string();
    SCOPED_TRACE(name);
    const PublishedTemplate published(entry.path());
    bool any = false;
    for (const std::vector<ToolCall>& calls : Conversations()) {
      PromptRequest request;
      request.tools = Tools();
      std::string prompt;
      const std::string answer = published.Answer(calls, &request, &prompt);
      const bool shown = answer.find(calls[0].name) != std::string::npos;
      if (Silent().contains(name)) {
        EXPECT_FALSE(shown) << answer;
        continue;
      }
      // Some templates refuse several calls, or write the first one only.
      if (!shown && calls.size() > 1) continue;
      std::vector<ToolCall> said = calls;
      if (answer.find(said.back().name) == std::string::npos) said.pop_back();
      EXPECT_TRUE(shown) << answer;
      const OutputOptions options = OutputOptionsFor(published.get(), request, prompt);
      formats[name] = options.format;
      const OutputDelta whole = Parse(options, answer, answer.size() + 1);
      EXPECT_EQ(Show(whole.tool_calls), Show(said)) << options.format << ": " << answer;
      EXPECT_EQ(whole.content, "") << options.format << ": " << answer;
      EXPECT_EQ(whole.thinking, "") << options.format << ": " << answer;
      const OutputDelta bytes = Parse(options, answer, 1);
      EXPECT_EQ(Show(bytes.tool_calls) + bytes.content, Show(whole.tool_calls) + whole.content);
      any = true;
      ++renderings;
    }
    templates += any;
  }
  EXPECT_GE(templates, 57);
  EXPECT_GE(renderings, 4 * 50);
  for (const auto& [name, format] : formats) RecordProperty(name, format);
}

}  // namespace
}  // namespace puna::chat
