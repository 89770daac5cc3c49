#include "chat/gotemplate/go_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/utf8.h"

namespace puna::chat::gotemplate {
namespace {

// The shortest digits, with an exponent below `smallest` and from `large` on.
std::string FloatDigits(double value, double smallest, double large) {
  char buffer[64];
  const double magnitude = std::fabs(value);
  const bool scientific = magnitude != 0 && (magnitude < smallest || magnitude >= large);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value, format).ptr);
}

// %v of a float.
std::string PrintFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  return FloatDigits(value, 1e-4, 1e6);
}

// encoding/json's float: its exponents have no zero in front.
std::string MarshalFloat(double value) {
  if (!std::isfinite(value)) return "null";
  std::string text = FloatDigits(value, 1e-6, 1e21);
  const size_t zero = text.find("e-0");
  if (zero != std::string::npos) text.erase(zero + 2, 1);
  return text;
}

bool IsEmpty(const GoValue& value) {
  switch (value.kind()) {
    case GoKind::kStruct:
      return false;
    default:
      return !value.Truth();
  }
}

void AppendText(const Json& json, std::string* out) {
  const std::string plain = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    if (c == '<' || c == '>' || c == '&') {
      *out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else if (plain.compare(i, 3, "\xE2\x80\xA8") == 0 ||
               plain.compare(i, 3, "\xE2\x80\xA9") == 0) {
      *out += plain[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      *out += c;
    }
  }
}

void AppendMarshalled(const Json& json, std::string* out) {
  if (json.is_number_float()) {
    *out += MarshalFloat(json.get<double>());
  } else if (json.is_array()) {
    *out += '[';
    bool first = true;
    for (const Json& item : json) {
      if (!std::exchange(first, false)) *out += ',';
      AppendMarshalled(item, out);
    }
    *out += ']';
  } else if (json.is_object()) {
    *out += '{';
    bool first = true;
    for (const auto& [key, value] : json.items()) {
      if (!std::exchange(first, false)) *out += ',';
      AppendText(Json(key), out);
      *out += ':';
      AppendMarshalled(value, out);
    }
    *out += '}';
  } else {
    AppendText(json, out);
  }
}

}  // namespace

GoValue GoValue::Bool(bool value) {
  GoValue out;
  out.kind_ = GoKind::kBool;
  out.integer_ = value ? 1 : 0;
  return out;
}

GoValue GoValue::Int(int64_t value) {
  GoValue out;
  out.kind_ = GoKind::kInt;
  out.integer_ = value;
  return out;
}

GoValue GoValue::Float(double value) {
  GoValue out;
  out.kind_ = GoKind::kFloat;
  out.real_ = value;
  return out;
}

GoValue GoValue::String(std::string value) {
  auto shared = std::make_shared<Shared>();
  shared->text = std::move(value);
  GoValue out;
  out.kind_ = GoKind::kString;
  out.shared_ = std::move(shared);
  return out;
}

GoValue GoValue::List(std::vector<GoValue> items) {
  auto shared = std::make_shared<Shared>();
  shared->items = std::move(items);
  GoValue out;
  out.kind_ = GoKind::kList;
  out.shared_ = std::move(shared);
  return out;
}

GoValue GoValue::Map(std::vector<GoField> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const GoField& a, const GoField& b) { return a.name < b.name; });
  GoValue out = Struct("map[string]interface {}", std::move(entries));
  out.kind_ = GoKind::kMap;
  return out;
}

GoValue GoValue::Struct(std::string type_name, std::vector<GoField> fields) {
  auto shared = std::make_shared<Shared>();
  shared->text = std::move(type_name);
  shared->fields = std::move(fields);
  GoValue out;
  out.kind_ = GoKind::kStruct;
  out.shared_ = std::move(shared);
  return out;
}

