// What a model says, word for word, as every dialect tells it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <sstream>
#include <thread>

#include "base/json.h"
#include "store/store.h"
#include "tests/support/scripted_server.h"

namespace puna::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Thinks between <think> and </think>, and calls tools as Hermes does.
constexpr char kTemplate[] = R"({{ range .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}
{{- if .ToolCalls }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}{{ end }}<|im_end|>
{{ end }}{{ if .Tools }}{{ .Tools }}{{ end }}<|im_start|>assistant
)";

const Json kParameters = Json::parse(
    R"({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})");

class ScriptedModel : public testing::ScriptedServer {
 protected:
  void SetUp() override {
    ScriptedServer::SetUp();
    Post("/api/create", {{"model", "actor"}, {"from", "mini"}, {"template", kTemplate}});
  }

  Json Ask(const std::string& path, bool stream, std::string* streamed = nullptr) {
    Json body = {{"model", model_}, {"stream", stream}, {"max_tokens", 400}, {"temperature", 0}};
    Json function = {{"name", "weather"}, {"parameters", kParameters}};
    Json tool = {{"type", "function"}, {"function", function}};
    if (path == "/v1/messages") tool = {{"name", "weather"}, {"input_schema", kParameters}};
    if (path == "/v1/responses") {
      tool = {{"type", "function"}, {"name", "weather"}, {"parameters", kParameters}};
      body["input"] = "Hello";
    }
    body["tools"] = Json::array({tool});
    body["messages"] = Json::array({{{"role", "user"}, {"content", "Hello"}}});
    const std::string answer = Post(path, body);
    if (streamed != nullptr) *streamed = answer;
    return stream ? Json() : Json::parse(answer, nullptr, false);
  }

  std::string model_ = "actor";
};

const char kCall[] =
    "<think>Where?</think>Let me see.<tool_call>\n"
    "{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";

TEST_F(ScriptedModel, OllamaTellsThinkingTextAndCalls) {
  Say(kCall);
  const Json message = Ask("/api/chat", false)["message"];
  EXPECT_EQ(message["thinking"], "Where?");
  EXPECT_EQ(message["content"], "Let me see.");
  ASSERT_EQ(message["tool_calls"].size(), 1u);
  EXPECT_EQ(message["tool_calls"][0]["function"],
            (Json{{"index", 0}, {"name", "weather"}, {"arguments", {{"city", "Oslo"}}}}));
}

TEST_F(ScriptedModel, OpenAiTellsThinkingTextAndCalls) {
  Say(kCall);
  const Json choice = Ask("/v1/chat/completions", false)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["reasoning"], "Where?");
  EXPECT_EQ(choice["message"]["content"], "Let me see.");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["arguments"], R"({"city":"Oslo"})");
  Say(kCall);
  std::string streamed;
  Ask("/v1/chat/completions", true, &streamed);
  EXPECT_THAT(streamed, HasSubstr(R"("reasoning":)"));
  EXPECT_THAT(streamed, HasSubstr(R"("finish_reason":"tool_calls")"));
  EXPECT_TRUE(streamed.ends_with("data: [DONE]\n\n"));
}

TEST_F(ScriptedModel, ResponsesTellThinkingTextAndCalls) {
  Say(kCall);
  const Json output = Ask("/v1/responses", false)["output"];
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(output[0]["summary"][0]["text"], "Where?");
  EXPECT_EQ(output[1]["content"][0]["text"], "Let me see.");
  EXPECT_EQ(output[2]["type"], "function_call");
  EXPECT_EQ(output[2]["arguments"], R"({"city":"Oslo"})");
  Say(kCall);
  std::string streamed;
  Ask("/v1/responses", true, &streamed);
  for (const char* event :
       {"response.reasoning_summary_text.delta", "response.reasoning_summary_part.done",
        "response.output_text.done", "response.function_call_arguments.delta",
        "response.function_call_arguments.done", "response.completed"}) {
    EXPECT_THAT(streamed, HasSubstr(std::string("event: ") + event + "\n"));
  }
}

