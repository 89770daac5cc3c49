// Statements. Scopes follow Jinja: loops, macros, with, filter and set blocks have their own, `if`
// has none, and an assignment inside a loop is gone with the iteration. Jinja resolves names when
// it compiles; looking them up through the chain of frames gives the same results because a name
// that an inner scope has not assigned yet means the outer one there too.
#include <utility>

#include "chat/jinja/jinja_interpreter.h"
#include "chat/jinja/jinja_objects.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {

Interpreter::Interpreter(const Program& program, Meter& meter, std::tm now, bool allow_list_changes)
    : program_(program),
      meter_(meter),
      now_(now),
      allow_list_changes_(allow_list_changes),
      globals_(program.names.size()),
      is_global_(program.names.size(), false) {
  AddGlobalFunctions(*this);
}

void Interpreter::SetGlobal(std::string_view name, Value value) {
  for (size_t i = 0; i < program_.names.size(); ++i) {
    if (program_.names[i] == name) {
      globals_[i] = std::move(value);
      is_global_[i] = true;
      return;
    }
  }
}

std::string Interpreter::Run() {
  std::string out;
  ExecBody(program_.body, std::make_shared<Frame>(nullptr), &out);
  return out;
}

void Interpreter::Append(std::string_view text, std::string* out) {
  if (out->size() + text.size() > meter_.limits().max_output_bytes) {
    meter_.Fail(ErrorCode::kResourceExhausted, "the rendered text is longer than {} bytes",
                meter_.limits().max_output_bytes);
    return;
  }
  meter_.ChargeBytes(text.size());
  *out += text;
}

