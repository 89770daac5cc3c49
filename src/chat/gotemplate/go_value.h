// The values that a Go template computes with. Immutable and cheap to copy; thread safe.
//
// Structs and maps differ as in Go: a struct has fields in their order and asking for another is an
// error, a map is visited in the order of its keys and has a zero value for every other key.
#ifndef PUNA_CHAT_GOTEMPLATE_GO_VALUE_H_
#define PUNA_CHAT_GOTEMPLATE_GO_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace puna::chat::gotemplate {

enum class GoKind : uint8_t { kNil, kBool, kInt, kFloat, kString, kList, kMap, kStruct };

struct GoField;

class GoValue {
 public:
  GoValue() = default;  // nil
  static GoValue Bool(bool value);
  static GoValue Int(int64_t value);
  static GoValue Float(double value);
  static GoValue String(std::string value);
  static GoValue List(std::vector<GoValue> items);
  static GoValue Map(std::vector<GoField> entries);  // sorts them by name
  static GoValue Struct(std::string type_name, std::vector<GoField> fields);
  // Objects become maps. REQUIRES: nested at most 200 levels (see TooDeep).
  static GoValue FromJson(const Json& json);

  // The same value, printed as its JSON: what Ollama's types with a String method do.
  GoValue PrintedAsJson() const;
  // The same value with what `toTypeScriptType` and its method ToTypeScriptType answer for it.
  GoValue WithTypeScript(std::string type) const;

  GoKind kind() const { return kind_; }
  bool is_nil() const { return kind_ == GoKind::kNil; }
  bool is_string() const { return kind_ == GoKind::kString; }
  bool is_number() const { return kind_ == GoKind::kInt || kind_ == GoKind::kFloat; }
  bool prints_as_json() const { return prints_as_json_; }

  // REQUIRES the matching kind.
  bool AsBool() const { return integer_ != 0; }
  int64_t AsInt() const { return integer_; }
  double AsDouble() const {
    return kind_ == GoKind::kFloat ? real_ : static_cast<double>(integer_);
  }
  const std::string& text() const;
  const std::vector<GoValue>& items() const;
  const std::vector<GoField>& fields() const;  // of a struct, or the entries of a map
  // The field or entry of that name, null if there is none.
  const GoValue* Find(std::string_view name) const;
  const std::string& type_script() const;

  bool Truth() const;            // Go's rule for `if`
  std::string TypeName() const;  // for messages
  Json ToJson()
      const;  // with maps in the order of their keys and empty fields left out where marked

 private:
  struct Shared;
  GoKind kind_ = GoKind::kNil;
  bool prints_as_json_ = false;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<const Shared> shared_;
};

struct GoField {
  std::string name;
  GoValue value;
  std::string json_name = {};  // "" means `name`
  bool omit_empty = false;
};

struct GoValue::Shared {
  std::string text;  // of a string; the type's name of a struct
  std::vector<GoValue> items;
  std::vector<GoField> fields;
  std::string type_script;
};

// Whether `json` nests deeper than the 200 levels that FromJson accepts.
bool TooDeep(const Json& json, int depth = 0);

// encoding/json's Marshal: no spaces, and < > & as \u003c \u003e \u0026.
std::string MarshalJson(const Json& json);
// fmt's %v. `top_level` prints nil as "<no value>", inside others it is "<nil>".
std::string PrintValue(const GoValue& value, bool top_level = true);
// A string in double quotes with Go's escapes.
std::string QuoteGo(std::string_view text);

}  // namespace puna::chat::gotemplate

#endif  // PUNA_CHAT_GOTEMPLATE_GO_VALUE_H_
