// Schemas and patterns that are small to send and large to write out: each must end in an error
// before it takes much memory or time. (Grammars in GBNF: gbnf_test.cc.)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "grammar/grammar.h"

namespace puna::grammar {
namespace {

std::string ErrorOf(const Json& schema) {
  const auto grammar = Grammar::Compile(Part::Schema(schema));
  return grammar ? "" : grammar.error().message;
}

std::string ErrorOfPattern(const std::string& pattern) {
  return ErrorOf({{"type", "string"}, {"pattern", pattern}});
}

// Every part of a schema is known by its whole path.
TEST(HostileSchema, LongPathsOfManyParts) {
  Json members = Json::object();
  for (int i = 0; i < 10'000; ++i) members[fmt::format("m{}", i)] = true;
  const Json schema = {{"$defs", {{std::string(200'000, 'a'), {{"properties", members}}}}}};
  EXPECT_NE(ErrorOf(schema).find("names and ids"), std::string::npos) << ErrorOf(schema);
  Json honest = Json::object();
  for (int i = 0; i < 10'000; ++i)
    honest[fmt::format("a property with a long name, number {}", i)] = {{"type", "string"}};
  EXPECT_EQ(ErrorOf({{"$defs", {{"all", {{"properties", honest}}}}}}), "");
}

// Lists of values are compared with others in about the time that it takes to read them.
TEST(HostileSchema, ManyValues) {
  Json texts = Json::array(), numbers = Json::array(), others = Json::array();
  for (int i = 0; i < 50'000; ++i) {
    texts.push_back(fmt::format("v{}", i));
    numbers.push_back(i);
    others.push_back(i + 50'000);
  }
  EXPECT_EQ(ErrorOf({{"enum", texts}}), "");
  EXPECT_EQ(ErrorOf({{"enum", numbers}, {"not", {{"enum", others}}}}), "");
  EXPECT_EQ(ErrorOf({{"allOf", {{{"enum", numbers}}, {{"enum", numbers}}}}}), "");
  texts.erase(texts.begin() + 20'000, texts.end());
  EXPECT_EQ(ErrorOf({{"type", "string"}, {"not", {{"enum", texts}}}}), "");
  EXPECT_EQ(ErrorOf({{"enum", {numbers}}, {"uniqueItems", true}}), "");
}

// What is cheap once and asked for thousands of times is refused, before it takes seconds or
// hundreds of megabytes.
TEST(HostileSchema, MuchOfEverything) {
  constexpr int kParts = 5000;
  Json excluded = Json::array(), expensive = Json::object(), lengths = Json::object(),
       properties = Json::object(), patterns = Json::object(), divisors = Json::object();
  for (int i = 0; i < kParts; ++i) {
    const std::string name = fmt::format("p{}", i);
    expensive[name] = {{"type", "string"}, {"pattern", fmt::format("(a|b)*a(a|b){{10}}c{}", i)}};
    lengths[name] = {{"type", "string"}, {"maxLength", 50'000 + i}};
    properties[name] = {{"type", "string"}};
    patterns[fmt::format("^p{}$", i)] = {{"type", "string"}};
    divisors[name] = {{"multipleOf", 9000 + i % 900}};
  }
  for (int i = 0; i < 4 * kParts; ++i) excluded.push_back({{"not", {{"const", i}}}});
  for (const Json& schema : {Json{{"allOf", excluded}}, Json{{"properties", expensive}},
                             Json{{"properties", lengths}}, Json{{"properties", divisors}},
                             Json{{"properties", properties}, {"patternProperties", patterns}}}) {
    EXPECT_NE(ErrorOf(schema).find("too complex"), std::string::npos)
        << ErrorOf(schema) << DumpJson(schema).substr(0, 100);
  }
  EXPECT_EQ(ErrorOf({{"type", "object"}, {"properties", properties}}), "");
}

// Each pair of alternatives is a case of its own.
TEST(HostileSchema, ManyAlternativesDenied) {
  const Json alternatives(Json::array_t(3000, true));
  EXPECT_NE(ErrorOf({{"not", {{"oneOf", alternatives}}}}).find("multiply to more than 500"),
            std::string::npos);
}

// Alternatives that consume nothing need no states, yet each is a way to go.
TEST(HostilePattern, EmptyAlternativesRepeated) {
  const std::string pattern = "^(" + std::string(1000, '|') + "){50000}$";
  EXPECT_NE(ErrorOfPattern(pattern).find("too complex"), std::string::npos);
}

TEST(HostilePattern, WideChoicesRepeated) {
  std::string choice;
  for (int c = 0x4e00; c < 0x4e00 + 20'000; ++c)
    choice += fmt::format("{}\\u{:04x}", choice.empty() ? "" : "|", c);
  EXPECT_NE(ErrorOfPattern("^(" + choice.substr(0, 62'999) + "){30}$"), "");
  EXPECT_EQ(ErrorOfPattern("^(" + choice.substr(0, 7 * 100 - 1) + "){30}$"), "");
}

}  // namespace
}  // namespace puna::grammar
