// Results of tools in conversations that clients send.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "api/anthropic_messages.h"
#include "api/openai_responses.h"

namespace puna::api {
namespace {

constexpr int kMany = 40'000;

std::string Id(int number) { return "toolu_with_a_long_beginning_" + std::to_string(number); }

// Minutes where each result looks for its call among all.
class ManyResults : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_LT(std::chrono::steady_clock::now() - begin_, std::chrono::seconds(30));
  }
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

TEST_F(ManyResults, OfMessagesAreNamedInTime) {
  Json uses = Json::array(), results = Json::array();
  for (int i = 0; i < kMany; ++i) {
    uses.push_back({{"type", "tool_use"}, {"id", Id(i)}, {"name", "f" + std::to_string(i)}});
    results.push_back({{"type", "tool_result"}, {"tool_use_id", Id(i)}, {"content", "x"}});
  }
  Json body = {{"model", "mini"}, {"max_tokens", 1}, {"messages", Json::array()}};
  body["messages"].push_back({{"role", "assistant"}, {"content", std::move(uses)}});
  body["messages"].push_back({{"role", "user"}, {"content", std::move(results)}});
  const auto request = ReadMessagesRequest(body, /*counting=*/false);
  ASSERT_TRUE(request) << request.error().message;
  const auto& messages = request->generation.messages;
  ASSERT_EQ(messages.size(), size_t{kMany} + 1);
  for (size_t i = 0; i < kMany; ++i)
    ASSERT_EQ(messages[i + 1].tool_name, messages[0].tool_calls[i].name);
}

TEST_F(ManyResults, OfResponsesAreNamedInTime) {
  Json input = Json::array();
  for (int i = 0; i < kMany; ++i) {
    input.push_back({{"type", "function_call"},
                     {"call_id", Id(i)},
                     {"name", "f" + std::to_string(i)},
                     {"arguments", "{}"}});
  }
  for (int i = 0; i < kMany; ++i)
    input.push_back({{"type", "function_call_output"}, {"call_id", Id(i)}, {"output", "x"}});
  const auto request = ReadResponsesRequest({{"model", "mini"}, {"input", std::move(input)}});
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->generation.messages.back().tool_name, "f" + std::to_string(kMany - 1));
}

}  // namespace
}  // namespace puna::api