TEST_F(ScriptedModel, ResponsesTellTheNamespaceOfACalledTool) {
  const Json weather = {{"type", "function"}, {"name", "weather"}, {"parameters", kParameters}};
  const Json space = {{"type", "namespace"}, {"name", "sky"}, {"tools", {weather}}};
  Json request = {{"model", "actor"}, {"input", "Hello"}, {"tools", {space}}};
  const std::string call = R"(<tool_call>{"name": "sky.weather", "arguments": {}}</tool_call>)";
  Say(call);
  const Json item = Json::parse(Post("/v1/responses", request))["output"][0];
  EXPECT_EQ(item.value("namespace", ""), "sky") << item;
  EXPECT_EQ(item.value("name", ""), "weather") << item;
  request["stream"] = true;
  Say(call);
  std::istringstream streamed(Post("/v1/responses", request));
  int told = 0;
  for (std::string line; std::getline(streamed, line);) {
    if (!line.starts_with("data: ")) continue;
    const Json event = Json::parse(line.substr(6));
    if (event["type"] == "response.function_call_arguments.done") {
      EXPECT_EQ(event["name"], "weather");
    }
    const Json called = event.value("item", Json());
    if (!called.is_object()) continue;
    ++told;
    EXPECT_EQ(called.value("namespace", ""), "sky") << event;
    EXPECT_EQ(called.value("name", ""), "weather") << event;
  }
  EXPECT_EQ(told, 2);
}

TEST_F(ScriptedModel, ResponsesTellTheProbabilitiesOfTheirText) {
  const Json request = {
      {"model", "actor"}, {"input", "Hello"}, {"include", {"message.output_text.logprobs"}}};
  for (const auto& [spoken, text] :
       {std::pair("<b>hi", "<b>hi"), std::pair("<think>Where?</think>\n\nThere.", "There.")}) {
    Say(spoken);
    const Json whole = Json::parse(Post("/v1/responses", request));
    std::string tokens;
    const Json part = whole["output"].back()["content"][0];
    for (const Json& entry : part["logprobs"]) tokens += entry["token"].get<std::string>();
    EXPECT_EQ(part["text"], text);
    EXPECT_EQ(tokens, text);
    Json streaming = request;
    streaming["stream"] = true;
    Say(spoken);
    const std::string streamed = Post("/v1/responses", streaming);
    EXPECT_THAT(streamed, HasSubstr("\"logprobs\":" + DumpJson(part["logprobs"])));
  }
}

TEST_F(ScriptedModel, AnthropicTellsThinkingTextAndCalls) {
  Say(kCall);
  const Json message = Ask("/v1/messages", false);
  ASSERT_EQ(message["content"].size(), 3u) << message;
  EXPECT_EQ(message["content"][0]["thinking"], "Where?");
  EXPECT_EQ(message["content"][1]["text"], "Let me see.");
  EXPECT_EQ(message["content"][2]["input"], (Json{{"city", "Oslo"}}));
  EXPECT_EQ(message["stop_reason"], "tool_use");
  Say(kCall);
  std::string streamed;
  Ask("/v1/messages", true, &streamed);
  for (const char* delta : {"thinking_delta", "signature_delta", "text_delta", "input_json_delta"})
    EXPECT_THAT(streamed, HasSubstr(std::string("\"type\":\"") + delta + "\""));
}

// A PARSER tells the family, whatever the template.
TEST_F(ScriptedModel, EveryParserReadsTheCallsOfItsFamily) {
  struct FamilyCase {
    const char *parser, *text, *thinking, *content;
  };
  const FamilyCase cases[] = {
      {"qwen3", kCall, "Where?", "Let me see."},
      {"qwen3-coder",
       "Well.\n<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n"
       "</tool_call>",
       "", "Well."},
      {"nemotron-3-nano",
       "<think>Hm</think><tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n"
       "</function>\n</tool_call>",
       "Hm", ""},
      {"ministral", "[TOOL_CALLS]weather[ARGS]{\"city\": \"Oslo\"}", "", ""},
      {"harmony",
       "<|channel|>analysis<|message|>Where?<|end|><|start|>assistant<|channel|>commentary"
       "<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
       "<|constrain|>json<|message|>{\"city\": \"Oslo\"}<|call|>",
       "Where?", "I look."},
      {"cogito",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"
       "\"city\": "
       "\"Oslo\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "", ""},
      {"deepseek3",
       "<think>Ah</"
       "think>So<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": "
       "\"Oslo\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "Ah", "So"},
      {"olmo3", "<function_calls>\nweather(city=\"Oslo\")\n</function_calls>", "", ""},
      {"functiongemma",
       "<start_function_call>call:weather{city:<escape>Oslo<escape>}<end_function_call>", "", ""},
      {"gemma4", "<|tool_call>call:weather{city:<|\"|>Oslo<|\"|>}<tool_call|>", "", ""},
      {"glm-4.7",
       "<think>G</think><tool_call>weather<arg_key>city</arg_key><arg_value>Oslo</arg_value>"
       "</tool_call>",
       "G", ""},
      {"lfm2", "<|tool_call_start|>[weather(city='Oslo')]<|tool_call_end|>", "", ""},
      {"cohere",
       "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"weather\", "
       "\"parameters\": {\"city\": \"Oslo\"}}\n]<|END_ACTION|>",
       "", ""},
      {"glimmer",
       "<atem:function_calls>\n<atem:invoke name=\"weather\">\n<atem:parameter name=\"city\">Oslo"
       "</atem:parameter>\n</atem:invoke>\n</atem:function_calls>",
       "", ""},
  };
  for (const FamilyCase& one : cases) {
    SCOPED_TRACE(one.parser);
    model_ = std::string("actor-") + one.parser;
    Post("/api/create",
         {{"model", model_}, {"from", "mini"}, {"template", kTemplate}, {"parser", one.parser}});
    Say(one.text);
    const Json message = Ask("/api/chat", false)["message"];
    EXPECT_EQ(message.value("thinking", ""), one.thinking);
    EXPECT_EQ(message["content"], one.content);
    ASSERT_EQ(message["tool_calls"].size(), 1u) << message;
    EXPECT_EQ(message["tool_calls"][0]["function"]["name"], "weather");
    EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], (Json{{"city", "Oslo"}}));
  }
  model_ = "actor-passthrough";
  Post("/api/create",
       {{"model", model_}, {"from", "mini"}, {"template", kTemplate}, {"parser", "passthrough"}});
  Say(kCall);
  EXPECT_EQ(Ask("/api/chat", false)["message"]["content"], kCall);
}

