// Grammars as trees of expressions: what the readers of GBNF, of JSON Schema and of regular
// expressions build, and what is lowered to an Automaton.
#ifndef PUNA_GRAMMAR_EXPRESSION_H_
#define PUNA_GRAMMAR_EXPRESSION_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/char_dfa.h"
#include "grammar/char_set.h"

namespace puna::grammar {

using ExprId = int32_t;

// Expressions are immutable once made and may be shared. An id is valid in its own arena only.
class Expressions {
 public:
  enum class Kind : uint8_t {
    kNothing,   // no text at all
    kBytes,     // exactly these bytes
    kClass,     // one character of a set
    kSequence,  // one after the other
    kChoice,    // any one of them
    kRepeat,    // min to max times; max < 0: without limit
    kCall,      // what a rule says
    kString,    // a JSON string, with its quotes, whose value a CharDfa accepts
    kText,      // a text that a CharDfa accepts, as it is
  };
  struct Node {
    Kind kind = Kind::kNothing;
    std::string bytes;
    CharSet chars;
    std::vector<ExprId> parts;
    int64_t min = 0, max = 0;
    RuleId rule = -1;
    const CharDfa* dfa = nullptr;
  };

  ExprId Nothing();
  ExprId Empty() { return Bytes(""); }
  ExprId Bytes(std::string_view bytes);
  ExprId Class(CharSet chars);
  ExprId Sequence(std::vector<ExprId> parts);
  ExprId Choice(std::vector<ExprId> parts);
  ExprId Repeat(ExprId part, int64_t min, int64_t max);
  ExprId Optional(ExprId part) { return Repeat(part, 0, 1); }
  ExprId String(CharDfa dfa);
  ExprId Text(CharDfa dfa);
  ExprId Call(RuleId rule);
  // `name` is for messages.
  RuleId AddRule(std::string name);
  void Define(RuleId rule, ExprId body);

  bool IsNothing(ExprId id) const { return node(id).kind == Kind::kNothing; }
  const Node& node(ExprId id) const { return nodes_[static_cast<size_t>(id)]; }
  struct Rule {
    std::string name;
    ExprId body = -1;
  };
  const std::vector<Rule>& rules() const { return rules_; }

  // kInvalidArgument: left recursion, or more states than AutomatonBuilder allows.
  // REQUIRES: every rule is defined.
  Result<Automaton> Compile(ExprId root) const;

 private:
  ExprId Add(Node node);
  std::vector<Node> nodes_;
  std::vector<Rule> rules_;
  std::deque<CharDfa> dfas_;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_EXPRESSION_H_
