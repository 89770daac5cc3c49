// "unevaluatedProperties", "unevaluatedItems" and "$dynamicRef": what a grammar makes of them, on
// values that tell apart the readings that are easily mistaken.
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

void Check(const SchemaCase& one) {
  SCOPED_TRACE(one.schema);
  const auto grammar =
      Grammar::Compile(Part::Schema(Json::parse(one.schema), SchemaReading::kExact));
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  for (const char* value : one.valid) EXPECT_TRUE(*(*grammar)->AcceptsJson(value)) << value;
  for (const char* value : one.invalid) EXPECT_FALSE(*(*grammar)->AcceptsJson(value)) << value;
}

TEST(SchemaUnevaluated, PropertiesThatNoPartHasSeen) {
  Check(
      {R"({"properties": {"a": {}}, "patternProperties": {"^p": {}}, "unevaluatedProperties": false})",
       {R"({})", R"({"a": 1, "pq": 2})", R"("text")"},
       {R"({"b": 1})"}});
  Check({R"({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": {"type": "integer"}})",
         {R"({"a": "x", "b": 1})"},
         {R"({"b": "x"})"}});
  // Alternatives that hold together have seen what each of them has.
  Check({R"({"anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]},
                       {"properties": {"b": {"const": 2}}, "required": ["b"]}],
             "unevaluatedProperties": false})",
         {R"({"a": 1})", R"({"b": 2})", R"({"a": 1, "b": 2})"},
         {R"({"a": 1, "b": 3})", R"({"a": 1, "c": 1})"}});
  // A part does not see what its neighbours have seen.
  Check({R"({"allOf": [{"properties": {"a": {}}}, {"unevaluatedProperties": false}]})",
         {R"({})"},
         {R"({"a": 1})"}});
  // Nor has "not" seen anything, and a condition only where it holds.
  Check({R"({"not": {"properties": {"a": {"const": 1}}, "required": ["a"]},
             "unevaluatedProperties": false})",
         {R"({})"},
         {R"({"a": 2})", R"({"a": 1})"}});
  Check({R"({"if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
             "then": {"properties": {"b": {}}}, "unevaluatedProperties": false})",
         {R"({"a": 1, "b": 2})", R"({})"},
         {R"({"a": 2})", R"({"b": 2})"}});
  Check({R"({"$ref": "#/$defs/base", "$defs": {"base": {"properties": {"a": {}}}},
             "unevaluatedProperties": false})",
         {R"({"a": 1})"},
         {R"({"b": 1})"}});
  Check({R"({"allOf": [{"additionalProperties": true}], "unevaluatedProperties": false})",
         {R"({"a": 1})"},
         {}});
}

TEST(SchemaUnevaluated, ItemsThatNoPartHasSeen) {
  Check({R"({"prefixItems": [{"type": "string"}], "unevaluatedItems": false})",
         {R"([])", R"(["a"])"},
         {R"(["a", 1])"}});
  Check({R"({"anyOf": [{"prefixItems": [{"const": 1}]}, {"prefixItems": [true, {"const": 2}]}],
             "unevaluatedItems": false})",
         {R"([1])", R"([1, 2])", R"([0, 2])"},
         {R"([1, 3])", R"([1, 2, 3])"}});
  Check({R"({"contains": {"type": "integer"}, "unevaluatedItems": false})",
         {R"([1, 2])"},
         {R"([])", R"([1, "a"])"}});
  Check(
      {R"({"items": {"type": "integer"}, "unevaluatedItems": false})", {R"([1, 2])"}, {"[null]"}});
}

TEST(SchemaUniqueItems, OfListedValues) {
  Check(
      {R"({"type": "array", "items": {"enum": ["a", "b", 1, 1.0]}, "uniqueItems": true, "minItems": 1})",
       {R"(["a"])", R"([1, "b", "a"])"},
       {R"([])", R"(["a", "a"])", R"([1, 1.0])", R"(["a", "b", 1, "a"])"}});
  Check(
      {R"({"prefixItems": [{"type": "boolean"}, {"type": "boolean"}], "items": false, "uniqueItems": true})",
       {R"([true])", R"([false, true])", R"([])"},
       {R"([true, true])", R"([true, false, null])"}});
  Check({R"({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": true, "maxItems": 2})",
         {R"([3, 1])"},
         {R"([1, 2, 3])", R"([2, 2])"}});
  Check(
      {R"({"type": "array", "items": {"type": "boolean", "not": {"const": true}}, "uniqueItems": true})",
       {R"([false])", R"([])"},
       {R"([true])", R"([false, true])", R"([false, false])"}});
  for (const char* schema : {R"({"uniqueItems": true})", R"({"not": {"uniqueItems": true}})",
                             R"({"items": {"type": "integer"}, "uniqueItems": true})"}) {
    const auto grammar = Grammar::Compile(Part::Schema(Json::parse(schema)));
    ASSERT_FALSE(grammar.has_value()) << schema;
    EXPECT_NE(grammar.error().message.find("uniqueItems"), std::string::npos);
  }
}

TEST(SchemaUnevaluated, WhatCannotBeSaidIsNamed) {
  for (const char* schema :
       {R"({"not": {"unevaluatedProperties": false}})",
        R"({"contains": {"const": 1}, "unevaluatedItems": {"type": "string"}})",
        R"({"$ref": "#/$defs/list", "$defs": {
            "list": {"$id": "list", "items": {"$dynamicRef": "#item"}, "$defs": {"d": {"$dynamicAnchor": "item"}}},
            "other": {"$id": "other", "$dynamicAnchor": "item"}}})"}) {
    const auto grammar = Grammar::Compile(Part::Schema(Json::parse(schema)));
    ASSERT_FALSE(grammar.has_value()) << schema;
    EXPECT_EQ(grammar.error().code, ErrorCode::kUnsupported);
  }
}

TEST(SchemaDynamicRef, TheRootsOwnAnchorIsMeant) {
  Check({R"({"$id": "https://example.org/numbers", "$ref": "list",
             "$defs": {"number": {"$dynamicAnchor": "item", "type": "number"},
                       "list": {"$id": "list", "type": "array", "items": {"$dynamicRef": "#item"},
                                "$defs": {"any": {"$dynamicAnchor": "item"}}}}})",
         {"[1, 2.5]", "[]"},
         {R"(["a"])"}});
  Check({R"({"$dynamicAnchor": "node", "type": "object", "required": ["v"],
             "properties": {"next": {"$dynamicRef": "#node"}}})",
         {R"({"v": 1, "next": {"v": 2}})"},
         {R"({"v": 1, "next": {}})"}});
}

}  // namespace
}  // namespace puna::grammar
