// The representation: a small tagged value whose larger contents are shared. Containers are
// immutable in the language (templates run in Jinja's immutable sandbox), so sharing is safe and
// the depth of nesting can be computed when a container is made. What can change later (namespaces,
// closures, lists under the append extension) is pinned by the Meter.
//
// Two containers that share parts can describe exponentially many elements ([x, x] sixty times
// over), so everything that walks values charges the meter for each element and stops when it has
// failed.
#include "chat/jinja/jinja_value.h"

#include <cmath>
#include <functional>

#include "base/text.h"
#include "base/utf8.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

constexpr int kMaxNesting = 200;
constexpr size_t kIndexFrom = 9;  // a dict of fewer entries is searched from end to end

bool SameNumber(const Value& left, const Value& right) {
  if (left.is_float() || right.is_float()) return left.AsDouble() == right.AsDouble();
  return left.AsInt() == right.AsInt();
}

// Lists, tuples and so on equal only their own kind; a generator equals only itself.
bool SameSequenceFamily(const Value& left, const Value& right) {
  return left.sequence().type == right.sequence().type &&
         !left.is_sequence(SequenceType::kGenerator) && !left.is_sequence(SequenceType::kValues);
}

void CheckDepth(Meter& meter, int depth) {
  if (depth > kMaxNesting) meter.Fail("values are nested deeper than {} levels", kMaxNesting);
}

}  // namespace

Meter::~Meter() {
  for (const auto& object : pinned_) object->Clear();
}

bool Meter::FailWith(ErrorCode code, std::string message) {
  if (!failed_) {
    failed_ = true;
    error_ = Error{code, std::move(message)};
  }
  return false;
}

void Meter::FailSteps() {
  FailWith(ErrorCode::kResourceExhausted,
           fmt::format("the template needs more than {} steps", limits_.max_steps));
}

void Meter::FailDepth() {
  Fail("the template is nested or recurses deeper than {} levels", limits_.max_depth);
}

bool Meter::CanAllocate(uint64_t bytes) {
  if (bytes > limits_.max_live_bytes || live_bytes_ > limits_.max_live_bytes - bytes) {
    return FailWith(
        ErrorCode::kResourceExhausted,
        fmt::format("the template needs more than {} bytes of memory", limits_.max_live_bytes));
  }
  return !failed_;
}

void Meter::Allocated(uint64_t bytes) {
  live_bytes_ += bytes;
  if (live_bytes_ > limits_.max_live_bytes) {
    FailWith(
        ErrorCode::kResourceExhausted,
        fmt::format("the template needs more than {} bytes of memory", limits_.max_live_bytes));
  }
}

void Meter::Pin(std::shared_ptr<Object> object) {
  if (object->pinned) return;
  object->pinned = true;
  pinned_.push_back(std::move(object));
}

Value Value::None() {
  Value value;
  value.kind_ = Kind::kNone;
  return value;
}

Value Value::Bool(bool boolean) {
  Value value;
  value.kind_ = Kind::kBool;
  value.integer_ = boolean ? 1 : 0;
  return value;
}

Value Value::Int(int64_t integer) {
  Value value;
  value.kind_ = Kind::kInt;
  value.integer_ = integer;
  return value;
}

Value Value::Float(double real) {
  Value value;
  value.kind_ = Kind::kFloat;
  value.real_ = real;
  return value;
}

Value Value::Literal(std::string text) {
  auto object = std::make_shared<StringObject>();
  object->text = std::move(text);
  Value value;
  value.kind_ = Kind::kString;
  value.object_ = std::move(object);
  return value;
}

Value Value::String(Meter& meter, std::string text, bool markup) {
  Value value = Literal(std::move(text));
  value.markup_ = markup;
  value.object_->ChargeTo(meter, value.text().size() + 64);
  meter.ChargeBytes(value.text().size());
  return value;
}

Value Value::Undefined(Meter& meter, std::string why) {
  Value value = String(meter, std::move(why));
  value.kind_ = Kind::kUndefined;
  return value;
}

std::string Value::why_undefined() const {
  return object_ == nullptr ? "a value is undefined"
                            : static_cast<const StringObject&>(*object_).text;
}