GoValue GoValue::FromJson(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return Bool(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return Float(json.get<double>());  // as encoding/json decodes into `any`
    case Json::value_t::string:
      return String(json.get<std::string>());
    case Json::value_t::array: {
      std::vector<GoValue> items;
      for (const Json& item : json) items.push_back(FromJson(item));
      return List(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<GoField> entries;
      for (const auto& [key, value] : json.items()) entries.push_back({key, FromJson(value)});
      return Map(std::move(entries));
    }
    default:
      return GoValue();
  }
}

GoValue GoValue::PrintedAsJson() const {
  GoValue out = *this;
  out.prints_as_json_ = true;
  return out;
}

GoValue GoValue::WithTypeScript(std::string type) const {
  GoValue out = *this;
  auto shared = std::make_shared<Shared>(*shared_);
  shared->type_script = std::move(type);
  out.shared_ = std::move(shared);
  return out;
}

const std::string& GoValue::text() const { return shared_->text; }
const std::vector<GoValue>& GoValue::items() const { return shared_->items; }
const std::vector<GoField>& GoValue::fields() const { return shared_->fields; }

const std::string& GoValue::type_script() const {
  static const std::string kNone;
  return shared_ == nullptr ? kNone : shared_->type_script;
}

const GoValue* GoValue::Find(std::string_view name) const {
  for (const GoField& field : fields()) {
    if (field.name == name) return &field.value;
  }
  return nullptr;
}

bool GoValue::Truth() const {
  switch (kind_) {
    case GoKind::kNil:
      return false;
    case GoKind::kBool:
    case GoKind::kInt:
      return integer_ != 0;
    case GoKind::kFloat:
      return real_ != 0;
    case GoKind::kString:
      return !text().empty();
    case GoKind::kList:
      return !items().empty();
    case GoKind::kMap:
      return !fields().empty();
    case GoKind::kStruct:
      return true;
  }
  return false;
}

std::string GoValue::TypeName() const {
  switch (kind_) {
    case GoKind::kNil:
      return "nil";
    case GoKind::kBool:
      return "bool";
    case GoKind::kInt:
      return "int";
    case GoKind::kFloat:
      return "float64";
    case GoKind::kString:
      return "string";
    case GoKind::kList:
      return "list";
    case GoKind::kMap:
    case GoKind::kStruct:
      return text();
  }
  return "unknown";
}

Json GoValue::ToJson() const {
  switch (kind_) {
    case GoKind::kNil:
      return nullptr;
    case GoKind::kBool:
      return AsBool();
    case GoKind::kInt:
      return AsInt();
    case GoKind::kFloat:
      // encoding/json writes whole numbers without a point.
      if (real_ == std::floor(real_) && std::fabs(real_) < 9e15) return static_cast<int64_t>(real_);
      return real_;
    case GoKind::kString:
      return text();
    case GoKind::kList: {
      Json out = Json::array();
      for (const GoValue& item : items()) out.push_back(item.ToJson());
      return out;
    }
    case GoKind::kMap:
    case GoKind::kStruct: {
      Json out = Json::object();
      for (const GoField& field : fields()) {
        if (field.omit_empty && IsEmpty(field.value)) continue;
        out[field.json_name.empty() ? field.name : field.json_name] = field.value.ToJson();
      }
      return out;
    }
  }
  return nullptr;
}

bool TooDeep(const Json& json, int depth) {
  if (depth > 200) return true;
  if (!json.is_structured()) return false;
  return std::any_of(json.begin(), json.end(),
                     [&](const Json& child) { return TooDeep(child, depth + 1); });
}

std::string MarshalJson(const Json& json) {
  std::string out;
  AppendMarshalled(json, &out);
  return out;
}

std::string PrintValue(const GoValue& value, bool top_level) {
  if (value.prints_as_json()) return MarshalJson(value.ToJson());
  switch (value.kind()) {
    case GoKind::kNil:
      return top_level ? "<no value>" : "<nil>";
    case GoKind::kBool:
      return value.AsBool() ? "true" : "false";
    case GoKind::kInt:
      return std::to_string(value.AsInt());
    case GoKind::kFloat:
      return PrintFloat(value.AsDouble());
    case GoKind::kString:
      return value.text();
    case GoKind::kList: {
      std::string out = "[";
      for (const GoValue& item : value.items())
        out += (out.size() > 1 ? " " : "") + PrintValue(item, false);
      return out + "]";
    }
    case GoKind::kMap: {
      std::string out = "map[";
      for (const GoField& field : value.fields()) {
        out += (out.size() > 4 ? " " : "") + field.name + ":" + PrintValue(field.value, false);
      }
      return out + "]";
    }
    case GoKind::kStruct: {
      std::string out = "{";
      for (const GoField& field : value.fields())
        out += (out.size() > 1 ? " " : "") + PrintValue(field.value, false);
      return out + "}";
    }
  }
  return {};
}

std::string QuoteGo(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const DecodedCodepoint c = DecodeUtf8(text);
    static constexpr std::string_view kPlain = "\"\\\a\b\f\n\r\t\v";
    static constexpr std::string_view kLetters = "\"\\abfnrtv";
    const size_t known = c.length_bytes == 1 ? kPlain.find(text[0]) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out += '\\';
      out += kLetters[known];
    } else if (!c.valid || c.codepoint < 0x20 || c.codepoint == 0x7F) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(text[0])));
    } else {
      out += text.substr(0, c.length_bytes);
    }
    text.remove_prefix(c.length_bytes);
  }
  return out + "\"";
}

}  // namespace puna::chat::gotemplate
