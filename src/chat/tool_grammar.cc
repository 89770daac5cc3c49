#include "chat/tool_grammar.h"

#include <algorithm>
#include <set>
#include <utility>

#include "chat/argument_value.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

using grammar::Part;

constexpr int64_t kMaxCalls = 16;
// Definitions are repeated for each argument that refers to some, and arguments that may be left
// out for each that may then be the first.
constexpr int64_t kMaxArgumentParts = 100'000;
// Messages of thinking in front of an answer, for formats with channels.
constexpr int64_t kMaxThoughts = 4;
// White space that models put between the end of their thinking and the answer.
constexpr int64_t kSpacesBehindThinking = 4;

Part Literal(std::string_view text) {
  std::vector<Part> parts;
  for (const LiteralPiece& piece : SplitTags(text))
    parts.push_back(piece.is_tag ? Part::Token(piece.text) : Part::Text(piece.text));
  return parts.size() == 1 ? std::move(parts[0]) : Part::Sequence(std::move(parts));
}

void AddSpace(std::string_view before, std::vector<Part>* parts) {
  for (const char c : before) {
    parts->push_back(c == '~' ? Part::Optional(Part::Text("\n"))
                              : Part::Text(std::string_view(&c, 1)));
  }
}

// A pattern whose only slots may be $WORD and $TYPE, which are written as nothing.
Part Mark(std::string_view text) {
  std::vector<Part> parts;
  for (const PatternElement& element : ParsePattern(text)) {
    AddSpace(element.before, &parts);
    if (!element.text.empty()) parts.push_back(Literal(element.text));
  }
  return Part::Sequence(std::move(parts));
}

Part Number() { return Part::Regex("[0-9]{1,2}"); }

bool Refers(const Json& schema) {
  if (schema.is_object() && (schema.contains("$ref") || schema.contains("$dynamicRef")))
    return true;
  return schema.is_structured() && std::any_of(schema.begin(), schema.end(), Refers);
}

int64_t CountParts(const Json& json) {
  int64_t count = 1;
  if (json.is_structured()) {
    for (const Json& part : json) count += CountParts(part);
  }
  return count;
}

// The schema of an argument, with what its references may point to.
Json ArgumentSchema(const Json& root, const Json& property) {
  if (!property.is_object()) return property;
  Json schema = property;
  if (!Refers(property)) return schema;
  for (const char* key : {"$defs", "definitions"}) {
    if (root.contains(key) && !schema.contains(key)) schema[key] = root[key];
  }
  return schema;
}

Json ParametersOf(const Tool& tool) {
  const Json* parameters = tool.parameters();
  Json schema = parameters == nullptr ? Json{{"properties", Json::object()}} : *parameters;
  if (schema.is_object() && !schema.contains("type")) schema["type"] = "object";
  return schema;
}

Part ArgumentsPart(const Tool& tool) { return Part::Schema(ParametersOf(tool)); }

struct Argument {
  std::string name;
  Json schema;
  uint8_t types = 0;
  bool required = false;
};

// Formats that write one argument after the other need to know them by name. `parts` counts what
// the schemas of arguments consist of, of all tools.
Result<std::vector<Argument>> ArgumentsOf(const Tool& tool, int64_t* parts) {
  const Json parameters = ParametersOf(tool);
  std::vector<Argument> arguments;
  for (const char* key : {"$ref", "anyOf", "oneOf", "allOf", "not", "if", "patternProperties",
                          "dependentRequired", "dependentSchemas", "minProperties"}) {
    if (parameters.is_object() && parameters.contains(key)) {
      return MakeError(ErrorCode::kUnsupported,
                       "tool \"{}\": \"{}\" for all parameters together is not supported with this "
                       "model's form of tool calls",
                       tool.name(), key);
    }
  }
  const auto properties = parameters.find("properties");
  if (properties == parameters.end() || !properties->is_object()) return arguments;
  std::set<std::string> required;
  for (const Json& name : parameters.value("required", Json::array())) {
    if (name.is_string()) required.insert(name.get<std::string>());
  }
  bool may_begin = true;
  for (const auto& [name, schema] : properties->items()) {
    if (may_begin) *parts += static_cast<int64_t>(properties->size());
    may_begin = may_begin && !required.contains(name);
    arguments.push_back({name, ArgumentSchema(parameters, schema), TypesOfArgument(tool, name),
                         required.contains(name)});
    *parts += CountParts(arguments.back().schema);
    if (*parts > kMaxArgumentParts) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          "the tools have too many arguments, or too large ones: in this model's form of "
          "tool calls they have more than {} parts",
          kMaxArgumentParts);
    }
  }
  return arguments;
}