Value Value::Sequence(Meter& meter, std::vector<Value> items, SequenceType type) {
  auto object = std::make_shared<SequenceObject>();
  object->items = std::move(items);
  object->type = type;
  for (const Value& item : object->items) object->depth = std::max(object->depth, item.depth() + 1);
  CheckDepth(meter, object->depth);
  object->ChargeTo(meter, 96 + object->items.capacity() * sizeof(Value));
  meter.Charge(1 + object->items.size() / 4);
  Value value;
  value.kind_ = Kind::kSequence;
  value.object_ = std::move(object);
  if (meter.failed()) return Value();
  return value;
}

Value Value::Dict(std::shared_ptr<DictObject> dict) {
  Value value;
  value.kind_ = Kind::kDict;
  value.object_ = std::move(dict);
  return value;
}

Value Value::Native(std::shared_ptr<NativeObject> object) {
  Value value;
  value.kind_ = Kind::kObject;
  value.object_ = std::move(object);
  return value;
}

Value Value::FromJson(Meter& meter, const Json& json, int depth) {
  if (depth > kMaxNesting) {
    CheckDepth(meter, depth);
    return Value();
  }
  switch (json.type()) {
    case Json::value_t::null:
      return None();
    case Json::value_t::boolean:
      return Bool(json.get<bool>());
    case Json::value_t::number_integer:
      return Int(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const uint64_t number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(INT64_MAX)) return Float(static_cast<double>(number));
      return Int(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Float(json.get<double>());
    case Json::value_t::string:
      return String(meter, json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(FromJson(meter, item, depth + 1));
      return List(meter, std::move(items));
    }
    case Json::value_t::object: {
      auto dict = MakeDict(meter);
      for (const auto& [key, item] : json.items()) {
        dict->Set(meter, String(meter, key), FromJson(meter, item, depth + 1));
      }
      return Dict(std::move(dict));
    }
    default:
      return None();
  }
}

bool Value::is_sequence(SequenceType type) const {
  return is_sequence() && sequence().type == type;
}
SequenceObject& Value::sequence() const { return static_cast<SequenceObject&>(*object_); }
DictObject& Value::dict() const { return static_cast<DictObject&>(*object_); }
NativeObject& Value::native() const { return static_cast<NativeObject&>(*object_); }

std::shared_ptr<DictObject> MakeDict(Meter& meter) {
  auto dict = std::make_shared<DictObject>();
  dict->ChargeTo(meter, 128);
  return dict;
}

bool DictObject::Set(Meter& meter, Value key, Value value) {
  size_t hash = 0;
  if (!Hash(meter, key, &hash)) return false;
  depth = std::max({depth, key.depth() + 1, value.depth() + 1});
  CheckDepth(meter, depth);
  if (const Value* found = FindHashed(meter, key, hash)) {
    *const_cast<Value*>(found) = std::move(value);
    return !meter.failed();
  }
  if (this->meter != nullptr) {
    constexpr uint64_t kEntryBytes = 2 * sizeof(Value) + 32;
    charged_bytes += kEntryBytes;
    this->meter->Allocated(kEntryBytes);
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() == kIndexFrom) {
    for (uint32_t i = 0; i < entries.size(); ++i) {
      size_t entry_hash = 0;
      Hash(meter, entries[i].first, &entry_hash);
      index.emplace(entry_hash, i);
    }
  } else if (entries.size() > kIndexFrom) {
    index.emplace(hash, static_cast<uint32_t>(entries.size() - 1));
  }
  return meter.Charge(1);
}

const Value* DictObject::FindHashed(Meter& meter, const Value& key, size_t hash) const {
  if (entries.size() < kIndexFrom) {
    for (const auto& [name, value] : entries) {
      if (Equals(meter, name, key)) return &value;
    }
    return nullptr;
  }
  const auto [begin, end] = index.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (Equals(meter, entries[it->second].first, key)) return &entries[it->second].second;
  }
  return nullptr;
}

const Value* DictObject::Find(Meter& meter, const Value& key) const {
  size_t hash = 0;
  if (!Hash(meter, key, &hash)) return nullptr;
  return FindHashed(meter, key, hash);
}

