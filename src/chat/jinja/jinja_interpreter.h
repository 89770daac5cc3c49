// Runs a parsed template. Internal to the jinja folder; users take jinja.h.
#ifndef PUNA_CHAT_JINJA_JINJA_INTERPRETER_H_
#define PUNA_CHAT_JINJA_JINJA_INTERPRETER_H_

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/jinja_ast.h"
#include "chat/jinja/jinja_meter.h"
#include "chat/jinja/jinja_value.h"

namespace puna::chat::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Distributes arguments over the parameters `names`, as Python does for a function of that
// signature. `out` has one pointer per name, null where nothing was given, valid as long as
// `arguments`. Fails for too many, unknown, doubled or fewer than `required`.
bool Bind(Meter& meter, std::string_view function, const Arguments& arguments,
          std::initializer_list<std::string_view> names, size_t required,
          std::vector<const Value*>* out);

// One scope of variables. Looking up goes outwards; assigning never does.
struct Frame final : Object {
  explicit Frame(std::shared_ptr<Frame> parent) : parent(std::move(parent)) {}
  void Clear() override { variables.clear(); }
  const Value* Find(int name) const {
    for (const auto& [variable, value] : variables) {
      if (variable == name) return &value;
    }
    return nullptr;
  }
  void Set(int name, Value value) {
    for (auto& [variable, old] : variables) {
      if (variable == name) {
        old = std::move(value);
        return;
      }
    }
    variables.emplace_back(name, std::move(value));
  }
  std::vector<std::pair<int, Value>> variables;
  std::shared_ptr<Frame> parent;
};
using FramePtr = std::shared_ptr<Frame>;

class Interpreter {
 public:
  Interpreter(const Program& program, Meter& meter, std::tm now, bool allow_list_changes);

  void SetGlobal(std::string_view name, Value value);
  // The rendered text; meaningless if the meter failed.
  std::string Run();

  Meter& meter() { return meter_; }
  // For what a method, filter or test reads of a text.
  void ChargeText(const Value& value) {
    if (value.is_string()) meter_.ChargeBytes(value.text().size());
  }
  const std::tm& now() const { return now_; }
  bool allow_list_changes() const { return allow_list_changes_; }
  template <typename... Args>
  Value Fail(fmt::format_string<Args...> format, Args&&... args) {
    meter_.Fail(format, std::forward<Args>(args)...);
    return Value();
  }

  // object.name and object[key], each trying the other when the first finds nothing, as Jinja does.
  // Missing: undefined.
  Value GetAttribute(const Value& object, std::string_view name);
  Value GetItem(const Value& object, const Value& key);
  Value Call(const Value& callee, Arguments& arguments);
  Value ApplyFilter(std::string_view name, const Value& input, Arguments& arguments);
  bool ApplyTest(std::string_view name, const Value& input, Arguments& arguments);

  // Runs a macro body; `frame` already holds the arguments.
  Value RunMacroBody(const MacroSyntax& macro, const FramePtr& frame);
  Value EvalIn(const Expr& expr, const FramePtr& frame) { return Eval(expr, frame); }
  // Runs a loop over `items`; used by the statement and by loop(...) of recursive loops.
  void RunLoop(const Stmt& loop, const FramePtr& frame, const Value& iterable, int depth0,
               std::string* out);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  // Statements (jinja_exec.cc).
  Flow ExecBody(const Body& body, const FramePtr& frame, std::string* out);
  Flow Exec(const Stmt& statement, const FramePtr& frame, std::string* out);
  Flow ExecIf(const Stmt& statement, const FramePtr& frame, std::string* out);
  void ExecOutput(const Stmt& statement, const FramePtr& frame, std::string* out);
  Flow ExecSetBlock(const Stmt& statement, const FramePtr& frame);
  void ExecMacro(const Stmt& statement, const FramePtr& frame);
  void ExecCallBlock(const Stmt& statement, const FramePtr& frame, std::string* out);
  Flow ExecFilterBlock(const Stmt& statement, const FramePtr& frame, std::string* out);
  Flow ExecWith(const Stmt& statement, const FramePtr& frame, std::string* out);
  Flow ExecEscape(const Stmt& statement, const FramePtr& frame, std::string* out);
  void Assign(const Target& target, const Value& value, const FramePtr& frame);
  void Append(std::string_view text, std::string* out);
  bool SelectItems(const Stmt& loop, const FramePtr& frame, std::vector<Value>* items);
  Value MakeMacro(const MacroSyntax& macro, const FramePtr& frame);
  void Pin(const FramePtr& frame);

  // Expressions (jinja_eval.cc).
  Value Eval(const Expr& expr, const FramePtr& frame);
  Value EvalName(const Expr& expr, const FramePtr& frame);
  Value EvalList(const Expr& expr, const FramePtr& frame);
  Value EvalDict(const Expr& expr, const FramePtr& frame);
  Value EvalConcat(const Expr& expr, const FramePtr& frame);
  Value EvalCompare(const Expr& expr, const FramePtr& frame);
  Value EvalSlice(const Expr& expr, const FramePtr& frame);
  Value EvalCall(const Expr& expr, const FramePtr& frame, const Value* caller);
  Value EvalFilter(const Expr& expr, const FramePtr& frame, const Value* block_input);
  bool EvalArguments(const CallSyntax& call, const FramePtr& frame, Arguments* arguments);

  const Program& program_;
  Meter& meter_;
  std::tm now_;
  bool allow_list_changes_;
  bool autoescape_ = false;
  std::vector<Value> globals_;  // by name; see is_global_
  std::vector<bool> is_global_;
  uint64_t output_bytes_ = 0;
};

// The functions that every template can call: range, dict, namespace, cycler, joiner,
// raise_exception, strftime_now.
void AddGlobalFunctions(Interpreter& interpreter);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_INTERPRETER_H_
