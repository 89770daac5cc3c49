// A search: the value is written byte by byte into the automaton, and where an object's next
// property may be chosen, each that the automaton takes is tried. Grammars of schemas fix the order
// of named properties, so there is rarely a choice.
#include "grammar/json_order.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "grammar/configuration.h"
#include "grammar/json_number.h"

namespace puna::grammar {
namespace {

constexpr int64_t kMaxOrderWork = 20'000'000;
constexpr size_t kMaxOrderDepth = 500;
// The search keeps a little of the stack for every value.
constexpr int kMaxValues = 4000;

// Keeps numbers as they were written, which doubles would not.
class ValueReader : public nlohmann::json_sax<Json> {
 public:
  struct Value {
    enum class Kind : uint8_t { kText, kArray, kObject } kind = Kind::kText;
    std::string text;                                    // scalars, as JSON writes them
    std::vector<std::pair<std::string, Value>> members;  // keys (as JSON, objects only) and values
  };
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;

  bool null() override { return Scalar("null"); }
  bool boolean(bool value) override { return Scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return Scalar(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Scalar(std::to_string(value)); }
  bool number_float(number_float_t, const std::string& text) override {
    const auto decimal = ParseDecimal(text);
    return Scalar(decimal ? decimal->Text() : text);
  }
  bool string(std::string& value) override { return Scalar(Quoted(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(Value::Kind::kObject); }
  bool key(std::string& name) override {
    key_ = Quoted(name);
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Value::Kind::kArray); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    error_ = error.what();
    return false;
  }
  Value root;
  const std::string& error() const { return error_; }

 private:
  static std::string Quoted(const std::string& value) { return DumpJson(Json(value)); }
  bool Scalar(std::string text) {
    return Add({Value::Kind::kText, std::move(text), {}}) != nullptr;
  }
  Value* Add(Value value) {
    if (++values_ > kMaxValues) {
      error_ = fmt::format("more than {} values", kMaxValues);
      return nullptr;
    }
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    open_.back()->members.emplace_back(std::exchange(key_, ""), std::move(value));
    return &open_.back()->members.back().second;
  }
  bool Open(Value::Kind kind) {
    if (open_.size() >= kMaxOrderDepth) {
      error_ = "nested too deeply";
      return false;
    }
    open_.push_back(Add({kind, "", {}}));
    return open_.back() != nullptr;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }
  std::vector<Value*> open_;
  int values_ = 0;
  std::string key_, error_;
};

using Value = ValueReader::Value;
using Kernel = std::vector<Config>;

class Search {
 public:
  explicit Search(const Automaton& automaton) : stepper_(&automaton) {
    start_ = {{automaton.start(), kBottom}};
  }

  bool Run(const Value& root) {
    bool accepted = false;
    Write(root, start_, [&](const Kernel& kernel) {
      Closure closure;
      stepper_.Close(kernel, &closure);
      accepted = closure.complete;
      return accepted;
    });
    return accepted;
  }
  bool gave_up() const { return stepper_.work() > kMaxOrderWork || stepper_.overflowed(); }

 private:
  // Called with the configurations behind what was written; true ends the search.
  using Then = std::function<bool(const Kernel&)>;

  bool WriteText(std::string_view text, Kernel kernel, const Then& then) {
    Closure closure;
    Kernel next;
    for (const char byte : text) {
      if (gave_up()) return false;
      stepper_.Close(kernel, &closure);
      stepper_.Step(closure, static_cast<uint8_t>(byte), &next);
      if (next.empty()) return false;
      std::swap(kernel, next);
    }
    return then(kernel);
  }

  bool Write(const Value& value, const Kernel& kernel, const Then& then) {
    if (value.kind == Value::Kind::kText) return WriteText(value.text, kernel, then);
    const bool is_object = value.kind == Value::Kind::kObject;
    return WriteText(is_object ? "{" : "[", kernel, [&](const Kernel& inside) {
      std::vector<bool> used(value.members.size(), false);
      const Then close = [&](const Kernel& end) {
        return WriteText(is_object ? "}" : "]", end, then);
      };
      return WriteMembers(value, 0, &used, inside, close);
    });
  }

  bool WriteMembers(const Value& value, size_t written, std::vector<bool>* used,
                    const Kernel& kernel, const Then& then) {
    const size_t count = value.members.size();
    if (written == count) return then(kernel);
    const bool any_order = value.kind == Value::Kind::kObject;
    const size_t first = any_order ? 0 : written;
    const size_t end = any_order ? count : written + 1;
    for (size_t i = first; i < end; ++i) {
      if ((*used)[i]) continue;
      (*used)[i] = true;
      const auto& [key, member] = value.members[i];
      const std::string head = (written > 0 ? "," : "") + (any_order ? key + ":" : "");
      const bool found = WriteText(head, kernel, [&, &member = member](const Kernel& before) {
        return Write(member, before, [&](const Kernel& behind) {
          return WriteMembers(value, written + 1, used, behind, then);
        });
      });
      if (found) return true;
      (*used)[i] = false;
      if (gave_up()) return false;
    }
    return false;
  }

  Stepper stepper_;
  Kernel start_;
};

}  // namespace

Result<bool> AcceptsInSomeOrder(const Automaton& automaton, std::string_view json) {
  ValueReader reader;
  if (!Json::sax_parse(json, &reader)) {
    return MakeError(ErrorCode::kInvalidArgument, "the JSON value is malformed: {}",
                     reader.error());
  }
  Search search(automaton);
  const bool accepted = search.Run(reader.root);
  if (!accepted && search.gave_up()) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "the value has too many properties to try their orders");
  }
  return accepted;
}

}  // namespace puna::grammar
