#include "grammar/expression.h"

#include <utility>

#include "base/check.h"
#include "grammar/lowering.h"

namespace puna::grammar {

ExprId Expressions::Add(Node node) {
  nodes_.push_back(std::move(node));
  return static_cast<ExprId>(nodes_.size()) - 1;
}

ExprId Expressions::Nothing() { return Add({}); }

ExprId Expressions::Bytes(std::string_view bytes) {
  Node node;
  node.kind = Kind::kBytes;
  node.bytes = bytes;
  return Add(std::move(node));
}

ExprId Expressions::Class(CharSet chars) {
  if (chars.empty()) return Nothing();
  Node node;
  node.kind = Kind::kClass;
  node.chars = std::move(chars);
  return Add(std::move(node));
}

ExprId Expressions::Sequence(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts[0];
  for (const ExprId part : parts) {
    if (IsNothing(part)) return Nothing();
  }
  Node node;
  node.kind = Kind::kSequence;
  node.parts = std::move(parts);
  return Add(std::move(node));
}

ExprId Expressions::Choice(std::vector<ExprId> parts) {
  std::erase_if(parts, [this](ExprId part) { return IsNothing(part); });
  if (parts.empty()) return Nothing();
  if (parts.size() == 1) return parts[0];
  Node node;
  node.kind = Kind::kChoice;
  node.parts = std::move(parts);
  return Add(std::move(node));
}

ExprId Expressions::Repeat(ExprId part, int64_t min, int64_t max) {
  if (max >= 0 && min > max) return Nothing();
  if (min == 1 && max == 1) return part;
  if (max == 0 || IsNothing(part)) return min == 0 ? Empty() : Nothing();
  Node node;
  node.kind = Kind::kRepeat;
  node.parts = {part};
  node.min = min;
  node.max = max;
  return Add(std::move(node));
}

ExprId Expressions::String(CharDfa dfa) {
  if (dfa.empty()) return Nothing();
  Node node;
  node.kind = Kind::kString;
  node.dfa = &dfas_.emplace_back(std::move(dfa));
  return Add(std::move(node));
}

ExprId Expressions::Text(CharDfa dfa) {
  if (dfa.empty()) return Nothing();
  Node node;
  node.kind = Kind::kText;
  node.dfa = &dfas_.emplace_back(std::move(dfa));
  return Add(std::move(node));
}

ExprId Expressions::Call(RuleId rule) {
  Node node;
  node.kind = Kind::kCall;
  node.rule = rule;
  return Add(std::move(node));
}

RuleId Expressions::AddRule(std::string name) {
  rules_.push_back({std::move(name)});
  return static_cast<RuleId>(rules_.size()) - 1;
}

void Expressions::Define(RuleId rule, ExprId body) {
  rules_[static_cast<size_t>(rule)].body = body;
}

Result<Automaton> Expressions::Compile(ExprId root) const {
  for (const Rule& rule : rules_)
    CHECK(rule.body >= 0) << "rule " << rule.name << " is not defined";
  return Lower(*this, root);
}

}  // namespace puna::grammar