// Writes one call of one tool.
class CallWriter {
 public:
  CallWriter(const OutputFormat& format, const Tool& tool, std::vector<Argument> arguments)
      : format_(format), tool_(tool), arguments_(std::move(arguments)) {}

  Part Call(std::string_view pattern, std::string_view pair) const {
    std::vector<Part> parts;
    for (const PatternElement& element : ParsePattern(pattern)) {
      AddSpace(element.before, &parts);
      switch (element.slot) {
        case Slot::kNone:
          if (!element.text.empty()) parts.push_back(Literal(element.text));
          break;
        case Slot::kJson:
          parts.push_back(JsonCall());
          break;
        case Slot::kPython:
          parts.push_back(
              Part::Sequence({Part::Text(tool_.name() + "("),
                              Listed(", ", &CallWriter::PythonArgument), Part::Text(")")}));
          break;
        case Slot::kName:
          parts.push_back(Part::Text(tool_.name()));
          break;
        case Slot::kId:
          parts.push_back(Part::Regex("[a-zA-Z0-9]{9}"));
          break;
        case Slot::kNamedId:
          parts.push_back(Part::Text("functions." + tool_.name() + ":"));
          parts.push_back(Number());
          break;
        case Slot::kArgs:
          parts.push_back(ArgumentsPart(tool_));
          break;
        case Slot::kPlain:
          parts.push_back(Part::Sequence(
              {Part::Text("{"), Listed(",", &CallWriter::PlainArgument), Part::Text("}")}));
          break;
        case Slot::kPairs:
          for (const Argument& argument : arguments_) {
            const Part one = Pair(pair, argument);
            parts.push_back(argument.required ? one : Part::Optional(one));
          }
          break;
        default:
          break;
      }
    }
    return Part::Sequence(std::move(parts));
  }

 private:
  Part JsonCall() const {
    std::vector<Part> parts;
    std::string_view rest = format_.json;
    while (!rest.empty()) {
      const size_t slot = std::min(rest.find('$'), rest.size());
      if (slot > 0) parts.push_back(Part::Text(rest.substr(0, slot)));
      rest.remove_prefix(slot);
      const auto take = [&](std::string_view name) {
        if (!rest.starts_with(name)) return false;
        rest.remove_prefix(name.size());
        return true;
      };
      if (take("$NAME")) {
        const std::string quoted = DumpJson(Json(tool_.name()));
        parts.push_back(Part::Text(quoted.substr(1, quoted.size() - 2)));
      } else if (take("$ARGS")) {
        parts.push_back(ArgumentsPart(tool_));
      } else if (take("$INDEX")) {
        parts.push_back(Number());
      }
    }
    return Part::Sequence(std::move(parts));
  }

  // The arguments in their order, with `between` between those that are there.
  Part Listed(std::string_view between, Part (CallWriter::*write)(const Argument&) const) const {
    std::vector<Part> written, behind;  // `behind`: each as it stands behind another one
    for (const Argument& argument : arguments_) {
      written.push_back((this->*write)(argument));
      Part next = Part::Sequence({Part::Text(between), written.back()});
      behind.push_back(argument.required ? std::move(next) : Part::Optional(std::move(next)));
    }
    std::vector<Part> lists;  // by the argument that comes first
    for (size_t i = 0; i < arguments_.size(); ++i) {
      std::vector<Part> list = {std::move(written[i])};
      list.insert(list.end(), behind.begin() + static_cast<ptrdiff_t>(i) + 1, behind.end());
      lists.push_back(Part::Sequence(std::move(list)));
      if (arguments_[i].required) return Part::Choice(std::move(lists));
    }
    lists.push_back(Part::Text(""));
    return Part::Choice(std::move(lists));
  }

  static bool IsOnly(uint8_t types, uint8_t type) { return types == type; }

  Part PythonArgument(const Argument& argument) const {
    Part value = Part::Schema(argument.schema);
    if (IsOnly(argument.types, kBooleanArgument)) {
      value = Constants(argument.schema, {{true, "True"}, {false, "False"}});
    } else if (IsOnly(argument.types, kNullArgument)) {
      value = Part::Text("None");
    }
    return Part::Sequence({Part::Text(argument.name + "="), value});
  }

