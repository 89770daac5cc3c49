// The small decisions of the commands; what they do together is tests/e2e/cli_e2e.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "cli/answer_view.h"
#include "cli/api_client.h"
#include "cli/chat_session.h"
#include "cli/eval_tools.h"
#include "cli/run_options.h"
#include "cli/serve_until.h"
#include "cli/show_view.h"
#include "cli/slash_commands.h"
#include "cli/terminal.h"
#include "cli/text_windows.h"
#include "cli/word_wrap.h"
#include "http/server.h"
#include "tests/support/scripted_server.h"

namespace puna::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StuckServer : public testing::ScriptedServer {
 protected:
  StuckServer() { last_pass_ = std::chrono::milliseconds(50); }
  void SetUp() override {
    InitLog(LogLevel::kError);
    ::pthread_sigmask(SIG_BLOCK, nullptr, &before_);
    signals_ = BlockEndSignals();
    ScriptedServer::SetUp();
  }
  void TearDown() override { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  void AskAndEnd() {
    script_->Hold();
    std::thread client([this] { Post("/api/generate", {{"model", "mini"}, {"prompt", "Hello"}}); });
    script_->WaitForHeldPass();
    std::filesystem::remove_all(folder_.path());  // nobody does it after such an end
    ::kill(::getpid(), SIGTERM);
    ServeUntilSignal(server_.get(), signals_, std::chrono::milliseconds(1));
    client.join();
  }

  sigset_t before_, signals_;
};

TEST_F(StuckServer, EndsWithAnExitCodeOfItsOwn) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(AskAndEnd(), ::testing::ExitedWithCode(kExitStuck), "mini.* does not end: its pass");
}

// Something else listens at the address.
TEST(ApiClient, AnswersThatAreNoObjectsAreErrorsThatNameTheAddress) {
  const auto server =
      http::Server::Start({.port = 0},
                          [](const http::Request&, http::BodyReader& body,
                             http::ResponseWriter& out) -> http::Task<void> {
                            (void)co_await body.ReadAll(1 << 20);
                            co_await out.Send(200, "text/plain", "[]\n{\"done\":true}\n");
                          });
  ASSERT_TRUE(server);
  const std::string url = fmt::format("http://127.0.0.1:{}", (*server)->port());
  const ApiClient client(url);
  const Status streamed = client.PostStream("/api/generate", Json::object(), [](const Json& line) {
    return line.value("done", false);  // throws for a list
  });
  ASSERT_FALSE(streamed);
  EXPECT_EQ(streamed.error().message, url + R"( answered "[]", which is no JSON object)");
  const auto got = client.Get("/api/tags");
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr(url + " answered"));
}

TEST(EvalTest, TokenIdsAreSeparatedByAnyWhiteSpace) {
  EXPECT_THAT(*ParseTokenIds("1 2\n3\t44 "), ElementsAre(1, 2, 3, 44));
  EXPECT_TRUE(ParseTokenIds("")->empty());
  for (const char* wrong : {"1,2", "x", "3.5", "99999999999", "0x10"})
    EXPECT_FALSE(ParseTokenIds(wrong)) << wrong;
}

TEST(EvalTest, NegativeLogLikelihoodIsThatOfTheSoftmax) {
  const std::vector<float> logits = {0, 0, 0, 0};
  EXPECT_NEAR(NegativeLogLikelihood(logits, 2), std::log(4.0), 1e-12);
  const std::vector<float> large = {1000, 998, -1000};
  EXPECT_NEAR(NegativeLogLikelihood(large, 1), 2 + std::log1p(std::exp(-2.0)), 1e-9);
}