const Value* DictObject::Find(std::string_view key) const {
  if (entries.size() < kIndexFrom) {
    for (const auto& [name, value] : entries) {
      if (name.is_string() && name.text() == key) return &value;
    }
    return nullptr;
  }
  const auto [begin, end] = index.equal_range(std::hash<std::string_view>()(key));
  for (auto it = begin; it != end; ++it) {
    const auto& [name, value] = entries[it->second];
    if (name.is_string() && name.text() == key) return &value;
  }
  return nullptr;
}

bool CheckNesting(Meter& meter, const Object& object) {
  CheckDepth(meter, object.depth);
  return !meter.failed();
}

std::string TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.is_markup() ? "Markup" : "str";
    case Kind::kDict:
      return "dict";
    case Kind::kObject:
      return value.native().TypeName();
    case Kind::kSequence:
      break;
  }
  switch (value.sequence().type) {
    case SequenceType::kList:
      return "list";
    case SequenceType::kTuple:
      return "tuple";
    case SequenceType::kRange:
      return "range";
    case SequenceType::kKeys:
      return "dict_keys";
    case SequenceType::kValues:
      return "dict_values";
    case SequenceType::kItems:
      return "dict_items";
    case SequenceType::kGenerator:
      return "generator";
  }
  return "object";
}

std::string DescribeType(const Value& value) {
  return value.is_none() ? "None" : TypeName(value) + " object";
}

bool Truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.AsInt() != 0;
    case Kind::kFloat:
      return value.AsDouble() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kSequence:
      return value.is_sequence(SequenceType::kGenerator) || !value.sequence().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kObject:
      return true;
  }
  return false;
}

bool Length(Meter& meter, const Value& value, int64_t* length) {
  *length = 0;
  switch (value.kind()) {
    case Kind::kUndefined:
      return true;
    case Kind::kString:
      meter.ChargeBytes(value.text().size());
      *length = CountCodepoints(value.text());
      return true;
    case Kind::kSequence:
      if (value.is_sequence(SequenceType::kGenerator)) break;
      *length = static_cast<int64_t>(value.sequence().items.size());
      return true;
    case Kind::kDict:
      *length = static_cast<int64_t>(value.dict().entries.size());
      return true;
    default:
      break;
  }
  return meter.Fail("object of type '{}' has no len()", TypeName(value));
}

bool IsIterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_sequence() || value.is_dict();
}

bool Iterate(Meter& meter, const Value& value, std::vector<Value>* items) {
  items->clear();
  switch (value.kind()) {
    case Kind::kUndefined:
      return !meter.failed();
    case Kind::kString: {
      if (!meter.CanAllocateParts(static_cast<size_t>(CountCodepoints(value.text())))) return false;
      for (const std::string_view character : Characters(value.text())) {
        items->push_back(Value::String(meter, std::string(character)));
      }
      return !meter.failed();
    }
    case Kind::kSequence:
      meter.Charge(value.sequence().items.size() / 4);
      if (value.is_sequence(SequenceType::kGenerator)) {
        *items = std::move(value.sequence().items);
        value.sequence().items.clear();
      } else {
        *items = value.sequence().items;
      }
      return !meter.failed();
    case Kind::kDict:
      meter.Charge(value.dict().entries.size() / 4);
      for (const auto& [key, entry] : value.dict().entries) items->push_back(key);
      return !meter.failed();
    default:
      return meter.Fail("'{}' object is not iterable", TypeName(value));
  }
}

