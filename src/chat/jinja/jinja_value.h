// The values that a Jinja template computes with: Python's None, bool, int, float, str, list,
// tuple, dict and a few objects of Jinja's own. Strings are UTF-8; positions and lengths count code
// points as Python's do.
//
// Integers have 64 bits; an operation that would need more is an error. Values belong to one
// rendering and one thread.
#ifndef PUNA_CHAT_JINJA_JINJA_VALUE_H_
#define PUNA_CHAT_JINJA_JINJA_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "chat/jinja/jinja_meter.h"

namespace puna::chat::jinja {

class Interpreter;
class Value;
struct Arguments;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kSequence,
  kDict,
  kObject
};

// Base of everything that a Value points to.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (meter != nullptr) meter->Released(charged_bytes);
  }
  // Drops references to other values; called for pinned objects when the rendering ends.
  virtual void Clear() {}
  void ChargeTo(Meter& to, uint64_t bytes) {
    meter = &to;
    charged_bytes = bytes;
    to.Allocated(bytes);
  }
  Meter* meter = nullptr;  // null for literals of the template, which outlive renderings
  uint64_t charged_bytes = 0;
  bool pinned = false;  // see Meter::Pin
  int depth = 0;  // of nested containers below, so that destroying them cannot exhaust the stack
};

struct StringObject final : Object {
  std::string text;
};

// Which Python type a sequence shows as. They differ in printing and in what may be done with them.
enum class SequenceType : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };

struct SequenceObject;
struct DictObject;
struct NativeObject;

class Value {
 public:
  Value() = default;  // undefined
  static Value None();
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  static Value String(Meter& meter, std::string text, bool markup = false);
  static Value Literal(std::string text);  // for the template's own constants
  static Value Undefined(Meter& meter, std::string why);
  static Value Sequence(Meter& meter, std::vector<Value> items,
                        SequenceType type = SequenceType::kList);
  static Value List(Meter& meter, std::vector<Value> items) {
    return Sequence(meter, std::move(items));
  }
  static Value Tuple(Meter& meter, std::vector<Value> items) {
    return Sequence(meter, std::move(items), SequenceType::kTuple);
  }
  static Value Dict(std::shared_ptr<DictObject> dict);
  static Value Native(std::shared_ptr<NativeObject> object);
  // Nested deeper than 200 levels is an error.
  static Value FromJson(Meter& meter, const Json& json, int depth = 0);

  Kind kind() const { return kind_; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_float() const { return kind_ == Kind::kFloat; }
  bool is_integral() const { return is_int() || is_bool(); }  // Python's bool is an int
  bool is_number() const { return is_integral() || is_float(); }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_sequence() const { return kind_ == Kind::kSequence; }
  bool is_sequence(SequenceType type) const;
  bool is_dict() const { return kind_ == Kind::kDict; }
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_markup() const { return markup_; }

  // REQUIRES the matching kind.
  int64_t AsInt() const { return integer_; }  // bool and int
  double AsDouble() const { return is_float() ? real_ : static_cast<double>(integer_); }
  const std::string& text() const { return static_cast<const StringObject&>(*object_).text; }
  SequenceObject& sequence() const;
  DictObject& dict() const;
  NativeObject& native() const;
  // Of an undefined value: what went wrong, such as "'x' is undefined".
  std::string why_undefined() const;

  const std::shared_ptr<Object>& object() const { return object_; }
  int depth() const { return object_ == nullptr ? 0 : object_->depth; }

 private:
  Kind kind_ = Kind::kUndefined;
  bool markup_ = false;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

struct SequenceObject final : Object {
  void Clear() override { items.clear(); }
  std::vector<Value> items;
  SequenceType type = SequenceType::kList;
  int64_t range_start = 0, range_stop = 0, range_step = 1;  // only for printing a range
  bool is_group =
      false;  // the pair (grouper, list) that groupby makes; has attributes of those names
};

// Python's dict: keeps insertion order; 1, 1.0 and True are one key.
struct DictObject final : Object {
  void Clear() override {
    entries.clear();
    index.clear();
  }
  // False (and failed) if the key is not hashable. The last value of a key stays at the key's first
  // place.
  bool Set(Meter& meter, Value key, Value value);
  const Value* Find(Meter& meter, const Value& key) const;
  const Value* Find(std::string_view key) const;

  std::vector<std::pair<Value, Value>> entries;
  std::unordered_multimap<size_t, uint32_t>
      index;  // hash of the key to position; filled beyond a few entries

 private:
  const Value* FindHashed(Meter& meter, const Value& key, size_t hash) const;
};

std::shared_ptr<DictObject> MakeDict(Meter& meter);

// Functions, macros, namespaces, loops and bound methods.
struct NativeObject : Object {
  virtual std::string TypeName() const = 0;  // as Python's type(x).__name__
  virtual std::string Print() const = 0;
  virtual bool IsCallable() const { return false; }
  virtual Value Call(Interpreter& interpreter, Arguments& arguments);
  // False if there is no such attribute.
  virtual bool Attribute(Interpreter&, std::string_view, Value*) { return false; }
};

// Python's type(x).__name__, and the way Jinja names the type in its messages ("dict object",
// "None").
std::string TypeName(const Value& value);
std::string DescribeType(const Value& value);

// bool(x), len(x) (fails for things without length) and how many items iterating gives.
bool Truthy(const Value& value);
bool Length(Meter& meter, const Value& value, int64_t* length);
// The items that Python's iter(x) gives; a generator is used up. Fails for things that are not
// iterable.
bool Iterate(Meter& meter, const Value& value, std::vector<Value>* items);
bool IsIterable(const Value& value);

// x == y; never fails except by the limits.
bool Equals(Meter& meter, const Value& left, const Value& right, int depth = 0);
// -1, 0, 1 as Python orders x and y; fails for types without order between them ("<" not supported
// ...).
bool Compare(Meter& meter, const Value& left, const Value& right, int* order, int depth = 0);
bool Hash(Meter& meter, const Value& value, size_t* hash, int depth = 0);
// Fails for an object nested so deeply that destroying it could exhaust the stack.
bool CheckNesting(Meter& meter, const Object& object);
// needle in haystack
bool Contains(Meter& meter, const Value& haystack, const Value& needle, bool* found);

// str(x) and repr(x) as Python prints them.
std::string ToStr(Meter& meter, const Value& value);
std::string ToRepr(Meter& meter, const Value& value);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_VALUE_H_