TEST_F(ScriptedModel, GenerateTellsThinking) {
  Say("<think>Where?</think>Here.");
  const Json whole = Json::parse(
      Post("/api/generate", {{"model", "actor"}, {"prompt", "Hello"}, {"stream", false}}));
  EXPECT_EQ(whole["thinking"], "Where?");
  EXPECT_EQ(whole["response"], "Here.");
}

TEST_F(ScriptedModel, UnknownRenderersAndParsersAreAnError) {
  for (const char* field : {"renderer", "parser"}) {
    const std::string answer =
        Post("/api/create", {{"model", "odd"}, {"from", "mini"}, {field, "no-such"}});
    EXPECT_EQ(Json::parse(answer)["error"], fmt::format("unknown {} \"no-such\"", field));
  }
  // A model that was pulled, or made by Ollama, may name any.
  model_ = "actor-rendered";
  store::Store store(folder_.path() / "models");
  store::CreateRequest request;
  request.name = *store::ModelName::Parse(model_);
  request.from = "mini";
  request.renderer = "no-such";
  ASSERT_TRUE(store.Create(request, nullptr));
  EXPECT_EQ(Ask("/api/chat", false)["error"], "unknown renderer \"no-such\"");
}

TEST_F(ScriptedModel, AMalformedCallIsText) {
  const std::string broken = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": ";
  Say(broken);
  const Json choice = Ask("/v1/chat/completions", false)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["message"]["content"], broken);
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
}

TEST_F(ScriptedModel, AFailureInTheMiddleIsToldInTheStream) {
  const std::string why = "the script ends here";
  std::string streamed;
  Say("Once upon a time", /*fails=*/true);
  Ask("/api/chat", true, &streamed);
  EXPECT_TRUE(streamed.ends_with("{\"error\":\"" + why + "\"}\n")) << streamed;
  Say("Once upon a time", /*fails=*/true);
  Ask("/v1/chat/completions", true, &streamed);
  EXPECT_THAT(streamed,
              HasSubstr("data: {\"error\":{\"message\":\"" + why + "\",\"type\":\"api_error\""));
  EXPECT_TRUE(streamed.ends_with("data: [DONE]\n\n"));
  Say("Once upon a time", /*fails=*/true);
  streamed = Post("/api/generate", {{"model", "actor"}, {"prompt", "Hello"}});
  EXPECT_THAT(streamed, HasSubstr("\"response\":\""));
  EXPECT_TRUE(streamed.ends_with("{\"error\":\"" + why + "\"}\n")) << streamed;
  Say("Once upon a time", /*fails=*/true);
  streamed = Post("/v1/completions",
                  {{"model", "actor"}, {"prompt", "Hello"}, {"max_tokens", 99}, {"stream", true}});
  EXPECT_THAT(streamed,
              HasSubstr("data: {\"error\":{\"message\":\"" + why + "\",\"type\":\"api_error\""));
  EXPECT_TRUE(streamed.ends_with("data: [DONE]\n\n"));
  Say("Once upon a time", /*fails=*/true);
  Ask("/v1/responses", true, &streamed);
  EXPECT_THAT(streamed, HasSubstr("event: response.failed\n"));
  EXPECT_THAT(streamed, HasSubstr(why));
  Say("Once upon a time", /*fails=*/true);
  Ask("/v1/messages", true, &streamed);
  EXPECT_THAT(streamed, HasSubstr("event: message_start\n"));
  EXPECT_THAT(streamed, HasSubstr("event: error\n"));
  EXPECT_THAT(streamed, HasSubstr(why));
  // And the next request is answered by a model that is loaded anew.
  Say("Hello");
  EXPECT_EQ(Ask("/api/chat", false)["message"]["content"], "Hello");
}

