// Schemas whose values are easily taken for others: numbers at their limits, objects in another
// order, names that are no keywords.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "grammar/grammar.h"

namespace puna::grammar {
namespace {

struct SchemaCase {
  const char* schema;
  std::vector<const char*> valid, invalid;
};

void Check(const SchemaCase& one, SchemaReading reading = SchemaReading::kExact) {
  SCOPED_TRACE(one.schema);
  const auto grammar = Grammar::Compile(Part::Schema(Json::parse(one.schema), reading));
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  for (const char* value : one.valid) EXPECT_TRUE(*(*grammar)->AcceptsJson(value)) << value;
  for (const char* value : one.invalid) EXPECT_FALSE(*(*grammar)->AcceptsJson(value)) << value;
}

bool Accepts(const char* schema, std::string_view text) {
  const auto grammar = Grammar::Compile(Part::Schema(Json::parse(schema), SchemaReading::kNarrow));
  EXPECT_TRUE(grammar.has_value()) << grammar.error().message;
  return grammar && (*grammar)->Accepts(text);
}

TEST(Schema, NumbersFitADouble) {
  const char* any = R"({"type": "number"})";
  EXPECT_TRUE(Accepts(any, "1.5e-99"));
  EXPECT_TRUE(Accepts(any, "9999999999999999.9999999999999999e99"));
  EXPECT_FALSE(Accepts(any, "1e999"));
  const char* below = R"({"type": "number", "exclusiveMaximum": 100, "minimum": 99})";
  EXPECT_TRUE(Accepts(below, "99.9999999999999"));
  EXPECT_FALSE(Accepts(below, "99.9999999999999999")) << "a double's 100";
  // Where there is nothing shorter.
  EXPECT_TRUE(Accepts(R"({"type": "number", "minimum": 0.12345678901234561,
                          "maximum": 0.12345678901234569})",
                      "0.12345678901234565"));
}

TEST(Schema, MinusZeroIsLessThanPositiveLimits) {
  Check({R"({"type": "integer", "maximum": 10})", {"-0", "0", "10"}, {"11"}});
  Check({R"({"type": "integer", "not": {"maximum": 10}})", {"11"}, {"-0", "0", "10"}});
  Check({R"({"type": "integer", "minimum": 0, "maximum": 0})", {"-0", "0"}, {"-1", "1"}});
  Check({R"({"type": "integer", "exclusiveMinimum": 0})", {"1"}, {"-0", "0"}});
}

TEST(Schema, TheOrderOfKeysDoesNotMatter) {
  Check({R"({"const": {"a": 1, "b": 2}})",
         {R"({"a": 1, "b": 2})", R"({"b": 2, "a": 1})"},
         {R"({"a": 1, "b": 3})"}});
  Check({R"({"enum": [{"a": 1, "b": 2}, 3], "not": {"const": {"b": 2, "a": 1}}})",
         {"3"},
         {R"({"a": 1, "b": 2})", R"({"b": 2, "a": 1})"}});
  Check({R"({"allOf": [{"enum": [{"a": 1, "b": 2}]}, {"enum": [{"b": 2, "a": 1}]}]})",
         {R"({"a": 1, "b": 2})"},
         {"3"}});
  Check({R"({"type": "array", "uniqueItems": true,
             "items": {"enum": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}})",
         {R"([{"a": 1, "b": 2}])"},
         {R"([{"a": 1, "b": 2}, {"b": 2, "a": 1}])"}});
}

TEST(Schema, AnchorsUnderNamesThatLookLikeKeywords) {
  Check({R"({"$defs": {"default": {"$anchor": "d", "type": "null"}}, "$ref": "#d"})",
         {"null"},
         {"1"}});
  Check({R"({"properties": {"enum": {"$id": "http://q/z", "type": "null"},
                            "b": {"$ref": "http://q/z"}}})",
         {R"({"b": null})"},
         {R"({"b": 1})"}});
  // In data nothing is an anchor.
  EXPECT_FALSE(Grammar::Compile(Part::Schema(
      Json::parse(R"({"default": {"properties": {"x": {"$anchor": "d"}}}, "$ref": "#d"})"),
      SchemaReading::kExact)));
}

TEST(Schema, MalformedPatternsAreRefused) {
  for (const char* pattern : {"^a{2}{3}$", "{3}", "a|{3,}", "(?:{2})", "a+?{2}", "^\\u{110000}$"}) {
    const auto grammar = Grammar::Compile(Part::Regex(pattern));
    ASSERT_FALSE(grammar) << pattern;
    EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument) << grammar.error().message;
  }
  for (const char* pattern : {"^{a}$", "^a{,2}$", "^\\u{10FFFF}$"})
    EXPECT_TRUE(Grammar::Compile(Part::Regex(pattern))) << pattern;
}

}  // namespace
}  // namespace puna::grammar