bool Equals(Meter& meter, const Value& left, const Value& right, int depth) {
  if (!meter.Charge(1)) return false;
  if (depth > kMaxNesting)
    return meter.Fail("values are nested deeper than {} levels", kMaxNesting);
  if (left.is_number() && right.is_number()) return SameNumber(left, right);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      meter.Charge(std::min(left.text().size(), right.text().size()) / 64);
      return left.text() == right.text();
    case Kind::kObject:
      return left.object() == right.object();
    case Kind::kDict: {
      if (left.object() == right.object()) return true;
      if (left.dict().entries.size() != right.dict().entries.size()) return false;
      for (const auto& [key, value] : left.dict().entries) {
        const Value* other = right.dict().Find(meter, key);
        if (other == nullptr || !Equals(meter, value, *other, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kSequence: {
      if (left.object() == right.object()) return true;
      if (!SameSequenceFamily(left, right)) return false;
      const auto& a = left.sequence().items;
      const auto& b = right.sequence().items;
      if (a.size() != b.size()) return false;
      for (size_t i = 0; i < a.size(); ++i) {
        if (!Equals(meter, a[i], b[i], depth + 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

bool Compare(Meter& meter, const Value& left, const Value& right, int* order, int depth) {
  *order = 0;
  if (!meter.Charge(1)) return false;
  if (depth > kMaxNesting)
    return meter.Fail("values are nested deeper than {} levels", kMaxNesting);
  if (left.is_undefined() || right.is_undefined()) {
    return meter.Fail("{}", left.is_undefined() ? left.why_undefined() : right.why_undefined());
  }
  if (left.is_number() && right.is_number()) {
    if (left.is_float() || right.is_float()) {
      const double a = left.AsDouble();
      const double b = right.AsDouble();
      *order = a < b ? -1 : a > b ? 1 : 0;
      if (std::isnan(a) || std::isnan(b)) *order = 2;  // neither less, nor equal, nor greater
    } else {
      *order = left.AsInt() < right.AsInt() ? -1 : left.AsInt() > right.AsInt() ? 1 : 0;
    }
    return true;
  }
  if (left.is_string() && right.is_string()) {
    meter.ChargeBytes(std::min(left.text().size(), right.text().size()));
    const int bytes = left.text().compare(right.text());  // UTF-8 sorts as code points do
    *order = bytes < 0 ? -1 : bytes > 0 ? 1 : 0;
    return true;
  }
  const bool sequences =
      left.is_sequence() && right.is_sequence() && left.sequence().type == right.sequence().type &&
      (left.is_sequence(SequenceType::kList) || left.is_sequence(SequenceType::kTuple));
  if (!sequences) {
    return meter.Fail("'<' not supported between instances of '{}' and '{}'", TypeName(left),
                      TypeName(right));
  }
  const auto& a = left.sequence().items;
  const auto& b = right.sequence().items;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (Equals(meter, a[i], b[i])) continue;
    return Compare(meter, a[i], b[i], order, depth + 1);
  }
  *order = a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
  return !meter.failed();
}

bool Hash(Meter& meter, const Value& value, size_t* hash, int depth) {
  *hash = 0;
  if (!meter.Charge(1)) return false;
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      *hash = 7 + static_cast<size_t>(value.kind());
      return true;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      *hash = std::hash<double>()(value.AsDouble());
      return true;
    case Kind::kString:
      meter.Charge(value.text().size() / 64);
      *hash = std::hash<std::string_view>()(value.text());
      return true;
    case Kind::kObject:
      *hash = std::hash<const void*>()(value.object().get());
      return true;
    case Kind::kSequence:
      if (value.is_sequence(SequenceType::kTuple) && depth <= kMaxNesting) {
        for (const Value& item : value.sequence().items) {
          size_t item_hash = 0;
          if (!Hash(meter, item, &item_hash, depth + 1)) return false;
          *hash = *hash * 31 + item_hash;
        }
        return true;
      }
      break;
    case Kind::kDict:
      break;
  }
  return meter.Fail("unhashable type: '{}'", TypeName(value));
}

bool Contains(Meter& meter, const Value& haystack, const Value& needle, bool* found) {
  *found = false;
  switch (haystack.kind()) {
    case Kind::kUndefined:
      return !meter.failed();
    case Kind::kString:
      if (!needle.is_string()) {
        return meter.Fail("'in <string>' requires string as left operand, not {}",
                          TypeName(needle));
      }
      meter.ChargeBytes(haystack.text().size());
      *found = FindText(haystack.text(), needle.text()) != std::string::npos;
      return !meter.failed();
    case Kind::kDict:
      *found = haystack.dict().Find(meter, needle) != nullptr;
      return !meter.failed();
    case Kind::kSequence: {
      const auto& items = haystack.sequence().items;
      for (size_t i = 0; i < items.size() && !*found; ++i) {
        *found = (items[i].object() != nullptr && items[i].object() == needle.object()) ||
                 Equals(meter, items[i], needle);
      }
      if (haystack.is_sequence(SequenceType::kGenerator)) haystack.sequence().items.clear();
      return !meter.failed();
    }
    default:
      return meter.Fail("argument of type '{}' is not iterable", TypeName(haystack));
  }
}

}  // namespace puna::chat::jinja
