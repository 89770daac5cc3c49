// Executes the tree as text/template does, and answers what Ollama asks about it: which variables
// it mentions, where the response stands, what surrounds the thinking.
//
// Variables live on one stack; a control structure cuts it back to where it began, which is Go's
// scoping. Errors are sticky in the executor: the first one stops every list and loop.
#include "chat/gotemplate/go_template.h"

#include <algorithm>

#include "base/utf8.h"
#include "chat/gotemplate/go_functions.h"

namespace puna::chat::gotemplate {
namespace {

class Executor {
 public:
  Executor(const Tree& tree, const GoValue& data, const std::tm& now, const GoLimits& limits)
      : tree_(tree), limits_(limits), now_(now), variables_{{"$", data}} {}

  Result<std::string> Run(const List& list) {
    const GoValue dot = variables_[0].second;  // the stack moves when it grows
    Exec(list, dot);
    if (failed_) return tl::unexpected<Error>(error_);
    return std::move(out_);
  }

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  template <typename... Args>
  GoValue Fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    if (!failed_)
      error_ = Error{code, fmt::format("line {}: {}", line_,
                                       fmt::format(format, std::forward<Args>(args)...))};
    failed_ = true;
    return GoValue();
  }
  template <typename... Args>
  GoValue Fail(fmt::format_string<Args...> format, Args&&... args) {
    return Fail(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
  }

  bool Step() {
    if (++steps_ > limits_.max_steps)
      Fail(ErrorCode::kResourceExhausted, "the template needs more than {} steps",
           limits_.max_steps);
    return !failed_;
  }

  void Write(std::string_view text) {
    if (out_.size() + text.size() > limits_.max_output_bytes) {
      Fail(ErrorCode::kResourceExhausted, "the text is longer than {} bytes",
           limits_.max_output_bytes);
      return;
    }
    out_ += text;
  }

  Flow Exec(const List& list, const GoValue& dot) {
    for (const NodePtr& node : list) {
      const Flow flow = Exec(*node, dot);
      if (failed_) return Flow::kBreak;
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow Exec(const Node& node, const GoValue& dot) {
    if (!Step()) return Flow::kBreak;
    if (node.line > 0) line_ = node.line;
    switch (node.kind) {
      case NodeKind::kText:
        Write(node.text);
        break;
      case NodeKind::kAction: {
        const GoValue value = Eval(*node.pipe, dot);
        if (!failed_ && node.pipe->variables.empty()) Write(PrintValue(value));
        break;
      }
      case NodeKind::kIf:
      case NodeKind::kWith:
        return ExecCondition(node, dot);
      case NodeKind::kRange:
        return ExecRange(node, dot);
      case NodeKind::kTemplate:
        ExecTemplate(node, dot);
        break;
      case NodeKind::kBreak:
        return Flow::kBreak;
      case NodeKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  Flow ExecCondition(const Node& node, const GoValue& dot) {
    const size_t scope = variables_.size();
    const GoValue value = Eval(*node.pipe, dot);
    Flow flow = Flow::kNext;
    if (failed_) return Flow::kBreak;
    if (value.Truth()) {
      flow = Exec(node.list, node.kind == NodeKind::kWith ? value : dot);
    } else {
      flow = Exec(node.else_list, dot);
    }
    variables_.resize(scope);
    return flow;
  }

  // The pairs that a range visits: positions or keys, and elements.
  bool Elements(const GoValue& value, std::vector<std::pair<GoValue, GoValue>>* elements) {
    switch (value.kind()) {
      case GoKind::kNil:
        return true;
      case GoKind::kList:
        for (size_t i = 0; i < value.items().size(); ++i) {
          elements->emplace_back(GoValue::Int(static_cast<int64_t>(i)), value.items()[i]);
        }
        return true;
      case GoKind::kMap:
        for (const GoField& entry : value.fields())
          elements->emplace_back(GoValue::String(entry.name), entry.value);
        return true;
      case GoKind::kInt:
        if (value.AsInt() > 1'000'000) break;
        for (int64_t i = 0; i < value.AsInt(); ++i)
          elements->emplace_back(GoValue::Int(i), GoValue::Int(i));
        return true;
      default:
        break;
    }
    Fail("range can't iterate over {}", ReplaceInvalidUtf8(PrintValue(value).substr(0, 100)));
    return false;
  }

  Flow ExecRange(const Node& node, const GoValue& dot) {
    const size_t scope = variables_.size();
    const GoValue value = EvalCommands(*node.pipe, dot);
    std::vector<std::pair<GoValue, GoValue>> elements;
    if (failed_ || !Elements(value, &elements)) return Flow::kBreak;
    steps_ += elements.size();
    const std::vector<std::string>& names = node.pipe->variables;
    if (!node.pipe->assigns) {
      for (const std::string& name : names) variables_.emplace_back(name, GoValue());
    }
    const size_t inner = variables_.size();
    for (const auto& [key, element] : elements) {
      if (names.size() == 1) Assign(names[0], element);
      if (names.size() == 2) {
        Assign(names[0], key);
        Assign(names[1], element);
      }
      const Flow flow = Exec(node.list, element);
      variables_.resize(inner);
      if (failed_) return Flow::kBreak;
      if (flow == Flow::kBreak) break;
    }
    variables_.resize(scope);
    const Flow flow = elements.empty() ? Exec(node.else_list, dot) : Flow::kNext;
    variables_.resize(scope);
    return flow;
  }

  void ExecTemplate(const Node& node, const GoValue& dot) {
    const auto found = tree_.defined.find(node.text);
    if (found == tree_.defined.end()) {
      Fail("template '{}' is not defined", ReplaceInvalidUtf8(node.text));
      return;
    }
    if (++depth_ > limits_.max_depth) {
      Fail(ErrorCode::kResourceExhausted, "templates call each other deeper than {} levels",
           limits_.max_depth);
      return;
    }
    const GoValue argument = node.pipe != nullptr ? Eval(*node.pipe, dot) : GoValue();
    std::vector<std::pair<std::string, GoValue>> saved = {{"$", argument}};
    std::swap(saved, variables_);
    if (!failed_) Exec(found->second, argument);
    std::swap(saved, variables_);
    --depth_;
  }

  void Assign(std::string_view name, const GoValue& value) {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) {
        it->second = value;
        return;
      }
    }
  }

  GoValue Eval(const Pipe& pipe, const GoValue& dot) {
    GoValue value = EvalCommands(pipe, dot);
    for (const std::string& name : pipe.variables) {
      if (pipe.assigns) {
        Assign(name, value);
      } else {
        variables_.emplace_back(name, value);
      }
    }
    return value;
  }

  GoValue EvalCommands(const Pipe& pipe, const GoValue& dot) {
    GoValue value;
    for (size_t i = 0; i < pipe.commands.size(); ++i) {
      value = EvalCommand(pipe.commands[i], dot, i > 0 ? &value : nullptr);
      if (failed_) return GoValue();
    }
    return value;
  }

  // `piped` is the result of the command before, which becomes the last argument.
  GoValue EvalCommand(const Command& command, const GoValue& dot, const GoValue* piped) {
    if (!Step()) return GoValue();
    const Operand& first = command.operands[0];
    if (first.kind == OperandKind::kFunction) {
      return Fields(CallNamed(first.name, command, dot, piped), first.fields);
    }
    if (command.operands.size() > 1 || piped != nullptr)
      return Fail("can't give an argument to a value that is no function");
    return EvalOperand(first, dot);
  }

  GoValue CallNamed(const std::string& name, const Command& command, const GoValue& dot,
                    const GoValue* piped) {
    std::vector<GoValue> arguments;
    for (size_t i = 1; i < command.operands.size(); ++i) {
      arguments.push_back(EvalOperand(command.operands[i], dot));
      if (failed_) return GoValue();
      // and, or: stop at the first argument that decides.
      const bool truth = arguments.back().Truth();
      if ((name == "and" && !truth) || (name == "or" && truth)) return arguments.back();
    }
    if (piped != nullptr) arguments.push_back(*piped);
    auto result = CallFunction(name, arguments, CallContext{now_, limits_.max_output_bytes});
    if (!result) return Fail("{}", result.error().message);
    steps_ += result->is_string() ? result->text().size() / 16 : 0;
    return *std::move(result);
  }

  GoValue EvalOperand(const Operand& operand, const GoValue& dot) {
    switch (operand.kind) {
      case OperandKind::kDot:
        return dot;
      case OperandKind::kNil:
        return GoValue();
      case OperandKind::kConstant:
        return operand.constant;
      case OperandKind::kField:
        return Fields(dot, operand.fields);
      case OperandKind::kVariable:
        for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
          if (it->first == operand.name) return Fields(it->second, operand.fields);
        }
        return Fail("undefined variable '{}'", operand.name);
      case OperandKind::kPipe:
        return Fields(Eval(*operand.pipe, dot), operand.fields);
      case OperandKind::kFunction:
        return Fields(CallNamed(operand.name, Command{{operand}}, dot, nullptr), operand.fields);
    }
    return GoValue();
  }

  GoValue Fields(GoValue value, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (failed_) return GoValue();
      const bool has_fields = value.kind() == GoKind::kMap || value.kind() == GoKind::kStruct;
      if (value.is_nil()) return Fail("nil pointer evaluating interface {{}}.{}", name);
      if (name == "ToTypeScriptType" && !value.type_script().empty()) {
        value = GoValue::String(std::string(value.type_script()));
        continue;
      }
      const GoValue* found = has_fields ? value.Find(name) : nullptr;
      if (found == nullptr && value.kind() != GoKind::kMap) {
        return Fail("can't evaluate field {} in type {}", name, value.TypeName());
      }
      const GoValue next = found != nullptr ? *found : GoValue();  // missingkey=zero
      value = next;
    }
    return value;
  }

  const Tree& tree_;
  const GoLimits& limits_;
  const std::tm& now_;
  std::vector<std::pair<std::string, GoValue>> variables_;
  std::string out_;
  uint64_t steps_ = 0;
  int depth_ = 0;
  int line_ = 1;
  bool failed_ = false;
  Error error_;
};

bool Names(const Operand& operand, std::string_view name) {
  return operand.kind == OperandKind::kField &&
         std::find(operand.fields.begin(), operand.fields.end(), name) != operand.fields.end();
}

void CollectVariables(const Pipe& pipe, std::set<std::string>* names) {
  const auto add = [&](std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    names->insert(std::move(name));
  };
  for (const Command& command : pipe.commands) {
    for (const Operand& operand : command.operands) {
      if (!operand.name.empty() && operand.kind == OperandKind::kVariable) add(operand.name);
      if (operand.kind == OperandKind::kField || operand.kind == OperandKind::kVariable) {
        for (const std::string& field : operand.fields) add(field);
      }
      if (operand.pipe != nullptr) CollectVariables(*operand.pipe, names);
    }
  }
}

void CollectVariables(const List& list, std::set<std::string>* names) {
  for (const NodePtr& node : list) {
    if (node->pipe != nullptr) CollectVariables(*node->pipe, names);
    CollectVariables(node->list, names);
    CollectVariables(node->else_list, names);
  }
}

// Copies a list up to and with the first action that mentions .Response, sets `*cut` there and
// drops the rest. As in Ollama the conditions of control structures do not count.
List CutAfterResponse(const List& list, bool* cut) {
  List kept;
  for (const NodePtr& node : list) {
    if (*cut) break;
    switch (node->kind) {
      case NodeKind::kAction: {
        auto copy = std::make_shared<Node>(*node);
        auto pipe = std::make_shared<Pipe>(*node->pipe);
        pipe->commands.clear();
        for (const Command& command : node->pipe->commands) {
          Command shortened;
          for (const Operand& operand : command.operands) {
            if (*cut) break;
            shortened.operands.push_back(operand);
            *cut |= Names(operand, "Response");
          }
          if (!shortened.operands.empty()) pipe->commands.push_back(std::move(shortened));
        }
        copy->pipe = std::move(pipe);
        kept.push_back(std::move(copy));
        break;
      }
      case NodeKind::kIf:
      case NodeKind::kRange:
      case NodeKind::kWith: {
        auto copy = std::make_shared<Node>(*node);
        copy->list = CutAfterResponse(node->list, cut);
        copy->else_list = CutAfterResponse(node->else_list, cut);
        kept.push_back(std::move(copy));
        break;
      }
      default:
        kept.push_back(node);
    }
  }
  return kept;
}

bool MentionsField(const Pipe& pipe, std::string_view first_field) {
  for (const Command& command : pipe.commands) {
    for (const Operand& operand : command.operands) {
      if (operand.kind == OperandKind::kField && operand.fields[0] == first_field) return true;
      if (operand.pipe != nullptr && MentionsField(*operand.pipe, first_field)) return true;
    }
  }
  return false;
}

std::string Trimmed(std::string_view text) {
  static constexpr std::string_view kSpaces = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1));
}

