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

// The value that `text` means for an argument of these types: JSON (or a constant of Python's)
// where that has one of them, else the text itself.
Json ArgumentFromText(std::string_view text, uint8_t types);

// A value that consists of <name>value</name>, each tag with `mark` in front of it; a list if all
// are named "item". Values that hold no tags are as in ArgumentFromText. What is no such text is
// taken as it is.
Json ArgumentFromTags(std::string_view text, std::string_view mark);

}  // namespace puna::chat

#endif  // PUNA_CHAT_ARGUMENT_VALUE_H_
