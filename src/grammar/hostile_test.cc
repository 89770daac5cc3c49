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