// The last mention wins, as the walk goes on after it.
void FindThinkTags(const List& list, const Node* range, std::string* open, std::string* close) {
  for (const NodePtr& node : list) {
    const bool in_messages = range != nullptr && MentionsField(*range->pipe, "Messages");
    if (node->pipe != nullptr && in_messages && node->kind != NodeKind::kRange &&
        MentionsField(*node->pipe, "Thinking")) {
      if (list.front()->kind == NodeKind::kText) *open = Trimmed(list.front()->text);
      if (list.back()->kind == NodeKind::kText) *close = Trimmed(list.back()->text);
    }
    const Node* inner = node->kind == NodeKind::kRange ? node.get() : range;
    FindThinkTags(node->list, inner, open, close);
    FindThinkTags(node->else_list, inner, open, close);
  }
}

const Node* FindToolCalls(const List& list) {
  for (const NodePtr& node : list) {
    if (node->kind == NodeKind::kIf) {
      for (const Command& command : node->pipe->commands) {
        for (const Operand& operand : command.operands) {
          if (Names(operand, "ToolCalls")) return node.get();
        }
      }
    }
    for (const List* inner : {&node->list, &node->else_list}) {
      if (const Node* found = FindToolCalls(*inner)) return found;
    }
  }
  return nullptr;
}