Interpreter::Flow Interpreter::ExecBody(const Body& body, const FramePtr& frame, std::string* out) {
  for (const StmtPtr& statement : body) {
    const Flow flow = Exec(*statement, frame, out);
    if (meter_.failed()) return Flow::kBreak;
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::Exec(const Stmt& statement, const FramePtr& frame,
                                    std::string* out) {
  DepthScope depth(meter_);
  if (!depth.ok() || !meter_.Charge(1)) return Flow::kBreak;
  switch (statement.kind) {
    case StmtKind::kText:
      Append(statement.text, out);
      break;
    case StmtKind::kOutput:
      ExecOutput(statement, frame, out);
      break;
    case StmtKind::kIf:
      return ExecIf(statement, frame, out);
    case StmtKind::kFor: {
      const Value iterable = Eval(*statement.expr, frame);
      if (!meter_.failed()) RunLoop(statement, frame, iterable, 0, out);
      break;
    }
    case StmtKind::kSet: {
      const Value value = Eval(*statement.expr, frame);
      if (!meter_.failed()) Assign(statement.target, value, frame);
      break;
    }
    case StmtKind::kSetBlock:
      return ExecSetBlock(statement, frame);
    case StmtKind::kMacro:
      ExecMacro(statement, frame);
      break;
    case StmtKind::kCallBlock:
      ExecCallBlock(statement, frame, out);
      break;
    case StmtKind::kFilterBlock:
      return ExecFilterBlock(statement, frame, out);
    case StmtKind::kWith:
      return ExecWith(statement, frame, out);
    case StmtKind::kScope:
      return ExecBody(statement.body, std::make_shared<Frame>(frame), out);
    case StmtKind::kEscape:
      return ExecEscape(statement, frame, out);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kUnsupported:
      meter_.Fail("'{}' needs another template, and there is none", statement.text);
      break;
  }
  return Flow::kNext;
}

void Interpreter::ExecOutput(const Stmt& statement, const FramePtr& frame, std::string* out) {
  const Value value = Eval(*statement.expr, frame);
  if (meter_.failed()) return;
  if (autoescape_ && !value.is_markup()) {
    Append(HtmlEscape(ToStr(meter_, value)), out);
  } else if (value.is_string()) {
    Append(value.text(), out);
  } else {
    Append(ToStr(meter_, value), out);
  }
}

Interpreter::Flow Interpreter::ExecIf(const Stmt& statement, const FramePtr& frame,
                                      std::string* out) {
  for (const Branch& branch : statement.branches) {
    const bool taken = Truthy(Eval(*branch.condition, frame));
    if (meter_.failed()) return Flow::kBreak;
    if (taken) return ExecBody(branch.body, frame, out);
  }
  return ExecBody(statement.else_body, frame, out);
}

// The items whose condition holds; the condition sees the loop's variables but not `loop`.
bool Interpreter::SelectItems(const Stmt& loop, const FramePtr& frame, std::vector<Value>* items) {
  std::vector<Value> selected;
  for (Value& item : *items) {
    const FramePtr inner = std::make_shared<Frame>(frame);
    Assign(loop.target, item, inner);
    if (meter_.failed()) return false;
    if (Truthy(Eval(*loop.condition, inner))) selected.push_back(std::move(item));
    if (meter_.failed()) return false;
  }
  *items = std::move(selected);
  return true;
}

void Interpreter::RunLoop(const Stmt& statement, const FramePtr& frame, const Value& iterable,
                          int depth0, std::string* out) {
  auto loop = std::make_shared<Loop>();
  loop->self = loop;
  if (!Iterate(meter_, iterable, &loop->items)) return;
  if (statement.condition != nullptr && !SelectItems(statement, frame, &loop->items)) return;
  for (const Value& item : loop->items) loop->depth = std::max(loop->depth, item.depth() + 1);
  loop->ChargeTo(meter_, 128 + loop->items.size() * sizeof(Value));
  loop->depth0 = depth0;
  loop->statement = &statement;
  if (statement.recursive) {
    Pin(frame);
    meter_.Pin(loop);
    loop->outer = frame;
  }
  const Value loop_value = Value::Native(loop);
  const size_t count = loop->items.size();  // the items stay as they are; only the position moves
  bool any_complete = false;
  FramePtr inner;
  for (size_t i = 0; i < count; ++i) {
    loop->index0 = i;
    if (!meter_.Charge(1)) return;
    if (inner != nullptr && inner.use_count() == 1) {
      inner->variables.clear();
    } else {
      inner = std::make_shared<Frame>(frame);
    }
    inner->Set(program_.loop_name, loop_value);
    Assign(statement.target, loop->items[i], inner);
    if (meter_.failed()) return;
    const Flow flow = ExecBody(statement.body, inner, out);
    any_complete |= flow == Flow::kNext;
    if (flow == Flow::kBreak) break;
  }
  // In Python too, a loop none of whose turns came to its end counts as empty.
  if (!any_complete && !meter_.failed())
    ExecBody(statement.else_body, std::make_shared<Frame>(frame), out);
}

void Interpreter::Assign(const Target& target, const Value& value, const FramePtr& frame) {
  if (!target.attribute.empty()) {
    const Value* object = nullptr;
    for (const Frame* at = frame.get(); at != nullptr && object == nullptr; at = at->parent.get()) {
      object = at->Find(target.name);
    }
    auto* names = object != nullptr && object->is_object()
                      ? dynamic_cast<Namespace*>(&object->native())
                      : nullptr;
    if (names == nullptr) {
      meter_.Fail("cannot assign attribute '{}' on an object that is no namespace",
                  target.attribute);
      return;
    }
    names->Set(target.attribute, value);
    return;
  }
  if (target.elements.empty()) {
    frame->Set(target.name, value);
    return;
  }
  std::vector<Value> items;
  if (value.is_undefined() || !IsIterable(value)) {
    meter_.Fail("cannot unpack '{}'", TypeName(value));
    return;
  }
  if (!Iterate(meter_, value, &items)) return;
  if (items.size() != target.elements.size()) {
    meter_.Fail("cannot unpack {} values into {} names", items.size(), target.elements.size());
    return;
  }
  for (size_t i = 0; i < items.size() && !meter_.failed(); ++i)
    Assign(target.elements[i], items[i], frame);
}

// A break or continue inside leaves the loop around and takes the text along.
Interpreter::Flow Interpreter::ExecSetBlock(const Stmt& statement, const FramePtr& frame) {
  std::string text;
  const Flow flow = ExecBody(statement.body, std::make_shared<Frame>(frame), &text);
  if (meter_.failed() || flow != Flow::kNext) return flow;
  Value value = Value::String(meter_, std::move(text), autoescape_);
  if (statement.expr != nullptr) value = EvalFilter(*statement.expr, frame, &value);
  if (!meter_.failed()) Assign(statement.target, value, frame);
  return Flow::kNext;
}

void Interpreter::Pin(const FramePtr& frame) {
  for (FramePtr at = frame; at != nullptr && !at->pinned; at = at->parent) {
    at->ChargeTo(meter_, 128);
    meter_.Pin(at);
  }
}

Value Interpreter::MakeMacro(const MacroSyntax& macro, const FramePtr& frame) {
  Pin(frame);
  auto object = std::make_shared<Macro>(macro, frame);
  object->ChargeTo(meter_, sizeof(Macro));
  return Value::Native(std::move(object));
}

void Interpreter::ExecMacro(const Stmt& statement, const FramePtr& frame) {
  frame->Set(statement.target.name, MakeMacro(statement.macro, frame));
}

Value Interpreter::RunMacroBody(const MacroSyntax& macro, const FramePtr& frame) {
  std::string text;
  ExecBody(macro.body, frame, &text);
  return Value::String(meter_, std::move(text), autoescape_);
}

void Interpreter::ExecCallBlock(const Stmt& statement, const FramePtr& frame, std::string* out) {
  const Value caller = MakeMacro(statement.macro, frame);
  const Value text = EvalCall(*statement.expr, frame, &caller);
  if (!meter_.failed()) Append(ToStr(meter_, text), out);
}

Interpreter::Flow Interpreter::ExecFilterBlock(const Stmt& statement, const FramePtr& frame,
                                               std::string* out) {
  std::string text;
  const Flow flow = ExecBody(statement.body, std::make_shared<Frame>(frame), &text);
  if (meter_.failed() || flow != Flow::kNext) return flow;
  const Value input = Value::String(meter_, std::move(text), autoescape_);
  const Value filtered = EvalFilter(*statement.expr, frame, &input);
  if (meter_.failed()) return Flow::kBreak;
  // Python joins the pieces of a template as they are.
  if (!filtered.is_string()) {
    Fail("a filter block gives {}, expected str", TypeName(filtered));
    return Flow::kBreak;
  }
  Append(filtered.text(), out);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::ExecWith(const Stmt& statement, const FramePtr& frame,
                                        std::string* out) {
  const FramePtr inner = std::make_shared<Frame>(frame);
  for (const auto& [target, expr] : statement.assignments) {
    const Value value = Eval(*expr, frame);
    if (meter_.failed()) return Flow::kBreak;
    Assign(target, value, inner);
  }
  return ExecBody(statement.body, inner, out);
}

Interpreter::Flow Interpreter::ExecEscape(const Stmt& statement, const FramePtr& frame,
                                          std::string* out) {
  const bool saved = autoescape_;
  autoescape_ = Truthy(Eval(*statement.expr, frame));
  const Flow flow = ExecBody(statement.body, std::make_shared<Frame>(frame), out);
  autoescape_ = saved;
  return flow;
}

}  // namespace puna::chat::jinja