// What comes beside an answer that is wanted whole may take longer steps than beside one that is
// read as it comes. With 0.5 ms a row a prompt of 400 tokens is cut beside a reader (150 ms), and
// done at once where half a second is allowed.
TEST_F(ScriptedModel, EveryDialectTellsWhetherItsAnswerIsStreamed) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "Hello"}}});
  struct Route {
    std::string path;
    Json body;
    bool stream = false;
  };
  const Route kRoutes[] = {
      {"/api/chat", {{"messages", messages}, {"options", {{"num_predict", 200}}}}},
      {"/api/generate", {{"prompt", "Hello"}, {"options", {{"num_predict", 200}}}}},
      {"/v1/chat/completions", {{"messages", messages}, {"max_tokens", 200}}},
      {"/v1/completions", {{"prompt", "Hello"}, {"max_tokens", 200}}},
      {"/v1/responses", {{"input", "Hello"}, {"max_output_tokens", 200}}},
      {"/v1/messages", {{"messages", messages}, {"max_tokens", 200}}},
      {"/v1/messages", {{"messages", messages}, {"max_tokens", 200}}, true},
      {"/api/generate", {{"prompt", "Hello"}, {"options", {{"num_predict", 200}}}}, true}};
  auto begin_prompt = [&, first = 100]() mutable {
    Json tokens = Json::array({++first});
    for (int i = 1; i < 400; ++i) tokens.push_back(200 + i % 50);
    Post("/v1/completions", {{"model", "actor"}, {"prompt", tokens}, {"max_tokens", 1}});
  };
  std::vector<tokenizer::TokenId> letter;
  tokenizer_->Encode("a", {.parse_special = false, .add_special = false}, &letter);
  ASSERT_EQ(letter.size(), 1u);
  script_->Slow(std::chrono::microseconds(500));
  begin_prompt();  // so that it is known what rows take
  for (const auto& [path, body, stream] : kRoutes) {
    Json asked = body;
    asked["model"] = "actor";
    asked["stream"] = stream;
    script_->Play(letter);
    script_->Slow(std::chrono::microseconds(500));
    const auto answer = std::async(std::launch::async, [&] { return Post(path, asked); });
    while (script_->most_rows() == 0) std::this_thread::yield();
    begin_prompt();
    answer.wait();
    if (stream) {
      EXPECT_LE(script_->most_rows(), 350u) << path;
    } else {
      EXPECT_GE(script_->most_rows(), 400u) << path;
    }
  }
}

class StuckModel : public ScriptedModel {
 protected:
  StuckModel() { last_pass_ = std::chrono::milliseconds(50); }
};

TEST_F(StuckModel, APassThatNeverEndsHoldsNeitherClientsNorTheEnd) {
  Say("Once upon a time");
  script_->Hold();
  const auto ask = [&](bool stream) {
    return std::async(std::launch::async, [this, stream] {
      return Post("/api/generate",
                  {{"model", "actor"}, {"prompt", "Hello"}, {"stream", stream}, {"raw", true}});
    });
  };
  auto stream = ask(true), whole = ask(false);
  script_->WaitForHeldPass();
  const auto accepted = [&] {
    const auto answer = http::Fetch({.url = server_->url() + "/api/ps"});
    const Json model = Json::parse(answer->body)["models"][0];
    return model["requests_running"].get<int>() + model["requests_waiting"].get<int>();
  };
  while (accepted() < 2) {
  }
  EXPECT_FALSE(server_->Shutdown(std::chrono::steady_clock::now()));
  const std::string error = "{\"error\":\"the server is shutting down\"}";
  EXPECT_THAT(stream.get(), HasSubstr(error));
  EXPECT_THAT(whole.get(), HasSubstr(error));
  script_->Release();
  while (!server_->Shutdown(std::chrono::steady_clock::now())) {
  }
}

}  // namespace
}  // namespace puna::api
