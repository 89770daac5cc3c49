// Arguments that are written as text between tags.
#ifndef PUNA_CHAT_ARGUMENT_VALUE_H_
#define PUNA_CHAT_ARGUMENT_VALUE_H_

#include <cstdint>
#include <string_view>

#include "chat/chat.h"

namespace puna::chat {

// The types of JSON, one bit each.
enum ArgumentTypes : uint8_t {
  kStringArgument = 1,
  kNumberArgument = 2,
  kIntegerArgument = 4,
  kBooleanArgument = 8,
  kNullArgument = 16,
  kObjectArgument = 32,
  kArrayArgument = 64,
};

// What `tool` declares for its argument `name`; 0: it does not say. References within the schema
// are followed.
uint8_t TypesOfArgument(const Tool& tool, std::string_view name);

// What is declared of an argument, or of a part of one. `tool` must outlive it.
class DeclaredValue {
 public:
  DeclaredValue() = default;  // nothing is known
  DeclaredValue(const Tool& tool, std::string_view name);

  uint8_t types() const;  // as in TypesOfArgument
  // Whether it may be left out.
  bool optional() const { return optional_; }
  DeclaredValue Member(const std::string& name) const;
  DeclaredValue Item() const;

 private:
  DeclaredValue(const Json* root, const Json* schema);
  const Json* Keyword(const char* name) const;  // of the schema or what it refers to, or null
  const Json* root_ = nullptr;                  // what references within `schema_` are about
  const Json* schema_ = nullptr;                // null: nothing is known
  bool optional_ = false;
};

// The value that `text` means: JSON (or a constant of Python's) where that has a type that the
// schema allows, else the text itself. "null" is null for all but strings that are required, as
// models leave arguments out with it.
Json ArgumentFromText(std::string_view text, const DeclaredValue& schema);

// A value that consists of <name>value</name>, each tag with `mark` in front of it; a list if all
// are named "item". Values that hold no tags are as in ArgumentFromText, and empty ones are empty
// lists and objects where these are allowed and strings are not. What is no such text is taken as
// it is.
Json ArgumentFromTags(std::string_view text, std::string_view mark, const DeclaredValue& schema);

}  // namespace puna::chat

#endif  // PUNA_CHAT_ARGUMENT_VALUE_H_
