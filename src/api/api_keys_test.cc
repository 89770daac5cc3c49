#include "api/api_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/sha256.h"

namespace puna::api {
namespace {

using ::testing::HasSubstr;
using Verdict = ApiKeys::Admission::Verdict;

std::unique_ptr<ApiKeys> Keys(const std::string& limits = "") {
  auto keys = ApiKeys::Parse("# people\n\nalice " + Sha256Hex("secret") + " " + limits + "\nbob " +
                             Sha256Hex("other") + "\n");
  EXPECT_TRUE(keys) << keys.error().message;
  return *std::move(keys);
}

TEST(ApiKeys, KnowsKeysByTheirHash) {
  const auto keys = Keys();
  EXPECT_EQ(keys->Admit("secret").verdict(), Verdict::kAdmitted);
  EXPECT_EQ(keys->Admit("other").verdict(), Verdict::kAdmitted);
  for (const char* wrong : {"", "Secret", "secre", "secrets"})
    EXPECT_EQ(keys->Admit(wrong).verdict(), Verdict::kUnknownKey) << wrong;
  EXPECT_EQ(keys->Admit(Sha256Hex("secret")).verdict(), Verdict::kUnknownKey);
}

TEST(ApiKeys, LimitsRequestsAtOnce) {
  const auto keys = Keys("concurrent=2");
  const auto first = keys->Admit("secret");
  {
    const auto second = keys->Admit("secret");
    EXPECT_EQ(second.verdict(), Verdict::kAdmitted);
    EXPECT_EQ(keys->Admit("secret").verdict(), Verdict::kTooMany);
    EXPECT_EQ(keys->Admit("other").verdict(), Verdict::kAdmitted) << "a limit is of one key";
  }
  EXPECT_EQ(keys->Admit("secret").verdict(), Verdict::kAdmitted);
}

TEST(ApiKeys, LimitsRequestsInAMinute) {
  const auto keys = Keys("requests_per_minute=3");
  const ApiKeys::Clock::time_point start{std::chrono::hours(1)};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(keys->Admit("secret", start).verdict(), Verdict::kAdmitted);
  EXPECT_EQ(keys->Admit("secret", start).verdict(), Verdict::kTooMany);
  const auto later = start + std::chrono::seconds(21);  // one more is allowed every 20 seconds
  EXPECT_EQ(keys->Admit("secret", later).verdict(), Verdict::kAdmitted);
  EXPECT_EQ(keys->Admit("secret", later).verdict(), Verdict::kTooMany);
}

TEST(ApiKeys, SaysWhenTheNextRequestIsAllowed) {
  const auto keys = Keys("requests_per_minute=3 concurrent=1");
  const ApiKeys::Clock::time_point start{std::chrono::hours(1)};
  {
    const auto running = keys->Admit("secret", start);
    EXPECT_EQ(running.name(), "alice");
    EXPECT_EQ(keys->Admit("secret", start).retry_after(), std::chrono::seconds(1));
  }
  for (int i = 0; i < 2; ++i) keys->Admit("secret", start);
  const auto refused = keys->Admit("secret", start + std::chrono::milliseconds(4500));
  EXPECT_EQ(refused.verdict(), Verdict::kTooMany);
  EXPECT_EQ(refused.name(), "alice");
  EXPECT_EQ(refused.retry_after(), std::chrono::seconds(16));
  EXPECT_EQ(keys->Admit("secret", start + std::chrono::milliseconds(4500) + refused.retry_after())
                .verdict(),
            Verdict::kAdmitted);
  EXPECT_EQ(keys->Admit("wrong").name(), "");
}

TEST(ApiKeys, ReadsTheFileAgain) {
  const auto keys = Keys("concurrent=2");
  const std::filesystem::path file =
      std::filesystem::path(::testing::TempDir()) / fmt::format("api_keys_{}", ::getpid());
  const auto read_again = [&](const std::string& text) {
    std::ofstream(file) << text;
    return keys->ReadAgain(file);
  };
  const auto running = keys->Admit("secret");
  EXPECT_EQ(read_again("alice " + Sha256Hex("secret") + " concurrent=1\ncarol " + Sha256Hex("new")),
            size_t{2});
  EXPECT_EQ(keys->Admit("secret").verdict(), Verdict::kTooMany) << "one is running";
  EXPECT_EQ(keys->Admit("new").verdict(), Verdict::kAdmitted);
  EXPECT_EQ(keys->Admit("other").verdict(), Verdict::kUnknownKey) << "bob is gone";
  EXPECT_FALSE(read_again("alice secret"));
  EXPECT_EQ(keys->Admit("new").verdict(), Verdict::kAdmitted) << "the keys from before stay";
  EXPECT_EQ(read_again("carol " + Sha256Hex("new")), size_t{1});
  EXPECT_EQ(keys->Admit("secret").verdict(), Verdict::kUnknownKey);
  std::filesystem::remove(file);
}

TEST(ApiKeys, SaysWhatIsWrongInTheFile) {
  const auto message = [](const std::string& text) {
    const auto keys = ApiKeys::Parse(text);
    return keys ? std::string("read") : keys.error().message;
  };
  const std::string good = "alice " + Sha256Hex("x");
  EXPECT_THAT(message("alice secret"), HasSubstr("line 1"));
  EXPECT_THAT(message(good + "\nbob"), HasSubstr("line 2"));
  EXPECT_THAT(message(good + " speed=3"), HasSubstr("speed=3"));
  EXPECT_THAT(message(good + " concurrent=0"), HasSubstr("concurrent=0"));
  EXPECT_THAT(message(good + " concurrent"), HasSubstr("concurrent"));
  EXPECT_THAT(message("# nothing\n"), HasSubstr("no keys"));
}

TEST(ApiKeys, KeyStandsInEitherHeader) {
  EXPECT_EQ(KeyOfHeaders("Bearer abc", ""), "abc");
  EXPECT_EQ(KeyOfHeaders("bearer   abc", ""), "abc");
  EXPECT_EQ(KeyOfHeaders("", "xyz"), "xyz");
  EXPECT_EQ(KeyOfHeaders("Basic abc", ""), "");
  EXPECT_EQ(KeyOfHeaders("", ""), "");
}

}  // namespace
}  // namespace puna::api
