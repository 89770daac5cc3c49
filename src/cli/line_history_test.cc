#include "cli/line_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/file.h"

namespace puna::cli {
namespace {

using ::testing::ElementsAre;

class LineHistoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "puna-history-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    file_ = folder_ / "new" / "history";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::vector<std::string> Kept() const { return LineHistory(file_).lines(); }
  size_t LinesInFile() const {
    const std::string text = ReadFile(file_).value_or("");
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  std::filesystem::path folder_, file_;
};

TEST_F(LineHistoryTest, LinesOfEveryKindComeBack) {
  LineHistory history(file_);
  for (const char* line : {"one", "two\nlines", "back\\slash", "ümlaut", "one"}) history.Add(line);
  history.Add("one");  // the same again
  history.Add("");
  EXPECT_THAT(Kept(), ElementsAre("one", "two\nlines", "back\\slash", "ümlaut", "one"));
  struct stat info = {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(LineHistoryTest, TwoChatsAtOnceKeepTheLinesOfBoth) {
  LineHistory first(file_), second(file_);
  first.Add("a");
  second.Add("b");
  first.Add("c");
  EXPECT_THAT(first.lines(), ElementsAre("a", "c"));
  EXPECT_THAT(Kept(), ElementsAre("a", "b", "c"));
}

TEST_F(LineHistoryTest, ALongFileIsCutToItsNewestLines) {
  LineHistory history(file_), other(file_);
  for (int i = 0; i < 450; ++i) {
    (i % 2 == 0 ? history : other).Add(std::to_string(i));
    EXPECT_LE(LinesInFile(), 200u);
  }
  const std::vector<std::string> kept = Kept();
  ASSERT_EQ(kept.size(), 100u);
  EXPECT_EQ(kept.front(), "350");
  EXPECT_EQ(kept.back(), "449");
}

TEST_F(LineHistoryTest, ManyAtOnceLoseNothing) {
  std::filesystem::create_directories(file_.parent_path());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      LineHistory history(file_);
      // Together more than a file keeps, so that it is cut meanwhile.
      for (int i = 0; i < 100; ++i)
        history.Add(std::string(300, '-') + std::to_string(1000 * t + i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(LinesInFile(), 100u);
  const std::vector<std::string> kept = Kept();
  ASSERT_EQ(kept.size(), 100u);
  // Of each, the last ones in their order and without a gap.
  int next[4] = {-1, -1, -1, -1};
  for (const std::string& line : kept) {
    ASSERT_TRUE(line.starts_with(std::string(300, '-'))) << line;
    const int number = std::stoi(line.substr(300));
    int& expected = next[number / 1000];
    if (expected >= 0) {
      EXPECT_EQ(number, expected);
    }
    expected = number + 1;
  }
  for (int t = 0; t < 4; ++t) EXPECT_TRUE(next[t] < 0 || next[t] == 1000 * t + 100) << t;
}

TEST_F(LineHistoryTest, ALineThatWasCutOffIsNotJoinedWithTheNext) {
  std::filesystem::create_directories(file_.parent_path());
  ASSERT_TRUE(WriteFileAtomically(file_, "_HiStOrY_V2_\nwhole\\040line\ncut o"));
  LineHistory history(file_);
  history.Add("next");
  EXPECT_THAT(Kept(), ElementsAre("whole line", "cut o", "next"));
}

TEST_F(LineHistoryTest, WithoutAFileLinesAreKeptInMemory) {
  LineHistory history({});
  history.Add("x");
  EXPECT_THAT(history.lines(), ElementsAre("x"));
  LineHistory nowhere("/dev/null/history");
  nowhere.Add("y");
  EXPECT_THAT(nowhere.lines(), ElementsAre("y"));
}

}  // namespace
}  // namespace puna::cli
