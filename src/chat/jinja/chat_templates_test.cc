// The published chat templates under shared/data, rendered as Python's Jinja renders them: every
// text equal, and an error wherever Python has one.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "chat/chat.h"
#include "chat/tool_format.h"
#include "tests/support/shared_data.h"

namespace puna::chat {
namespace {
namespace fs = std::filesystem;

Json ReadJson(const fs::path& path) {
  std::ifstream in(path);
  return Json::parse(in);
}

TEST(ChatTemplates, RenderAsPythonDoes) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates");
  const Json cases = ReadJson(folder / "expected/cases.json");
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(folder / "jinja")) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string name = entry.path().stem().string();
    SCOPED_TRACE(name);
    const Result<std::string> source = ReadFile(entry.path());
    ASSERT_TRUE(source) << source.error().message;
    const Json expected = ReadJson(folder / "expected" / (name + ".json"));
    for (const auto& [case_name, variables] : cases.items()) {
      SCOPED_TRACE(case_name);
      const Result<std::string> got = RenderJinja(*source, variables);
      const Json& want = expected.at(case_name);
      if (want.contains("error")) {
        EXPECT_FALSE(got) << "Python says: " << want["error"];
      } else {
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_EQ(*got, want["text"].get<std::string>());
      }
      ++compared;
    }
  }
  EXPECT_GE(compared, 65 * 5);
}

Message Say(std::string role, std::string content) {
  Message message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

Tool Weather() {
  return {Json::parse(
      R"({"type": "function", "function": {"name": "weather", "description": "w", "parameters":
          {"type": "object", "properties": {"city": {"type": "string", "description": "c"}}}}})")};
}

Message Call(const std::vector<std::string>& ids) {
  Message message = Say("assistant", "");
  for (const std::string& id : ids) {
    const int index = static_cast<int>(message.tool_calls.size());
    message.tool_calls.push_back({id, index, "weather", {{"city", "Oslo"}}});
  }
  return message;
}

Message ResultOf(const std::string& id) {
  Message message = Say("tool", "sunny");
  message.tool_name = "weather";
  message.tool_call_id = id;
  return message;
}

std::vector<std::pair<std::string, std::shared_ptr<const PromptTemplate>>> AllTemplates(
    const fs::path& folder) {
  std::vector<std::pair<std::string, std::shared_ptr<const PromptTemplate>>> all;
  for (const auto& entry : fs::directory_iterator(folder / "jinja")) {
    if (entry.path().extension() != ".jinja") continue;
    all.emplace_back(entry.path().stem().string(),
                     *PromptTemplate::FromJinja(*ReadFile(entry.path()), "<s>", "</s>"));
  }
  return all;
}

TEST(ChatTemplates, ContinueAnAnswer) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates");
  for (const auto& [name, prompt_template] : AllTemplates(folder)) {
    SCOPED_TRACE(name);
    PromptRequest request;
    request.tools = {Weather()};  // one template knows no conversation without
    request.messages = {Say("user", "Who are you?"), Say("assistant", "I am the ")};
    const auto text = prompt_template->Render(request);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_TRUE(text->ends_with("I am the ")) << *text;
    EXPECT_EQ(text->find("\xEF\xBF\xBF"), std::string::npos);
    OutputParser parser(OutputOptionsFor(*prompt_template, request, *text));
    OutputDelta rest = parser.Add(" <one>");
    EXPECT_EQ(rest.content + parser.Finish().content, " <one>");
    if (!prompt_template->capabilities().thinking) continue;
    request.messages.back() = Say("assistant", "");
    request.messages.back().thinking = "They ask who";
    const auto thought = prompt_template->Render(request);
    ASSERT_TRUE(thought) << thought.error().message;
    EXPECT_TRUE(thought->ends_with("They ask who")) << *thought;
    const OutputOptions options = OutputOptionsFor(*prompt_template, request, *thought);
    OutputParser thinker(options);
    const OutputFormat* format = FindOutputFormat(options.format);
    rest = thinker.Add(" I am." + (options.think_tags.empty() ? format->thinking_close
                                                              : options.think_tags.close));
    EXPECT_EQ(rest.thinking + thinker.Finish().thinking, " I am.");
  }
}

TEST(ChatTemplates, TakeBackWhatModelsSay) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates");
  for (const auto& [name, prompt_template] : AllTemplates(folder)) {
    if (!prompt_template->capabilities().tools) continue;
    SCOPED_TRACE(name);
    PromptRequest request;
    request.tools = {Weather()};
    const std::vector<std::string> ids = {"call_1234567890", "toolu_01"};
    request.messages = {Say("user", "Weather?"), Call(ids), ResultOf(ids[1]), ResultOf(ids[0]),
                        Say("assistant", "Fine.")};
    request.messages.push_back(request.messages[0]);
    EXPECT_TRUE(prompt_template->Render(request))
        << prompt_template->Render(request).error().message;
    if (!prompt_template->capabilities().thinking) continue;
    request.messages[1].thinking = "Where?";
    request.messages[1].content = "I look.";
    EXPECT_TRUE(prompt_template->Render(request))
        << prompt_template->Render(request).error().message;
  }
}

bool IsCallOrResult(const Message& message) {
  return message.role == "tool" || !message.tool_calls.empty();
}

// What clients send that not every template foresees: system messages in the middle, neighbours of
// one role, answers that were stopped, a conversation that begins in its middle, text behind a
// result, and tools that say nothing of themselves.
TEST(ChatTemplates, TakeWhatClientsSend) {
  PUNA_SHARED_OR_SKIP(folder, "data/chat_templates");
  const Message first = Say("user", "Q1"), next = Say("user", "Q2"), answer = Say("assistant", "A");
  const Message main = Say("system", "MAIN"), later = Say("system", "MID");
  const Message call = Call({"call_1"}), result = ResultOf("call_1");
  const std::vector<std::vector<Message>> conversations = {
      {main, first, later, call, result},
      {main, first, call, result, later},
      {main, first, call, later, result, answer, next},
      {main, first, answer, later, answer, next},
      {main, later, first},
      {main, first, next},
      {first, Say("assistant", ""), next},
      {first, answer, answer, next},
      {first, call, result, next, answer, first},
      {main, answer, next}};
  std::vector<Tool> tools;
  for (const char* function :
       {R"({"name": "a"})", R"({"name": "b", "description": null, "parameters": {}})",
        R"({"name": "c", "parameters": {"type": "object", "properties":
            {"x": {"type": "object"}, "y": {"type": "string"}}}})"})
    tools.push_back({{{"type", "function"}, {"function", Json::parse(function)}}});
  for (const auto& [name, prompt_template] : AllTemplates(folder)) {
    SCOPED_TRACE(name);
    PromptRequest request;
    request.tools = tools;
    for (const std::vector<Message>& conversation : conversations) {
      SCOPED_TRACE(&conversation - conversations.data());
      request.messages = conversation;
      // One has no tools and takes no results.
      if (name == "google-gemma-2-2b-it") std::erase_if(request.messages, IsCallOrResult);
      const auto text = prompt_template->Render(request);
      ASSERT_TRUE(text) << text.error().message;
    }
    request.messages = conversations[0];
    if (name != "Qwen3.5-4B") continue;
    const std::string text = *prompt_template->Render(request);
    EXPECT_LT(text.find("MAIN"), text.find("Q1\n\nMID"));
    EXPECT_LT(text.find("MID"), text.find("sunny"));
    EXPECT_NE(text.find("<|im_start|>system"), std::string::npos);
  }
}

}  // namespace
}  // namespace puna::chat
