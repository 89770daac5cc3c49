#include "base/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/repeated_trouble.h"

namespace puna {
namespace {

using std::chrono::minutes;

TEST(RepeatedTrouble, IsNewsAtItsBeginningAndNowAndThen) {
  RepeatedTrouble trouble;
  const RepeatedTrouble::Clock::time_point start;
  EXPECT_TRUE(trouble.IsNews(start));
  EXPECT_FALSE(trouble.IsNews(start + minutes(1)));
  EXPECT_FALSE(trouble.IsNews(start + minutes(9)));
  EXPECT_TRUE(trouble.IsNews(start + minutes(10)));
  EXPECT_FALSE(trouble.IsNews(start + minutes(11)));
  trouble.Worked();
  EXPECT_TRUE(trouble.IsNews(start + minutes(12)));
}

TEST(LogFile, BeginsWithWhatWasSaidBefore) {
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / fmt::format("first_lines_{}.log", ::getpid());
  ::testing::internal::CaptureStderr();
  InitLog(LogLevel::kInfo);
  LogWarning("a setting is odd");
  LogDebug("not of this level");
  InitLog(LogLevel::kWarning);
  EXPECT_TRUE(AddLogFile(path));
  LogWarning("second");
  InitLog(LogLevel::kInfo);  // without the file
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 2) << told;
  const auto written = ReadFile(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_THAT(*written, ::testing::MatchesRegex(".* a setting is odd\n.* second\n"));
}

TEST(LogFile, AFullDiskIsToldOnce) {
  ::testing::internal::CaptureStderr();
  InitLog(LogLevel::kInfo);
  EXPECT_TRUE(AddLogFile("/dev/full"));
  for (int i = 0; i < 5; ++i) LogInfo("line {}", i);
  InitLog(LogLevel::kInfo);  // without the file
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, ::testing::ContainsRegex("lines of the log are lost: .*No space left"));
  EXPECT_EQ(told.find("are lost"), told.rfind("are lost"));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 6) << told;
}

}  // namespace
}  // namespace puna
