// json.dumps(value, ensure_ascii, indent, separators, sort_keys) with Python's spacing: ", " and ":
// " by default, "," at the end of a line when indented.
#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool multiline = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool generators = false;  // written as lists; Python refuses them
};

void AppendEscape(uint32_t unit, std::string* out) { *out += fmt::format("\\u{:04x}", unit); }

void AppendJsonString(std::string_view text, bool ensure_ascii, std::string* out) {
  *out += '"';
  while (!text.empty()) {
    const DecodedCodepoint decoded = DecodeUtf8(text);
    const char32_t c = decoded.codepoint;
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\r':
        *out += "\\r";
        break;
      case '\t':
        *out += "\\t";
        break;
      case '\b':
        *out += "\\b";
        break;
      case '\f':
        *out += "\\f";
        break;
      default:
        if (c < 0x20) {
          AppendEscape(c, out);
        } else if (!ensure_ascii || c < 0x7F || !decoded.valid) {
          if (c == 0x7F && ensure_ascii) {
            *out += '\x7f';
          } else {
            out->append(text.substr(0, decoded.length_bytes));
          }
        } else if (c < 0x10000) {
          AppendEscape(c, out);
        } else {
          AppendEscape(0xD800 + ((c - 0x10000) >> 10), out);
          AppendEscape(0xDC00 + ((c - 0x10000) & 0x3FF), out);
        }
    }
    text.remove_prefix(decoded.length_bytes);
  }
  *out += '"';
}

class JsonWriter {
 public:
  JsonWriter(Meter& meter, const JsonStyle& style) : meter_(meter), style_(style) {}
  std::string Take() { return std::move(out_); }

  void Write(const Value& value, int depth) {
    if (!meter_.Charge(1)) return;
    if (out_.size() > meter_.limits().max_output_bytes || depth > 220) {
      meter_.Fail(ErrorCode::kResourceExhausted, "a value is too large to be written as JSON");
      return;
    }
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return;
      case Kind::kBool:
        out_ += value.AsInt() != 0 ? "true" : "false";
        return;
      case Kind::kInt:
        out_ += std::to_string(value.AsInt());
        return;
      case Kind::kFloat:
        out_ += Number(value.AsDouble());
        return;
      case Kind::kString:
        meter_.ChargeBytes(value.text().size());
        AppendJsonString(value.text(), style_.ensure_ascii, &out_);
        return;
      case Kind::kDict:
        WriteDict(value.dict(), depth);
        return;
      case Kind::kSequence:
        if (value.is_sequence(SequenceType::kList) || value.is_sequence(SequenceType::kTuple) ||
            (style_.generators && value.is_sequence(SequenceType::kGenerator))) {
          WriteList(value.sequence(), depth);
          return;
        }
        break;
      default:
        break;
    }
    meter_.Fail("object of type {} is not JSON serializable", TypeName(value));
  }

 private:
  static std::string Number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return FloatRepr(value);
  }

  void NewLine(int depth) {
    if (!style_.multiline) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void WriteList(const SequenceObject& list, int depth) {
    if (list.items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    for (size_t i = 0; i < list.items.size() && !meter_.failed(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      NewLine(depth + 1);
      Write(list.items[i], depth + 1);
    }
    NewLine(depth);
    out_ += ']';
  }

  bool KeyText(const Value& key, std::string* text) {
    switch (key.kind()) {
      case Kind::kString:
        *text = key.text();
        return true;
      case Kind::kNone:
        *text = "null";
        return true;
      case Kind::kBool:
        *text = key.AsInt() != 0 ? "true" : "false";
        return true;
      case Kind::kInt:
        *text = std::to_string(key.AsInt());
        return true;
      case Kind::kFloat:
        *text = Number(key.AsDouble());
        return true;
      default:
        return meter_.Fail("keys must be str, int, float, bool or None, not {}", TypeName(key));
    }
  }

  void WriteDict(const DictObject& dict, int depth) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        int order = 0;
        return Compare(meter_, a->first, b->first, &order) && order == -1;
      });
    }
    out_ += '{';
    for (size_t i = 0; i < entries.size() && !meter_.failed(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      NewLine(depth + 1);
      std::string key;
      if (!KeyText(entries[i]->first, &key)) return;
      AppendJsonString(key, style_.ensure_ascii, &out_);
      out_ += style_.key_separator;
      Write(entries[i]->second, depth + 1);
    }
    NewLine(depth);
    out_ += '}';
  }

  Meter& meter_;
  const JsonStyle& style_;
  std::string out_;
};

bool ReadStyle(Interpreter& interpreter, const Arguments& arguments, JsonStyle* style) {
  Meter& meter = interpreter.meter();
  std::vector<const Value*> given;
  if (!Bind(meter, "tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0,
            &given))
    return false;
  const auto& [ensure_ascii, indent, separators, sort_keys] =
      std::tie(given[0], given[1], given[2], given[3]);
  style->ensure_ascii = ensure_ascii != nullptr && Truthy(*ensure_ascii);
  style->sort_keys = sort_keys != nullptr && Truthy(*sort_keys);
  if (indent != nullptr && !indent->is_none()) {
    style->multiline = true;
    style->item_separator = ",";
    if (indent->is_string()) {
      if (indent->text().size() > 1000)
        return meter.Fail("tojson() indents by at most 1000 characters");
      style->indent = indent->text();
    } else if (indent->is_integral()) {
      if (indent->AsInt() > 1000)
        return meter.Fail("tojson() indents by at most 1000, not {}", indent->AsInt());
      style->indent = std::string(static_cast<size_t>(std::max<int64_t>(indent->AsInt(), 0)), ' ');
    } else {
      return meter.Fail("tojson() needs a number or a string as indent, not {}", TypeName(*indent));
    }
  }
  if (separators != nullptr && !separators->is_none()) {
    std::vector<Value> pair;
    if (!Iterate(meter, *separators, &pair)) return false;
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return meter.Fail("tojson() needs two strings as separators");
    }
    if (pair[0].text().size() + pair[1].text().size() > 1000)
      return meter.Fail("tojson() got too long separators");
    style->item_separator = pair[0].text();
    style->key_separator = pair[1].text();
  }
  return true;
}

}  // namespace

Value ToJson(Interpreter& interpreter, const Value& value, Arguments& arguments) {
  JsonStyle style;
  if (!ReadStyle(interpreter, arguments, &style)) return Value();
  style.generators = interpreter.allow_list_changes();
  JsonWriter writer(interpreter.meter(), style);
  writer.Write(value, 0);
  return Value::String(interpreter.meter(), writer.Take());
}

std::string ToJsonText(Meter& meter, const Value& value) {
  const JsonStyle style;
  JsonWriter writer(meter, style);
  writer.Write(value, 0);
  return writer.Take();
}

}  // namespace puna::chat::jinja
