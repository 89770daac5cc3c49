// str() and repr() of values, as Python prints them. One growing buffer, checked against the output
// limit while it grows, because a small value that shares its parts can print as exponentially many
// bytes.
#include "chat/jinja/jinja_value.h"
#include "chat/jinja/py_text.h"

namespace puna::chat::jinja {
namespace {

constexpr int kMaxPrintDepth = 220;

class Printer {
 public:
  explicit Printer(Meter& meter) : meter_(meter) {}
  std::string Take() { return std::move(out_); }

  void Repr(const Value& value, int depth) {
    if (!meter_.Charge(1)) return;
    if (depth > kMaxPrintDepth) {
      meter_.Fail("values are nested too deeply to print");
      return;
    }
    if (out_.size() > meter_.limits().max_output_bytes) {
      meter_.Fail(ErrorCode::kResourceExhausted, "a printed value is longer than {} bytes",
                  meter_.limits().max_output_bytes);
      return;
    }
    switch (value.kind()) {
      case Kind::kUndefined:
        out_ += "Undefined";
        break;
      case Kind::kNone:
        out_ += "None";
        break;
      case Kind::kBool:
        out_ += value.AsInt() != 0 ? "True" : "False";
        break;
      case Kind::kInt:
        out_ += std::to_string(value.AsInt());
        break;
      case Kind::kFloat:
        out_ += FloatRepr(value.AsDouble());
        break;
      case Kind::kString:
        meter_.ChargeBytes(value.text().size());
        if (value.is_markup()) out_ += "Markup(";
        out_ += StringRepr(value.text());
        if (value.is_markup()) out_ += ")";
        break;
      case Kind::kSequence:
        Sequence(value.sequence(), depth);
        break;
      case Kind::kDict:
        Dict(value.dict(), depth);
        break;
      case Kind::kObject:
        out_ += value.native().Print();
        break;
    }
  }

 private:
  void Items(const SequenceObject& sequence, int depth) {
    bool first = true;
    for (const Value& item : sequence.items) {
      if (meter_.failed()) return;
      if (!first) out_ += ", ";
      first = false;
      Repr(item, depth + 1);
    }
  }

  void Sequence(const SequenceObject& sequence, int depth) {
    switch (sequence.type) {
      case SequenceType::kList:
        out_ += '[';
        Items(sequence, depth);
        out_ += ']';
        break;
      case SequenceType::kTuple:
        out_ += '(';
        Items(sequence, depth);
        out_ += sequence.items.size() == 1 ? ",)" : ")";
        break;
      case SequenceType::kRange:
        out_ += fmt::format("range({}, {}", sequence.range_start, sequence.range_stop);
        if (sequence.range_step != 1) out_ += fmt::format(", {}", sequence.range_step);
        out_ += ')';
        break;
      case SequenceType::kKeys:
      case SequenceType::kValues:
      case SequenceType::kItems:
        out_ += sequence.type == SequenceType::kKeys     ? "dict_keys(["
                : sequence.type == SequenceType::kValues ? "dict_values(["
                                                         : "dict_items([";
        Items(sequence, depth);
        out_ += "])";
        break;
      case SequenceType::kGenerator:
        out_ += "<generator object>";
        break;  // Python adds a name and an address
    }
  }

  void Dict(const DictObject& dict, int depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : dict.entries) {
      if (meter_.failed()) return;
      if (!first) out_ += ", ";
      first = false;
      Repr(key, depth + 1);
      out_ += ": ";
      Repr(value, depth + 1);
    }
    out_ += '}';
  }

  Meter& meter_;
  std::string out_;
};

}  // namespace

std::string ToRepr(Meter& meter, const Value& value) {
  Printer printer(meter);
  printer.Repr(value, 0);
  return printer.Take();
}

std::string ToStr(Meter& meter, const Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return "";
  return ToRepr(meter, value);
}

}  // namespace puna::chat::jinja
