// Jinja's own objects: macros, loops, namespaces, cyclers, joiners, host functions and methods not
// yet called.
#ifndef PUNA_CHAT_JINJA_JINJA_OBJECTS_H_
#define PUNA_CHAT_JINJA_JINJA_OBJECTS_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/jinja_interpreter.h"
#include "chat/jinja/jinja_operators.h"

namespace puna::chat::jinja {

// The one object whose attributes a template can set. Pinned, because it can contain itself.
struct Namespace final : NativeObject {
  std::string TypeName() const override { return "Namespace"; }
  std::string Print() const override;
  bool Attribute(Interpreter& interpreter, std::string_view name, Value* value) override;
  void Set(std::string_view name, Value value);
  void Clear() override { attributes.clear(); }
  std::vector<std::pair<std::string, Value>> attributes;
};

struct Macro final : NativeObject {
  Macro(const MacroSyntax& syntax, FramePtr closure)
      : syntax(syntax), closure(std::move(closure)) {}
  std::string TypeName() const override { return "Macro"; }
  std::string Print() const override {
    return syntax.name.empty() ? "<Macro anonymous>" : fmt::format("<Macro '{}'>", syntax.name);
  }
  bool IsCallable() const override { return true; }
  Value Call(Interpreter& interpreter, Arguments& arguments) override;
  bool Attribute(Interpreter& interpreter, std::string_view name, Value* value) override;
  const MacroSyntax& syntax;
  FramePtr closure;
};

struct Loop final : NativeObject {
  std::string TypeName() const override { return "LoopContext"; }
  std::string Print() const override {
    return fmt::format("<LoopContext {}/{}>", index0 + 1, items.size());
  }
  bool IsCallable() const override { return true; }
  Value Call(Interpreter& interpreter, Arguments& arguments) override;
  bool Attribute(Interpreter& interpreter, std::string_view name, Value* value) override;
  void Clear() override {
    items.clear();
    last_changed.clear();
    outer.reset();
  }
  std::vector<Value> items;
  size_t index0 = 0;
  int depth0 = 0;
  bool has_changed_value = false;
  std::vector<Value> last_changed;
  const Stmt* statement = nullptr;
  std::weak_ptr<Object> self;
  FramePtr outer;
};

struct HostFunction final : NativeObject {
  using Body = Value (*)(Interpreter&, Arguments&);
  HostFunction(std::string_view name, Body body) : name(name), body(body) {}
  std::string TypeName() const override { return "function"; }
  std::string Print() const override { return fmt::format("<function {}>", name); }
  bool IsCallable() const override { return true; }
  Value Call(Interpreter& interpreter, Arguments& arguments) override {
    return body(interpreter, arguments);
  }
  std::string_view name;
  Body body;
};

struct BoundMethod final : NativeObject {
  BoundMethod(Value self, const Method* method) : self(std::move(self)), method(method) {
    depth = this->self.depth() + 1;
  }
  std::string TypeName() const override { return "builtin_function_or_method"; }
  std::string Print() const override { return fmt::format("<built-in method {}>", method->name); }
  bool IsCallable() const override { return true; }
  Value Call(Interpreter& interpreter, Arguments& arguments) override {
    interpreter.ChargeText(self);
    return method->call(interpreter, self, arguments);
  }
  Value self;
  const Method* method;
};

// A method of one of the objects above.
struct ObjectMethod final : NativeObject {
  using Body = Value (*)(Interpreter&, NativeObject&, Arguments&);
  ObjectMethod(std::shared_ptr<Object> self, std::string_view name, Body body)
      : self(std::move(self)), name(name), body(body) {
    depth = this->self->depth + 1;
  }
  std::string TypeName() const override { return "method"; }
  std::string Print() const override { return fmt::format("<bound method {}>", name); }
  bool IsCallable() const override { return true; }
  Value Call(Interpreter& interpreter, Arguments& arguments) override {
    return body(interpreter, static_cast<NativeObject&>(*self), arguments);
  }
  std::shared_ptr<Object> self;
  std::string_view name;
  Body body;
};

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_OBJECTS_H_
