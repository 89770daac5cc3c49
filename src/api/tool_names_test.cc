#include "api/tool_names.h"

#include <gtest/gtest.h>

namespace puna::api {
namespace {

class ToolNamesTest : public ::testing::Test {
 protected:
  void ExpectClientCall(const std::string& called, const std::string& space,
                        const std::string& name) {
    const ClientToolName tool = names_.ForClient(called);
    EXPECT_EQ(tool.space, space) << called;
    EXPECT_EQ(tool.name, name) << called;
  }

  ToolNames names_;
};

TEST_F(ToolNamesTest, NamespaceStandsBeforeTheName) {
  EXPECT_EQ(names_.Add("", "run"), "run");
  EXPECT_EQ(names_.Add("mcp__clock", "now"), "mcp__clock.now");
  EXPECT_EQ(names_.Add("sky", "sky.weather"), "sky.weather");
  EXPECT_EQ(names_.ForModel("mcp__clock", "now"), "mcp__clock.now");
  EXPECT_EQ(names_.ForModel("gone", "tool"), "gone.tool");
  ExpectClientCall("run", "", "run");
  ExpectClientCall("mcp__clock.now", "mcp__clock", "now");
  ExpectClientCall("sky.weather", "sky", "sky.weather");
  ExpectClientCall("no.tool", "", "no.tool");
}

TEST_F(ToolNamesTest, NamespaceMayBeLeftOutWhereOneHasTheTool) {
  names_.Add("clock", "now");
  names_.Add("clock", "now");
  EXPECT_EQ(names_.ForModel("", "now"), "clock.now");
  ExpectClientCall("now", "clock", "now");
  names_.Add("calendar", "now");
  EXPECT_EQ(names_.ForModel("", "now"), "now");
  ExpectClientCall("now", "", "now");
  ExpectClientCall("calendar.now", "calendar", "now");
  names_.Add("clock", "run");
  names_.Add("", "run");
  ExpectClientCall("run", "", "run");
  ExpectClientCall("clock.run", "clock", "run");
}

}  // namespace
}  // namespace puna::api
