#include "grammar/grammar.h"

#include <utility>

#include "grammar/automaton.h"
#include "grammar/configuration.h"
#include "grammar/expression.h"
#include "grammar/gbnf.h"
#include "grammar/json_order.h"
#include "grammar/regex.h"
#include "grammar/schema.h"
#include "grammar/token_trie.h"

namespace puna::grammar {
namespace {

Part Make(Part::Kind kind, std::string_view text = {}) {
  Part part;
  part.kind = kind;
  part.text = text;
  return part;
}

// Any text up to the first `mark`, with it.
Result<ExprId> Until(std::string_view mark, Effort* effort, Expressions* out) {
  PUNA_ASSIGN_OR_RETURN(CharDfa dfa, CharDfa::OfTextsWith(mark, effort));
  for (CharDfa::State& state : dfa.states) {
    if (state.accepting) state.edges.clear();
  }
  return out->Text(std::move(dfa));
}

Result<ExprId> Build(const Part& part, Effort* effort, Expressions* out) {
  switch (part.kind) {
    case Part::Kind::kText:
      return out->Bytes(part.text);
    case Part::Kind::kToken:
      return out->Choice({out->Bytes(part.text), out->Bytes(kSpecialMark + part.text)});
    case Part::Kind::kUntil: {
      // The mark may also come as a control token, in front of which any text may stand.
      PUNA_ASSIGN_OR_RETURN(const ExprId text, Until(part.text, effort, out));
      const ExprId any = out->Repeat(out->Class(CharSet::All()), 0, -1);
      return out->Choice({text, out->Sequence({any, out->Bytes(kSpecialMark + part.text)})});
    }
    case Part::Kind::kSchema:
      return ReadSchema(*part.schema, part.reading, effort, out);
    case Part::Kind::kSchemaText:
      return ReadSchemaText(*part.schema, part.reading, part.text, effort, out);
    case Part::Kind::kGbnf:
      return ReadGbnf(part.text, out);
    case Part::Kind::kRegex: {
      PUNA_ASSIGN_OR_RETURN(CharDfa dfa, ReadRegex(part.text, RegexMatch::kWhole, effort));
      return out->Text(std::move(dfa));
    }
    case Part::Kind::kSequence:
    case Part::Kind::kChoice: {
      std::vector<ExprId> parts;
      for (const Part& inner : part.parts) {
        PUNA_ASSIGN_OR_RETURN(const ExprId id, Build(inner, effort, out));
        parts.push_back(id);
      }
      return part.kind == Part::Kind::kChoice ? out->Choice(std::move(parts))
                                              : out->Sequence(std::move(parts));
    }
    case Part::Kind::kRepeat: {
      PUNA_ASSIGN_OR_RETURN(const ExprId inner, Build(part.parts[0], effort, out));
      return out->Repeat(inner, part.min, part.max);
    }
  }
  return MakeError(ErrorCode::kInternal, "no such part");
}

}  // namespace

Part Part::Text(std::string_view text) { return Make(Kind::kText, text); }
Part Part::Token(std::string_view text) { return Make(Kind::kToken, text); }
Part Part::Until(std::string_view text) { return Make(Kind::kUntil, text); }
Part Part::Gbnf(std::string_view text) { return Make(Kind::kGbnf, text); }
Part Part::Regex(std::string_view pattern) { return Make(Kind::kRegex, pattern); }
Part Part::Schema(Json schema, SchemaReading reading) {
  Part part = Make(Kind::kSchema);
  part.schema = std::make_shared<const Json>(std::move(schema));
  part.reading = reading;
  return part;
}
Part Part::SchemaText(Json schema, std::string_view never) {
  Part part = Make(Kind::kSchemaText, never);
  part.schema = std::make_shared<const Json>(std::move(schema));
  return part;
}
Part Part::Sequence(std::vector<Part> parts) {
  Part part = Make(Kind::kSequence);
  part.parts = std::move(parts);
  return part;
}
Part Part::Choice(std::vector<Part> parts) {
  Part part = Make(Kind::kChoice);
  part.parts = std::move(parts);
  return part;
}
Part Part::Repeat(Part inner, int64_t min, int64_t max) {
  Part part = Make(Kind::kRepeat);
  part.parts.push_back(std::move(inner));
  part.min = min;
  part.max = max;
  return part;
}
Part Part::Spaces(int64_t max) {
  return Repeat(Choice({Text(" "), Text("\n"), Text("\t"), Text("\r")}), 0, max);
}
Part Part::JsonObject() { return Schema(Json{{"type", "object"}}); }

std::string Part::Key() const {
  std::string key = fmt::format("{}:{}:{}:{}:{}:{}:", static_cast<int>(kind), text.size(), text,
                                static_cast<int>(reading), min, max);
  if (kind == Kind::kSchema || kind == Kind::kSchemaText) key += DumpJson(*schema);
  key += '(';
  for (const Part& part : parts) key += part.Key();
  key += ')';
  return key;
}

Grammar::Grammar(std::unique_ptr<const Automaton> automaton) : automaton_(std::move(automaton)) {}
Grammar::~Grammar() = default;

Result<std::shared_ptr<const Grammar>> Grammar::Compile(const Part& part) {
  Expressions expressions;
  Effort effort;
  PUNA_ASSIGN_OR_RETURN(const ExprId root, Build(part, &effort, &expressions));
  PUNA_ASSIGN_OR_RETURN(Automaton automaton, expressions.Compile(root));
  return std::shared_ptr<const Grammar>(
      new Grammar(std::make_unique<const Automaton>(std::move(automaton))));
}

bool Grammar::satisfiable() const { return automaton_->satisfiable(); }

bool Grammar::Accepts(std::string_view text) const {
  if (!satisfiable()) return false;
  Stepper stepper(automaton_.get());
  std::vector<Config> kernel = {{automaton_->start(), kBottom}};
  Closure closure;
  stepper.Close(kernel, &closure);
  for (const char byte : text) {
    stepper.Step(closure, static_cast<uint8_t>(byte), &kernel);
    stepper.Close(kernel, &closure);
    if (kernel.empty()) return false;
  }
  return closure.complete;
}

Result<bool> Grammar::AcceptsJson(std::string_view json) const {
  if (!satisfiable()) return false;
  return AcceptsInSomeOrder(*automaton_, json);
}

}  // namespace puna::grammar
