// What a server computes of a conversation's next turn while the user reads.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/json.h"
#include "tests/support/scripted_server.h"

namespace puna::api {
namespace {

// Leaves out what was thought unless the client sends it back.
constexpr char kTemplate[] =
    R"({{ if .Tools }}{{ .Tools }}{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}
{{- if .ToolCalls }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
)";

class NextTurn : public testing::ScriptedServer {
 protected:
  NextTurn() { prepare_ = true; }
  void SetUp() override {
    ScriptedServer::SetUp();
    Post("/api/create",
         {{"model", "actor"},
          {"from", "mini"},
          {"template", kTemplate},
          {"system", "You are an actor on a very small stage and speak in short sentences."}});
  }
  double Prepared() {
    const std::string name = "\npuna_prepared_tokens_total ";
    const auto metrics = http::Fetch({.url = server_->url() + "/metrics"});
    return std::stod(metrics->body.substr(metrics->body.find(name) + name.size()));
  }
  // Waits at most ten seconds.
  bool PreparedMoreThan(double before) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (Prepared() <= before) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  struct Turn {
    Json message;
    int prompt = 0, computed = 0;  // tokens, and those of them that were not there already
  };
  Turn Ask(const Json& messages, const std::string& says, const Json& tools = Json::array()) {
    Say(says);
    Json body = {{"model", "actor"}, {"messages", messages}};
    if (!tools.empty()) body["tools"] = tools;
    const Json answer = Json::parse(Post("/v1/chat/completions", body));
    EXPECT_TRUE(answer.contains("choices")) << answer;
    if (!answer.contains("choices")) return {};
    const int prompt = answer["usage"]["prompt_tokens"];
    const int cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"];
    return {answer["choices"][0]["message"], prompt, prompt - cached};
  }
};

TEST_F(NextTurn, TheAnswerIsThereWithoutWhatWasThought) {
  Json messages = Json::array({{{"role", "user"}, {"content", "Hello"}}});
  const double before = Prepared();
  const Turn first =
      Ask(messages,
          "<think>Somebody says hello to me. I had better say something that is long "
          "enough.</think>Good evening. I have waited for you behind the curtain "
          "since the lamps were lit. Take a seat in the first row, please.");
  EXPECT_TRUE(first.message["content"].get<std::string>().starts_with("Good evening."));
  ASSERT_TRUE(PreparedMoreThan(before));
  messages.push_back({{"role", "assistant"}, {"content", first.message["content"]}});
  messages.push_back({{"role", "user"}, {"content", "Thanks"}});
  const Turn second = Ask(messages, "Shh.");
  EXPECT_GT(second.prompt, first.prompt + 30);
  EXPECT_LE(second.computed, 12) << "of " << second.prompt;
}

TEST_F(NextTurn, SoAreCallsOfTools) {
  const Json tools = Json::parse(R"([{"type": "function", "function": {"name": "write",
      "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}}])");
  Json messages = Json::array({{{"role", "user"}, {"content", "Write a letter"}}});
  const double before = Prepared();
  const Turn first =
      Ask(messages,
          "<think>To whom? It does not matter at all.</think><tool_call>\n{\"name\": "
          "\"write\", \"arguments\": {\"text\": \"Dear friends, the curtain rises at "
          "eight, and whoever comes late stands behind the last row.\"}}\n</tool_call>",
          tools);
  ASSERT_TRUE(first.message.contains("tool_calls")) << first.message;
  ASSERT_TRUE(PreparedMoreThan(before));
  messages.push_back(first.message);
  messages.back().erase("reasoning");
  messages.push_back({{"role", "tool"},
                      {"tool_call_id", first.message["tool_calls"][0]["id"]},
                      {"content", "It is written."}});
  const Turn second = Ask(messages, "Done.", tools);
  EXPECT_GT(second.prompt, first.prompt + 30);
  EXPECT_LT(second.computed, 20) << "of " << second.prompt;
}

TEST_F(NextTurn, ALoadedModelKnowsItsSystemPrompt) {
  const double before = Prepared();
  Post("/api/generate", {{"model", "actor"}});
  ASSERT_TRUE(PreparedMoreThan(before));
  const Turn turn = Ask(Json::array({{{"role", "user"}, {"content", "Hello"}}}), "Good evening.");
  EXPECT_GT(turn.prompt, 30);
  EXPECT_LE(turn.computed, 12);
}

class NextTurnUnprepared : public NextTurn {
 protected:
  NextTurnUnprepared() { prepare_ = false; }
};

TEST_F(NextTurnUnprepared, NothingIsComputedThatNobodyAskedFor) {
  const double before = Prepared();
  Post("/api/generate", {{"model", "actor"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_EQ(Prepared(), before);
  const Turn turn = Ask(Json::array({{{"role", "user"}, {"content", "Hello"}}}), "Good evening.");
  EXPECT_EQ(turn.computed, turn.prompt);
}

}  // namespace
}  // namespace puna::api
