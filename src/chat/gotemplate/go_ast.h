// A parsed Go template: Go's own node kinds, because Ollama decides things by looking at them.
// Immutable; nodes are shared between a template and the shortened copy of it that legacy templates
// need.
#ifndef PUNA_CHAT_GOTEMPLATE_GO_AST_H_
#define PUNA_CHAT_GOTEMPLATE_GO_AST_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/gotemplate/go_value.h"

namespace puna::chat::gotemplate {

struct Node;
struct Pipe;
using NodePtr = std::shared_ptr<const Node>;
using PipePtr = std::shared_ptr<const Pipe>;
using List = std::vector<NodePtr>;

enum class OperandKind : uint8_t { kDot, kNil, kConstant, kField, kVariable, kFunction, kPipe };

// One word of a command, with the fields that follow it: .A.B, $x.A, (pipeline).A, "text", name.
struct Operand {
  OperandKind kind = OperandKind::kDot;
  GoValue constant;
  std::string name;  // of a variable (with its $) or a function
  std::vector<std::string> fields;
  PipePtr pipe;
};

struct Command {
  std::vector<Operand> operands;  // never empty
};

struct Pipe {
  std::vector<std::string> variables;  // declared or assigned, with their $
  bool assigns = false;                // = instead of :=
  std::vector<Command> commands;       // never empty
};

enum class NodeKind : uint8_t { kText, kAction, kIf, kRange, kWith, kTemplate, kBreak, kContinue };

struct Node {
  NodeKind kind = NodeKind::kText;
  int line = 0;
  std::string text;  // of text; the name of kTemplate
  PipePtr pipe;      // null for kTemplate without argument
  List list;
  List else_list;
  bool has_else = false;
};

struct Tree {
  List root;
  std::map<std::string, List, std::less<>> defined;  // {{ define "name" }}
};

// Fails with kInvalidArgument ("line N: ...") for what Go does not parse and for unknown functions.
Result<Tree> ParseTree(std::string_view source);

bool IsFunction(std::string_view name);

}  // namespace puna::chat::gotemplate

#endif  // PUNA_CHAT_GOTEMPLATE_GO_AST_H_
