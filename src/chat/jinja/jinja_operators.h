// Python's arithmetic on values, and the methods of str, list, tuple and dict that templates may
// call.
#ifndef PUNA_CHAT_JINJA_JINJA_OPERATORS_H_
#define PUNA_CHAT_JINJA_JINJA_OPERATORS_H_

#include <string_view>

#include "chat/jinja/jinja_interpreter.h"

namespace puna::chat::jinja {

Value BinaryOperation(Interpreter& interpreter, BinaryOp op, const Value& left, const Value& right);
Value Negate(Interpreter& interpreter, const Value& value);
// text % arguments and text.format(...).
Value PercentFormat(Interpreter& interpreter, const Value& format, const Value& arguments);
Value BraceFormat(Interpreter& interpreter, const Value& format, const Arguments& arguments);
// value[begin:end:step]; null pointers for what was left out.
Value Slice(Interpreter& interpreter, const Value& value, const Value* begin, const Value* end,
            const Value* step);

struct Method {
  std::string_view name;
  Value (*call)(Interpreter&, const Value& self, Arguments&);
  bool changes_self = false;  // refused as unsafe unless the rendering allows it
};
// Null if the type of `self` has no such method.
const Method* FindMethod(const Value& self, std::string_view name);
const Method* FindStringMethod(std::string_view name);
// Why a method that would change its object cannot be called.
Value UnsafeMethod(Interpreter& interpreter, const Value& self, std::string_view name);

// json.dumps with the arguments that chat templates may pass.
Value ToJson(Interpreter& interpreter, const Value& value, Arguments& arguments);
// Compact JSON with Python's default separators.
std::string ToJsonText(Meter& meter, const Value& value);

// Python's time.strftime.
std::string FormatTime(std::string_view format, const std::tm& time);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_OPERATORS_H_
