// Expressions: one switch over the kinds, with Jinja's rules for attributes and items. An attribute
// looks at the type's methods before a dict's keys (d.items is the method even if there is a key
// "items"), an item the other way round.
#include <algorithm>
#include <utility>

#include "chat/jinja/jinja_interpreter.h"
#include "chat/jinja/jinja_names.h"
#include "chat/jinja/jinja_objects.h"
#include "chat/jinja/jinja_operators.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {

bool Bind(Meter& meter, std::string_view function, const Arguments& arguments,
          std::initializer_list<std::string_view> names, size_t required,
          std::vector<const Value*>* out) {
  out->assign(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    return meter.Fail("{}() takes at most {} arguments, {} were given", function, names.size(),
                      arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) (*out)[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return meter.Fail("{}() has no parameter '{}'", function, name);
    const Value*& slot = (*out)[static_cast<size_t>(found - names.begin())];
    if (slot != nullptr) return meter.Fail("{}() got two values for '{}'", function, name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if ((*out)[i] == nullptr)
      return meter.Fail("{}() needs the argument '{}'", function, names.begin()[i]);
  }
  return !meter.failed();
}

Value Interpreter::Eval(const Expr& expr, const FramePtr& frame) {
  DepthScope depth(meter_);
  if (!depth.ok() || !meter_.Charge(1)) return Value();
  const auto child = [&](size_t i) { return Eval(*expr.children[i], frame); };
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return EvalName(expr, frame);
    case ExprKind::kList:
    case ExprKind::kTuple:
      return EvalList(expr, frame);
    case ExprKind::kDict:
      return EvalDict(expr, frame);
    case ExprKind::kConcat:
      return EvalConcat(expr, frame);
    case ExprKind::kBinary: {
      const Value left = child(0);
      const Value right = child(1);
      return meter_.failed() ? Value() : BinaryOperation(*this, expr.op, left, right);
    }
    case ExprKind::kAnd: {
      Value left = child(0);
      return Truthy(left) ? child(1) : left;
    }
    case ExprKind::kOr: {
      Value left = child(0);
      return Truthy(left) || meter_.failed() ? left : child(1);
    }
    case ExprKind::kNot:
      return Value::Bool(!Truthy(child(0)));
    case ExprKind::kNegate:
      return Negate(*this, child(0));
    case ExprKind::kPlus: {
      Value value = child(0);
      if (!value.is_number()) return Fail("bad operand type for unary +: '{}'", TypeName(value));
      return value.is_bool() ? Value::Int(value.AsInt()) : value;
    }
    case ExprKind::kCompare:
      return EvalCompare(expr, frame);
    case ExprKind::kConditional: {
      const bool holds = Truthy(child(1));
      if (meter_.failed()) return Value();
      if (holds) return child(0);
      if (expr.children[2] != nullptr) return child(2);
      return Value::Undefined(
          meter_,
          fmt::format("the conditional expression on line {} is false and has no else", expr.line));
    }
    case ExprKind::kAttribute: {
      const Value object = child(0);
      return meter_.failed() ? Value() : GetAttribute(object, expr.text);
    }
    case ExprKind::kItem: {
      const Value object = child(0);
      const Value key = child(1);
      return meter_.failed() ? Value() : GetItem(object, key);
    }
    case ExprKind::kSlice:
      return EvalSlice(expr, frame);
    case ExprKind::kCall:
      return EvalCall(expr, frame, nullptr);
    case ExprKind::kFilter:
      return EvalFilter(expr, frame, nullptr);
    case ExprKind::kTest: {
      const Value input = child(0);
      Arguments arguments;
      if (!EvalArguments(expr.call, frame, &arguments)) return Value();
      return Value::Bool(ApplyTest(expr.text, input, arguments));
    }
  }
  return Value();
}

Value Interpreter::EvalName(const Expr& expr, const FramePtr& frame) {
  for (const Frame* at = frame.get(); at != nullptr; at = at->parent.get()) {
    if (const Value* value = at->Find(expr.name)) return *value;
  }
  const auto name = static_cast<size_t>(expr.name);
  if (is_global_[name]) return globals_[name];
  return Value::Undefined(meter_, fmt::format("'{}' is undefined", program_.names[name]));
}

Value Interpreter::EvalList(const Expr& expr, const FramePtr& frame) {
  std::vector<Value> items;
  items.reserve(expr.children.size());
  for (const ExprPtr& child : expr.children) {
    items.push_back(Eval(*child, frame));
    if (meter_.failed()) return Value();
  }
  return Value::Sequence(meter_, std::move(items),
                         expr.kind == ExprKind::kList ? SequenceType::kList : SequenceType::kTuple);
}

Value Interpreter::EvalDict(const Expr& expr, const FramePtr& frame) {
  auto dict = MakeDict(meter_);
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    Value key = Eval(*expr.children[i], frame);
    Value value = Eval(*expr.children[i + 1], frame);
    if (meter_.failed() || !dict->Set(meter_, std::move(key), std::move(value))) return Value();
  }
  return Value::Dict(std::move(dict));
}

