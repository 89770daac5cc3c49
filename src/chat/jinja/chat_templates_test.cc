// The published chat templates under shared/data, rendered as Python's Jinja renders them: every
// text equal, and an error wherever Python has one.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "chat/chat.h"
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

}  // namespace
}  // namespace puna::chat
