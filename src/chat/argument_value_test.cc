#include "chat/argument_value.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
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

Json FromText(const char* text, const Json& schema, bool required = true) {
  Tool tool{{{"function", {{"name", "f"}, {"parameters", {{"properties", {{"a", schema}}}}}}}}};
  if (required) tool.definition["function"]["parameters"]["required"] = {"a"};
  return ArgumentFromText(text, DeclaredValue(tool, "a"));
}

TEST(ArgumentFromText, NullLeavesAnArgumentOut) {
  for (const char* type : {"integer", "number", "boolean", "object", "array", "null"}) {
    EXPECT_EQ(FromText("null", {{"type", type}}), nullptr) << type;
    EXPECT_EQ(FromText("NULL", {{"type", type}}), nullptr) << type;
  }
  EXPECT_EQ(FromText("Null", Json::object()), nullptr) << "no type";
  EXPECT_EQ(FromText("null", {{"type", {"string", "integer"}}}), nullptr);
  EXPECT_EQ(FromText("null", {{"type", "string"}}, false), nullptr) << "optional";
  EXPECT_EQ(FromText("null", {{"type", "string"}}), "null") << "required";
  EXPECT_EQ(FromText("nulls", {{"type", "integer"}}), "nulls");
}

TEST(ArgumentFromText, BooleansAndNumbers) {
  EXPECT_EQ(FromText("TRUE", {{"type", "boolean"}}), true);
  EXPECT_EQ(FromText("False", {{"type", {"boolean", "string"}}}), false);
  EXPECT_EQ(FromText("TRUE", {{"type", "string"}}), "TRUE");
  EXPECT_EQ(FromText("1e999", {{"type", "number"}}), std::numeric_limits<double>::max());
  EXPECT_EQ(FromText("[-1e999]", {{"type", "array"}}),
            Json::array({std::numeric_limits<double>::lowest()}));
  EXPECT_EQ(FromText("7e12345", {{"type", {"string", "number"}}}), "7e12345");
  EXPECT_EQ(FromText("7e12345", Json::object()), "7e12345");
}

TEST(ArgumentFromTags, FollowsTheSchema) {
  const Tool tool{{{"function",
                    {{"name", "f"},
                     {"parameters",
                      {{"properties",
                        {{"list", {{"type", "array"}, {"items", {{"$ref", "#/$defs/part"}}}}},
                         {"object", {{"$ref", "#/$defs/part"}}},
                         {"text", {{"type", "string"}}}}},
                       {"required", {"text"}},
                       {"$defs",
                        {{"part",
                          {{"type", "object"},
                           {"properties",
                            {{"s", {{"type", "string"}}},
                             {"l", {{"type", "array"}}},
                             {"item", {{"type", "integer"}}}}}}}}}}}}}}};
  const auto from = [&](const char* text, const char* name) {
    return ArgumentFromTags(text, "#", DeclaredValue(tool, name)).dump();
  };
  EXPECT_EQ(from("", "list"), "[]");
  EXPECT_EQ(from("", "object"), "{}");
  EXPECT_EQ(from("", "text"), "\"\"");
  EXPECT_EQ(from("", "unknown"), "\"\"");
  EXPECT_EQ(from("#<s>5#</s>#<l>#</l>", "object"), R"({"s":"5","l":[]})");
  EXPECT_EQ(from("#<item>5#</item>", "object"), R"({"item":5})");
  EXPECT_EQ(from("#<item>#<s>5#</s>#</item>#<item>#</item>", "list"), R"([{"s":"5"},{}])");
  EXPECT_EQ(from("#<item>5#</item>#<item>x#</item>", "unknown"), R"([5,"x"])");
}

}  // namespace
}  // namespace puna::chat
