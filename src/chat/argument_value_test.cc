#include "chat/argument_value.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace puna::chat {
namespace {

uint8_t TypesOf(const Json& schema, const Json& definitions = Json::object()) {
  const Tool tool{{{"function",
                    {{"name", "f"},
                     {"parameters", {{"properties", {{"a", schema}}}, {"$defs", definitions}}}}}}};
  return TypesOfArgument(tool, "a");
}
Json Reference(int part) { return {{"$ref", fmt::format("#/$defs/d{}", part)}}; }

TEST(TypesOfArgument, FollowsReferencesAndAlternatives) {
  EXPECT_EQ(TypesOf({{"type", "integer"}}), kIntegerArgument);
  EXPECT_EQ(TypesOf({{"enum", {"x", 1, 1.5, nullptr}}}),
            kStringArgument | kIntegerArgument | kNumberArgument | kNullArgument);
  EXPECT_EQ(TypesOf({{"const", 1e300}}), kIntegerArgument);
  const Json definitions = {{"d0", {{"type", "string"}}},
                            {"d1", {{"anyOf", {Reference(0), {{"type", "null"}}}}}}};
  EXPECT_EQ(TypesOf(Reference(1), definitions), kStringArgument | kNullArgument);
  EXPECT_EQ(TypesOf({{"anyOf", {Reference(1), Reference(1)}}}, definitions),
            kStringArgument | kNullArgument);
  EXPECT_EQ(TypesOf({{"oneOf", {Reference(0), Reference(7)}}}, definitions), 0) << "not known";
  EXPECT_EQ(TypesOf({{"anyOf", {Reference(0), Reference(7)}}}, definitions), 0) << "not known";
}

TEST(TypesOfArgument, PartsThatReferToEachOtherAreReadOnce) {
  Json definitions = Json::object();
  for (int i = 0; i < 20; ++i) {
    Json parts = Json::array();
    for (int k = 0; k < 100; ++k) parts.push_back(Reference((i + k) % 20));
    definitions[fmt::format("d{}", i)] = {{"allOf", parts}};
  }
  EXPECT_EQ(TypesOf(Reference(0), definitions), 0);
}

}  // namespace
}  // namespace puna::chat