  static Part Constants(const Json& schema, const std::vector<std::pair<Json, const char*>>& all) {
    std::vector<Part> parts;
    for (const auto& [value, text] : all) {
      const auto values = schema.find("enum");
      const bool allowed = values == schema.end() ||
                           std::find(values->begin(), values->end(), value) != values->end();
      const auto constant = schema.find("const");
      if (allowed && (constant == schema.end() || *constant == value))
        parts.push_back(Part::Text(text));
    }
    return Part::Choice(std::move(parts));
  }

  Part PlainArgument(const Argument& argument) const {
    Part value = Part::Schema(argument.schema);
    if (IsOnly(argument.types, kStringArgument)) {
      value =
          Part::Sequence({Literal(format_.quote), Part::SchemaText(argument.schema, format_.quote),
                          Literal(format_.quote)});
    }
    return Part::Sequence({Part::Text(argument.name + ":"), value});
  }

  // An argument whose value may be text or JSON is written either way.
  Part Pair(std::string_view pattern, const Argument& argument) const {
    std::vector<Part> ways;
    if (argument.types == 0 || (argument.types & ~kStringArgument) != 0)
      ways.push_back(Pair(pattern, argument, false));
    if ((argument.types & kStringArgument) != 0) ways.push_back(Pair(pattern, argument, true));
    return Part::Choice(std::move(ways));
  }

  Part Pair(std::string_view pattern, const Argument& argument, bool as_text) const {
    std::vector<Part> parts;
    const std::vector<PatternElement> elements = ParsePattern(pattern);
    for (size_t i = 0; i < elements.size(); ++i) {
      const PatternElement& element = elements[i];
      AddSpace(element.before, &parts);
      switch (element.slot) {
        case Slot::kKey:
        case Slot::kSame:
          parts.push_back(Part::Text(argument.name));
          break;
        case Slot::kText:
          parts.push_back(Part::Text(as_text ? "true" : "false"));
          break;
        case Slot::kValue:
          // The text behind the value is what ends it.
          parts.push_back(as_text ? Part::SchemaText(argument.schema, elements[i + 1].text)
                                  : Part::Schema(OtherTypes(argument)));
          break;
        default:
          if (!element.text.empty()) parts.push_back(Literal(element.text));
      }
    }
    return Part::Sequence(std::move(parts));
  }

  // The schema of the values that are no strings.
  static Json OtherTypes(const Argument& argument) {
    if ((argument.types & kStringArgument) == 0 || !argument.schema.is_object())
      return argument.schema;
    Json schema = argument.schema;
    if (!schema.contains("type") || !schema["type"].is_array()) {
      schema["allOf"].push_back({{"type", {"number", "boolean", "null", "object", "array"}}});
      return schema;
    }
    Json types = Json::array();
    for (const Json& type : schema["type"]) {
      if (type != "string") types.push_back(type);
    }
    schema["type"] = std::move(types);
    return schema;
  }

  const OutputFormat& format_;
  const Tool& tool_;
  std::vector<Argument> arguments_;
};

// `call`, or several with `between` between them. `first` is the first one.
Part CallsPart(Part first, Part call, std::string_view between, bool several) {
  if (!several) return first;
  Part more = Part::Sequence({Mark(between), std::move(call)});
  return Part::Sequence({std::move(first), Part::Repeat(std::move(more), 0, kMaxCalls - 1)});
}

// A pattern without what the prompt has already written of it.
std::string Ungiven(const std::string& pattern, const std::string& given) {
  return pattern.starts_with(given) ? pattern.substr(given.size()) : pattern;
}

Result<Part> PatternCalls(const OutputFormat& format, std::span<const Tool> tools,
                          const std::string& given, bool several) {
  const CallPattern& pattern = format.calls;
  const bool named = pattern.call.find("$PAIRS") != std::string::npos ||
                     pattern.call.find("$PYTHON") != std::string::npos ||
                     pattern.call.find("$PLAIN") != std::string::npos;
  std::vector<Part> first, more;
  int64_t parts = 0;
  for (const Tool& tool : tools) {
    std::vector<Argument> arguments;
    if (named) {
      PUNA_ASSIGN_OR_RETURN(arguments, ArgumentsOf(tool, &parts));
    }
    const CallWriter writer(format, tool, std::move(arguments));
    first.push_back(writer.Call(Ungiven(pattern.call, given), pattern.pair));
    more.push_back(writer.Call(pattern.call, pattern.pair));
  }
  Part calls = CallsPart(Part::Choice(std::move(first)), Part::Choice(std::move(more)),
                         pattern.between, several && !format.one_call);
  return Part::Sequence({Mark(pattern.open), std::move(calls), Mark(pattern.close)});
}