Value Interpreter::EvalConcat(const Expr& expr, const FramePtr& frame) {
  std::string text;
  bool markup = false;
  for (const ExprPtr& child : expr.children) {
    const Value value = Eval(*child, frame);
    if (meter_.failed()) return Value();
    const std::string piece = ToStr(meter_, value);
    if (!meter_.CanAllocate(text.size() + piece.size())) return Value();
    text += autoescape_ && !value.is_markup() ? HtmlEscape(piece) : piece;
    markup = autoescape_;
  }
  return Value::String(meter_, std::move(text), markup);
}

Value Interpreter::EvalCompare(const Expr& expr, const FramePtr& frame) {
  Value left = Eval(*expr.children[0], frame);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = Eval(*expr.children[i + 1], frame);
    if (meter_.failed()) return Value();
    bool holds = false;
    int order = 0;
    switch (expr.ops[i]) {
      case CompareOp::kEqual:
        holds = Equals(meter_, left, right);
        break;
      case CompareOp::kNotEqual:
        holds = !Equals(meter_, left, right);
        break;
      case CompareOp::kIn:
      case CompareOp::kNotIn:
        Contains(meter_, right, left, &holds);
        holds ^= expr.ops[i] == CompareOp::kNotIn;
        break;
      case CompareOp::kLess:
        holds = Compare(meter_, left, right, &order) && order == -1;
        break;
      case CompareOp::kLessEqual:
        holds = Compare(meter_, left, right, &order) && order <= 0;
        break;
      case CompareOp::kGreater:
        holds = Compare(meter_, left, right, &order) && order == 1;
        break;
      case CompareOp::kGreaterEqual:
        holds = Compare(meter_, left, right, &order) && (order == 0 || order == 1);
        break;
    }
    if (!holds || meter_.failed()) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Interpreter::EvalSlice(const Expr& expr, const FramePtr& frame) {
  Value parts[4];
  const Value* given[4] = {};
  for (size_t i = 0; i < 4; ++i) {
    if (expr.children[i] == nullptr) continue;
    parts[i] = Eval(*expr.children[i], frame);
    given[i] = &parts[i];
    if (meter_.failed()) return Value();
  }
  return Slice(*this, parts[0], given[1], given[2], given[3]);
}

bool Interpreter::EvalArguments(const CallSyntax& call, const FramePtr& frame,
                                Arguments* arguments) {
  for (const ExprPtr& expr : call.positional) {
    arguments->positional.push_back(Eval(*expr, frame));
    if (meter_.failed()) return false;
  }
  if (call.star != nullptr) {
    std::vector<Value> items;
    const Value list = Eval(*call.star, frame);
    if (meter_.failed() || !Iterate(meter_, list, &items)) return false;
    for (Value& item : items) arguments->positional.push_back(std::move(item));
  }
  for (const auto& [name, expr] : call.named) {
    arguments->named.emplace_back(name, Eval(*expr, frame));
    if (meter_.failed()) return false;
  }
  if (call.double_star != nullptr) {
    const Value dict = Eval(*call.double_star, frame);
    if (meter_.failed()) return false;
    if (!dict.is_dict())
      return meter_.Fail("the argument after ** must be a mapping, not {}", TypeName(dict));
    for (const auto& [key, value] : dict.dict().entries) {
      if (!key.is_string()) return meter_.Fail("keywords must be strings");
      arguments->named.emplace_back(key.text(), value);
    }
  }
  return !meter_.failed();
}

Value Interpreter::EvalCall(const Expr& expr, const FramePtr& frame, const Value* caller) {
  const Expr& callee = *expr.children[0];
  Arguments arguments;
  if (callee.kind == ExprKind::kAttribute) {  // object.method(...) without making a bound method
    const Value self = Eval(*callee.children[0], frame);
    if (meter_.failed()) return Value();
    const Method* method = self.is_undefined() ? nullptr : FindMethod(self, callee.text);
    if (method == nullptr || (method->changes_self && !allow_list_changes_)) {
      const Value function = GetAttribute(self, callee.text);
      if (meter_.failed() || !EvalArguments(expr.call, frame, &arguments)) return Value();
      if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
      return Call(function, arguments);
    }
    if (!EvalArguments(expr.call, frame, &arguments)) return Value();
    if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
    ChargeText(self);
    return method->call(*this, self, arguments);
  }
  const Value function = Eval(callee, frame);
  if (meter_.failed() || !EvalArguments(expr.call, frame, &arguments)) return Value();
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return Call(function, arguments);
}

Value Interpreter::Call(const Value& callee, Arguments& arguments) {
  if (meter_.failed()) return Value();
  if (callee.is_undefined()) return Fail("{}", callee.why_undefined());
  if (!callee.is_object() || !callee.native().IsCallable()) {
    return Fail("'{}' object is not callable", TypeName(callee));
  }
  DepthScope depth(meter_);
  if (!depth.ok()) return Value();
  const std::shared_ptr<Object> keep = callee.object();
  return callee.native().Call(*this, arguments);
}

// `block_input` stands in for the operand that the innermost filter of a filter or set block lacks.
Value Interpreter::EvalFilter(const Expr& expr, const FramePtr& frame, const Value* block_input) {
  DepthScope depth(meter_);
  if (!depth.ok()) return Value();
  Value input;
  const Expr* operand = expr.children[0].get();
  if (operand == nullptr) {
    if (block_input != nullptr) input = *block_input;
  } else if (block_input != nullptr) {
    input = EvalFilter(*operand, frame, block_input);
  } else {
    input = Eval(*operand, frame);
  }
  Arguments arguments;
  if (meter_.failed() || !EvalArguments(expr.call, frame, &arguments)) return Value();
  return ApplyFilter(expr.text, input, arguments);
}

Value Interpreter::GetAttribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) return Fail("{}", object.why_undefined());
  if (object.is_object()) {
    Value value;
    if (object.native().Attribute(*this, name, &value)) return value;
  } else if (const Method* method = FindMethod(object, name)) {
    if (method->changes_self && !allow_list_changes_) return UnsafeMethod(*this, object, name);
    return Value::Native(std::make_shared<BoundMethod>(object, method));
  }
  if (object.is_dict()) {
    if (const Value* value = object.dict().Find(name)) return *value;
  }
  if (object.is_sequence() && object.sequence().is_group && (name == "grouper" || name == "list")) {
    return object.sequence().items[name == "grouper" ? 0 : 1];
  }
  if (name.substr(0, 2) == "__") return UnsafeMethod(*this, object, name);
  return Value::Undefined(meter_,
                          fmt::format("'{}' has no attribute '{}'", DescribeType(object), name));
}

Value Interpreter::GetItem(const Value& object, const Value& key) {
  if (object.is_undefined()) return Fail("{}", object.why_undefined());
  if (object.is_dict() && !key.is_sequence(SequenceType::kList) && !key.is_dict()) {
    if (const Value* value = object.dict().Find(meter_, key)) return *value;
  }
  const bool indexable = object.is_string() || object.is_sequence(SequenceType::kList) ||
                         object.is_sequence(SequenceType::kTuple) ||
                         object.is_sequence(SequenceType::kRange);
  if (indexable && key.is_integral()) {
    int64_t length = 0;
    Length(meter_, object, &length);
    const int64_t index = key.AsInt() < 0 ? key.AsInt() + length : key.AsInt();
    if (index >= 0 && index < length) {
      if (object.is_sequence()) return object.sequence().items[static_cast<size_t>(index)];
      return Value::String(meter_, std::string(SliceCodepoints(object.text(), index, index + 1)),
                           object.is_markup());
    }
  }
  if (meter_.failed()) return Value();
  if (key.is_string()) return GetAttribute(object, key.text());
  return Value::Undefined(
      meter_, fmt::format("{} has no element {}", DescribeType(object), ToRepr(meter_, key)));
}

}  // namespace puna::chat::jinja
