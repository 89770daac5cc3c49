#include "chat/argument_value.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <string>

#include "base/json.h"
#include "chat/json_scanner.h"
#include "chat/plain_scanner.h"

namespace puna::chat {
namespace {

constexpr int kMaxDepth = 20;

uint8_t TypeNamed(const Json& name) {
  static constexpr std::pair<std::string_view, uint8_t> kTypes[] = {
      {"string", kStringArgument},   {"number", kNumberArgument | kIntegerArgument},
      {"integer", kIntegerArgument}, {"boolean", kBooleanArgument},
      {"null", kNullArgument},       {"object", kObjectArgument},
      {"array", kArrayArgument}};
  for (const auto& [text, types] : kTypes) {
    if (name == text) return types;
  }
  return 0;
}

uint8_t TypeOf(const Json& value) {
  if (value.is_string()) return kStringArgument;
  if (value.is_number_integer()) return kIntegerArgument;
  if (value.is_number()) {
    const double number = value.get<double>();
    return number == std::trunc(number) ? kIntegerArgument : kNumberArgument;
  }
  if (value.is_boolean()) return kBooleanArgument;
  if (value.is_null()) return kNullArgument;
  return value.is_object() ? kObjectArgument : kArrayArgument;
}

// What the "$ref" of a schema leads to; null: nowhere within `root`.
const Json* Referred(const Json& root, const Json& schema) {
  const auto ref = schema.find("$ref");
  if (ref == schema.end() || !ref->is_string()) return nullptr;
  const auto& text = ref->get_ref<const std::string&>();
  if (!text.starts_with("#/")) return nullptr;
  try {
    const Json::json_pointer pointer(text.substr(1));
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const Json::exception&) {  // malformed pointers are told by no other means
    return nullptr;
  }
}

bool IsWord(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

// The types that values of a schema have; 0: not known. Each part of the schema is read once, as
// references may lead to it from anywhere, itself included.
class SchemaTypes {
 public:
  explicit SchemaTypes(const Json& root) : root_(root) {}

  uint8_t Of(const Json& schema, int depth = 0) {
    if (!schema.is_object() || depth > kMaxDepth) return 0;
    if (const auto type = schema.find("type"); type != schema.end()) {
      uint8_t types = 0;
      if (!type->is_array()) return TypeNamed(*type);
      for (const Json& one : *type) types |= TypeNamed(one);
      return types;
    }
    if (const auto value = schema.find("const"); value != schema.end()) return TypeOf(*value);
    if (const auto values = schema.find("enum"); values != schema.end() && values->is_array()) {
      uint8_t types = 0;
      for (const Json& value : *values) types |= TypeOf(value);
      return types;
    }
    const auto [known, is_new] = known_.try_emplace(&schema, 0);
    if (is_new) {
      const uint8_t types = OfParts(schema, depth);
      known_[&schema] = types;
      return types;
    }
    return known->second;
  }

 private:
  uint8_t OfParts(const Json& schema, int depth) {
    if (schema.contains("$ref")) {
      const Json* referred = Referred(root_, schema);
      return referred == nullptr ? 0 : Of(*referred, depth + 1);
    }
    uint8_t types = 0;
    for (const std::string_view key : {"anyOf", "oneOf", "allOf"}) {
      const auto parts = schema.find(key);
      if (parts == schema.end() || !parts->is_array()) continue;
      for (const Json& part : *parts) {
        const uint8_t one = Of(part, depth + 1);
        if (one == 0 && key != "allOf") return 0;
        types |= one;
      }
    }
    return types;
  }

  const Json& root_;
  std::map<const Json*, uint8_t> known_;  // 0 while being read
};

}  // namespace

uint8_t TypesOfArgument(const Tool& tool, std::string_view name) {
  return DeclaredValue(tool, name).types();
}

DeclaredValue::DeclaredValue(const Json* root, const Json* schema) : root_(root), schema_(schema) {}

DeclaredValue::DeclaredValue(const Tool& tool, std::string_view name) {
  const Json* parameters = tool.parameters();
  if (parameters == nullptr || !parameters->is_object()) return;
  const std::string key(name);
  *this = DeclaredValue(parameters, parameters).Member(key);
  const Json required = parameters->value("required", Json::array());
  optional_ = std::find(required.begin(), required.end(), Json(key)) == required.end();
}

uint8_t DeclaredValue::types() const {
  return schema_ == nullptr ? 0 : SchemaTypes(*root_).Of(*schema_);
}

const Json* DeclaredValue::Keyword(const char* name) const {
  const Json* schema = schema_;
  for (int depth = 0; schema != nullptr && schema->is_object() && depth < kMaxDepth; ++depth) {
    if (const auto found = schema->find(name); found != schema->end()) return &*found;
    schema = Referred(*root_, *schema);
  }
  return nullptr;
}

DeclaredValue DeclaredValue::Member(const std::string& name) const {
  const Json* properties = Keyword("properties");
  if (properties == nullptr || !properties->is_object()) return {};
  const auto property = properties->find(name);
  return property == properties->end() ? DeclaredValue() : DeclaredValue(root_, &*property);
}

DeclaredValue DeclaredValue::Item() const {
  const Json* items = Keyword("items");
  return items == nullptr ? DeclaredValue() : DeclaredValue(root_, items);
}

Json ArgumentFromText(std::string_view text, const DeclaredValue& schema) {
  const uint8_t types = schema.types();
  const bool is_string = types == kStringArgument;
  if (IsWord(text, "null") && (!is_string || schema.optional())) return nullptr;
  if (is_string) return std::string(text);
  if ((types & kBooleanArgument) != 0 && (IsWord(text, "true") || IsWord(text, "false")))
    return IsWord(text, "true");
  // Where it may be text, too large a number is that.
  const bool is_json = types != 0 && (types & kStringArgument) == 0;
  Json value = is_json ? ParseModelJson(text) : ParseJson(text);
  if (value.is_discarded()) {
    const auto python = ParsePythonValue(text);
    if (python) value = *python;
  }
  const bool fits = types == 0 ? !value.is_discarded() && !value.is_string()
                               : !value.is_discarded() && (TypeOf(value) & types) != 0;
  return fits && !(value.is_string() && (types & kStringArgument) != 0) ? value
                                                                        : Json(std::string(text));
}

namespace {

// Reads from the front of `rest` up to the closing tag that is not its own. False if malformed.
bool ReadTags(std::string_view* rest, std::string_view mark, const DeclaredValue& schema, int depth,
              Json* out) {
  const std::string open = std::string(mark) + "<", close = open + "/";
  if (depth > kMaxDepth) return false;
  if (!rest->starts_with(open) || rest->starts_with(close)) {
    const size_t end = std::min(rest->find(mark), rest->size());
    const uint8_t types = schema.types();
    if (end == 0 && (types & kStringArgument) == 0 && (types & kArrayArgument) != 0) {
      *out = Json::array();
    } else if (end == 0 && (types & kStringArgument) == 0 && (types & kObjectArgument) != 0) {
      *out = Json::object();
    } else {
      *out = ArgumentFromText(rest->substr(0, end), schema);
    }
    rest->remove_prefix(end);
    return true;
  }
  *out = Json::object();
  Json list = Json::array();
  bool all_items = true;
  while (rest->starts_with(open) && !rest->starts_with(close)) {
    rest->remove_prefix(open.size());
    const size_t name_end = rest->find('>');
    if (name_end == std::string_view::npos) return false;
    const std::string name(rest->substr(0, name_end));
    rest->remove_prefix(name_end + 1);
    Json value;
    const DeclaredValue member = schema.Member(name);
    const bool is_item = name == "item" && member.types() == 0;
    if (!ReadTags(rest, mark, is_item ? schema.Item() : member, depth + 1, &value)) return false;
    const std::string end = close + name + ">";
    if (!rest->starts_with(end)) return false;
    rest->remove_prefix(end.size());
    while (!rest->empty() && ((*rest)[0] == '\n' || (*rest)[0] == ' ')) rest->remove_prefix(1);
    all_items &= is_item;
    if (all_items) list.push_back(value);
    (*out)[name] = std::move(value);
  }
  if (all_items) *out = std::move(list);
  return true;
}

}  // namespace

Json ArgumentFromTags(std::string_view text, std::string_view mark, const DeclaredValue& schema) {
  std::string_view rest = text;
  Json value;
  if (!ReadTags(&rest, mark, schema, 0, &value) || !rest.empty()) return std::string(text);
  return value;
}

}  // namespace puna::chat
