// The parsed template: two kinds of node, expression and statement, each with only the fields that
// its kind names. Immutable after parsing and shared by concurrent renderings. Names are numbers
// into Program::names.
#ifndef PUNA_CHAT_JINJA_JINJA_AST_H_
#define PUNA_CHAT_JINJA_JINJA_AST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja/jinja_value.h"

namespace puna::chat::jinja {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

enum class ExprKind : uint8_t {
  kConstant,     // constant
  kName,         // name
  kList,         // children
  kTuple,        // children
  kDict,         // children: key, value, key, value, ...
  kConcat,       // children
  kBinary,       // op, children[0], children[1]
  kAnd,          // children[0], children[1]
  kOr,           // children[0], children[1]
  kNot,          // children[0]
  kNegate,       // children[0]
  kPlus,         // children[0]
  kCompare,      // children[0] ops[0] children[1] ops[1] ...
  kConditional,  // children[0] if children[1] else children[2] (may be null)
  kAttribute,    // children[0] . text
  kItem,         // children[0] [ children[1] ]
  kSlice,        // children[0] [ children[1] : children[2] : children[3] ] (each may be null)
  kCall,         // children[0] ( arguments )
  kFilter,       // children[0] | text ( arguments ); children[0] is null in a filter or set block
  kTest,         // children[0] is text ( arguments )
};

enum class BinaryOp : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower
};
enum class CompareOp : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

// What stands between the parentheses of a call.
struct CallSyntax {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *expression
  ExprPtr double_star;  // **expression
};

struct Expr {
  ExprKind kind;
  BinaryOp op = BinaryOp::kAdd;
  int line = 0;
  int depth = 1;  // of the tree below, so that walking and destroying it cannot exhaust the stack
  int name = 0;
  Value constant;
  std::string text;
  std::vector<ExprPtr> children;
  std::vector<CompareOp> ops;
  CallSyntax call;
};

// The left side of an assignment: a name, ns.attribute, or a tuple of targets.
struct Target {
  int name = -1;
  std::string attribute;         // not empty for ns.attribute
  std::vector<Target> elements;  // not empty for a tuple
};

struct Parameter {
  int name = 0;
  std::string text;
  ExprPtr default_value;  // null: none
};

struct MacroSyntax {
  std::string name;
  std::vector<Parameter> parameters;
  bool uses_caller = false;
  bool uses_kwargs = false;
  bool uses_varargs = false;
  int caller_name = 0, kwargs_name = 0, varargs_name = 0;
  Body body;
};

enum class StmtKind : uint8_t {
  kText,         // text
  kOutput,       // expr
  kIf,           // branches, else_body
  kFor,          // target, expr, condition (may be null), body, else_body, recursive
  kSet,          // target, expr
  kSetBlock,     // target, body, expr: chain of filters (may be null)
  kMacro,        // target.name, macro
  kCallBlock,    // expr: the call; macro: the caller
  kFilterBlock,  // expr: chain of filters; body
  kWith,         // assignments, body
  kScope,        // body: a block or a generation block
  kEscape,       // expr: autoescape on or off; body
  kBreak,
  kContinue,
  kUnsupported,  // text: include, import, extends: an error when reached
};

struct Branch {
  ExprPtr condition;
  Body body;
};

struct Stmt {
  StmtKind kind;
  int line = 0;
  bool recursive = false;
  std::string text;
  ExprPtr expr;
  ExprPtr condition;
  Target target;
  std::vector<std::pair<Target, ExprPtr>> assignments;
  std::vector<Branch> branches;
  Body body;
  Body else_body;
  MacroSyntax macro;
};

struct Program {
  Body body;
  std::vector<std::string> names;
  int loop_name = 0, caller_name = 0;
};

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_AST_H_