// A Go template tells how its calls begin and no more: JSON behind it is what its reader looks for.
Part GoCalls(const std::string& tag, std::span<const Tool> tools, bool several) {
  const bool bare = tag.empty() || tag == "{";
  OutputFormat format;
  if (bare) format.json = R"({"name": "$NAME", "parameters": $ARGS})";
  std::vector<Part> choices;
  for (const Tool& tool : tools) choices.push_back(CallWriter(format, tool, {}).Call("$JSON", ""));
  const Part call = Part::Choice(std::move(choices));
  const Part calls = CallsPart(call, call, bare ? "\n" : ", ", several);
  if (bare) return calls;
  const Part list = Part::Sequence({Part::Text("["), calls, Part::Text("]")});
  if (tag == "[") return list;
  return Part::Sequence(
      {Part::Token(tag), Part::Spaces(1),
       tag.ends_with("[") ? Part::Sequence({calls, Part::Text("]")}) : Part::Choice({call, list})});
}

// Thinking in front of `answer`.
Part BehindThinking(Part answer, const OutputOptions& options, const OutputFormat* format,
                    bool thinks) {
  if (format != nullptr && !format->thinking.empty()) {
    // What leads to the next message is what the prompt wrote in front of this one.
    const bool next_is_given = format->prefix.empty() || !options.given.empty();
    Part thought = Part::Sequence({Mark(format->thinking), Part::Until(format->thinking_close),
                                   Mark(next_is_given ? format->thinking_next : "")});
    std::vector<Part> parts;
    if (options.starts_thinking) {
      parts.push_back(Part::Until(format->thinking_close));
      parts.push_back(Mark(next_is_given ? format->thinking_next : ""));
    }
    parts.push_back(Part::Repeat(std::move(thought), 0, kMaxThoughts));
    parts.push_back(std::move(answer));
    return Part::Sequence(std::move(parts));
  }
  const ThinkTags& tags = options.think_tags;
  if (tags.open.empty() || tags.close.empty()) return answer;
  const Part end = Part::Sequence({Part::Until(tags.close), Part::Spaces(kSpacesBehindThinking)});
  if (options.starts_thinking) return Part::Sequence({end, std::move(answer)});
  if (!thinks) return answer;
  const Part thinking =
      Part::Sequence({Part::Spaces(kSpacesBehindThinking), Part::Token(tags.open), end});
  return Part::Sequence({Part::Optional(thinking), std::move(answer)});
}

}  // namespace

Result<Part> ToolCallsPart(const OutputOptions& options, std::string_view only, bool several,
                           bool thinks) {
  std::vector<Tool> tools;
  for (const Tool& tool : options.tools) {
    if (!tool.name().empty() && (only.empty() || tool.name() == only)) tools.push_back(tool);
  }
  if (tools.empty()) {
    if (only.empty())
      return MakeError(ErrorCode::kInvalidArgument,
                       "a tool call is required, and there are no tools");
    return MakeError(ErrorCode::kInvalidArgument, "there is no tool named \"{}\"", only);
  }
  const OutputFormat* format = FindOutputFormat(options.format);
  Result<Part> calls = Part();
  if (options.format == "go") {
    calls = GoCalls(options.tool_call_tag, tools, several);
  } else if (format == nullptr || format->calls.call.empty()) {
    return MakeError(
        ErrorCode::kUnsupported,
        "tool calls cannot be required of this model: it writes them in the form \"{}\"",
        options.format);
  } else {
    calls = PatternCalls(*format, tools, options.given, several);
  }
  if (!calls) return calls;
  return BehindThinking(*std::move(calls), options, format, thinks);
}

Part AnswerPart(Part answer, const OutputOptions& options, bool thinks) {
  const OutputFormat* format = FindOutputFormat(options.format);
  if (format != nullptr && !format->content_open.empty()) {
    const bool opened = options.given.find(format->content_open) != std::string::npos;
    std::vector<Part> parts = {Mark(opened ? "" : Ungiven(format->content_open, options.given)),
                               std::move(answer)};
    if (!format->content_close.empty())
      parts.push_back(Part::Optional(Mark(format->content_close)));
    answer = Part::Sequence(std::move(parts));
  }
  return BehindThinking(std::move(answer), options, format, thinks);
}

}  // namespace puna::chat