TEST(RunOptionsTest, RequestHasOnlyWhatIsSet) {
  RunOptions options;
  options.model = "m";
  EXPECT_EQ(DumpJson(RequestOf(options)), R"({"model":"m"})");
  options.think = "true";
  options.keep_alive = "5m";
  options.parameters = {{"seed", 1}};
  options.format = "json";
  EXPECT_EQ(DumpJson(RequestOf(options)),
            R"({"model":"m","options":{"seed":1},"format":"json","keep_alive":"5m","think":true})");
  options.think = "high";
  EXPECT_EQ(RequestOf(options)["think"], "high");
  options.think = "false";
  options.model_thinks = true;
  EXPECT_EQ(RequestOf(options)["think"], false);
  options.think = "";
  EXPECT_EQ(RequestOf(options)["think"], true);
}

TEST(RunOptionsTest, BareNumbersOfKeepAliveAreNumbers) {
  for (const auto& [text, json] : {std::pair("5m", R"("5m")"),
                                   {"-1m", R"("-1m")"},
                                   {"0", R"("0")"},
                                   {"-1", "-1"},
                                   {"90", "90"},
                                   {"1.5", "1.5"}}) {
    const auto parsed = ParseKeepAliveOption(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(DumpJson(*parsed), json);
  }
  EXPECT_FALSE(ParseKeepAliveOption("soon"));
}

TEST(RunOptionsTest, FormatIsJsonOrASchema) {
  EXPECT_EQ(*ParseFormat("json"), "json");
  EXPECT_TRUE(ParseFormat(R"({"type":"object"})")->is_object());
  EXPECT_FALSE(ParseFormat("yaml"));
  EXPECT_FALSE(ParseFormat("[1]"));
}

TEST(QuotedBlockTest, EndsOnItsFirstOrALaterLine) {
  QuotedBlock block;
  EXPECT_TRUE(QuotedBlock::Begins("\"\"\"text"));
  EXPECT_FALSE(QuotedBlock::Begins("text \"\"\""));
  EXPECT_TRUE(block.Start("\"\"\"one\"\"\""));
  EXPECT_EQ(block.Take(), "one");
  EXPECT_FALSE(block.Start("\"\"\"one"));
  EXPECT_TRUE(block.open());
  EXPECT_FALSE(block.Add("two"));
  EXPECT_TRUE(block.Add("three\"\"\"  "));
  EXPECT_EQ(block.Take(), "one\ntwo\nthree");
  EXPECT_FALSE(block.open());
}

TEST(SlashCommandsTest, PathsAreNoCommands) {
  EXPECT_TRUE(SlashCommands::Is("/bye"));
  EXPECT_TRUE(SlashCommands::Is("/set parameter seed 1"));
  EXPECT_FALSE(SlashCommands::Is("/etc/hosts is what?"));
  EXPECT_FALSE(SlashCommands::Is("bye"));
  EXPECT_FALSE(SlashCommands::Is("/* comment */\nint x;"));
  EXPECT_FALSE(SlashCommands::Is("/clear\nand more"));
  EXPECT_TRUE(SlashCommands::Is("/clear\n"));
  EXPECT_TRUE(SlashCommands::Is("/set system You are\nkind."));
  EXPECT_THAT(SplitWords(" /set  parameter\tseed 1 "),
              ElementsAre("/set", "parameter", "seed", "1"));
}

TEST(TimingsTest, RatesComeFromCountsAndTimes) {
  const Json last = {{"total_duration", 2'500'000'000},
                     {"load_duration", 12'345'678},
                     {"prompt_eval_count", 10},
                     {"prompt_eval_duration", 500'000'000},
                     {"eval_count", 30},
                     {"eval_duration", 1'500'000'000}};
  EXPECT_EQ(FormatTimings(last),
            "total duration:       2.500s\n"
            "load duration:        12.346ms\n"
            "prompt eval count:    10 token(s)\n"
            "prompt eval duration: 500.000ms\n"
            "prompt eval rate:     20.00 tokens/s\n"
            "eval count:           30 token(s)\n"
            "eval duration:        1.500s\n"
            "eval rate:            20.00 tokens/s\n");
}

TEST(ProgressBarTest, FitsTheWidthAndTellsTheShare) {
  const std::string bar = FormatProgressBar("hashing x", {500, 1000}, 60);
  EXPECT_THAT(bar, HasSubstr(" 50% "));
  EXPECT_EQ(DisplayWidth(bar), 59);  // the last column stays free: some terminals wrap there
  EXPECT_EQ(bar.find("/s"), std::string::npos);
  EXPECT_THAT(FormatProgressBar("hashing x", {}, 60), HasSubstr("0%"));
  EXPECT_LE(DisplayWidth(FormatProgressBar("x", {.completed = 1, .total = 2, .rate = 5}, 20)), 60);
  EXPECT_THAT(FormatProgressBar(
                  "x", {.completed = 900'000'000, .total = 1'000'000'000, .rate = 50'000'000}, 80),
              HasSubstr(" 900 MB/1 GB  50 MB/s  2s"));
  EXPECT_THAT(FormatProgressBar("x", {.completed = 9, .total = 1000, .rate = 0}, 80),
              HasSubstr(" 9 B/1 KB  0 B/s"));  // nobody knows how long
  EXPECT_THAT(
      FormatProgressBar(
          "x", {.completed = 100, .total = 73'100, .rate = 10, .unit = AmountUnit::kTokens}, 80),
      HasSubstr(" 100/73100 tokens  10/s  2h01m"));
}

TEST(ShowViewTest, SectionsOnlyWhereThereIsSomething) {
  const Json show = {{"details", {{"parameter_size", "3.5M"}, {"quantization_level", "Q8_0"}}},
                     {"model_info",
                      {{"general.architecture", "llama"},
                       {"llama.context_length", 1024},
                       {"tokenizer.ggml.tokens", Json::array({"a", "b", "c", "d", "e"})}}},
                     {"capabilities", {"completion", "tools"}},
                     {"parameters", "stop                           \"<end>\"\ntemperature 0.5"},
                     {"license", "\nLicence\n\nline 2\nline 3\n"}};
  const std::string text = FormatModelInfo(show, false);
  EXPECT_THAT(text, HasSubstr("  Model\n    architecture      llama\n"));
  EXPECT_THAT(text, HasSubstr("    context length    1024\n"));
  EXPECT_THAT(text, HasSubstr("  Parameters\n    stop           \"<end>\"\n"));
  EXPECT_THAT(text, HasSubstr("  License\n    Licence\n    line 2\n    ...\n"));
  EXPECT_EQ(text.find("System"), std::string::npos);
  EXPECT_EQ(text.find("Metadata"), std::string::npos);
  EXPECT_THAT(FormatModelInfo(show, true), HasSubstr("[\"a\", \"b\", \"c\", ...+2 more]"));
  EXPECT_EQ(text.find("Projector"), std::string::npos);
  EXPECT_FALSE(FormatModelPart(show, "system"));
  EXPECT_EQ(*FormatModelPart(show, "license"), "\nLicence\n\nline 2\nline 3\n");
}

TEST(ShowViewTest, AProjectorHasASectionOfItsOwn) {
  const Json show = {{"capabilities", {"vision"}},
                     {"projector_info",
                      {{"general.architecture", "clip"},
                       {"general.parameter_count", 623000000u},
                       {"clip.vision.embedding_length", 1280},
                       {"clip.vision.projection_dim", 4096},
                       {"clip.vision.block_count", 32}}},
                     {"parameters", "temperature 0.5"}};
  EXPECT_THAT(FormatModelInfo(show, false), HasSubstr("    vision\n\n"
                                                      "  Projector\n"
                                                      "    architecture        clip\n"
                                                      "    parameters          623M\n"
                                                      "    embedding length    1280\n"
                                                      "    dimensions          4096\n\n"
                                                      "  Parameters\n"));
}

}  // namespace
}  // namespace puna::cli