// The first text of a list that is more than white space, entering control structures, stopping at
// an action.
const Node* FirstText(const List& list) {
  for (const NodePtr& node : list) {
    if (node->kind == NodeKind::kText && !Trimmed(node->text).empty()) return node.get();
    if (node->kind == NodeKind::kAction) return nullptr;
    if (node->kind == NodeKind::kIf || node->kind == NodeKind::kRange ||
        node->kind == NodeKind::kWith) {
      const Node* text = FirstText(node->list);
      return text != nullptr ? text : FirstText(node->else_list);
    }
  }
  return nullptr;
}

}  // namespace

Result<std::shared_ptr<const GoTemplate>> GoTemplate::Parse(std::string_view source) {
  std::shared_ptr<GoTemplate> parsed(new GoTemplate());
  PUNA_ASSIGN_OR_RETURN(parsed->tree_, ParseTree(source));
  CollectVariables(parsed->tree_.root, &parsed->variables_);
  for (const auto& [name, list] : parsed->tree_.defined)
    CollectVariables(list, &parsed->variables_);
  if (!parsed->variables_.contains("messages") && !parsed->variables_.contains("response")) {
    PUNA_ASSIGN_OR_RETURN(const Tree response, ParseTree("{{ .Response }}"));
    parsed->tree_.root.push_back(response.root[0]);
  }
  bool cut = false;
  parsed->up_to_response_ = CutAfterResponse(parsed->tree_.root, &cut);
  return std::shared_ptr<const GoTemplate>(std::move(parsed));
}

Result<std::string> GoTemplate::Execute(const GoValue& data, const std::tm& now,
                                        const GoLimits& limits) const {
  return Executor(tree_, data, now, limits).Run(tree_.root);
}

Result<std::string> GoTemplate::ExecuteUpToResponse(const GoValue& data, const std::tm& now,
                                                    const GoLimits& limits) const {
  return Executor(tree_, data, now, limits).Run(up_to_response_);
}

void InferThinkTags(const Tree& tree, std::string* open, std::string* close) {
  FindThinkTags(tree.root, nullptr, open, close);
}

std::string InferToolCallTag(const Tree& tree) {
  const Node* tool_calls = FindToolCalls(tree.root);
  const Node* text = tool_calls != nullptr ? FirstText(tool_calls->list) : nullptr;
  if (text == nullptr) return "{";
  const std::string tag = Trimmed(std::string_view(text->text).substr(0, text->text.find('{')));
  return tag.empty() ? "{" : tag;
}

}  // namespace puna::chat::gotemplate
