// The tokens, the first error, and the expressions of a template; the statements are built on it in
// jinja_parser.cc.
#ifndef PUNA_CHAT_JINJA_JINJA_EXPRESSION_PARSER_H_
#define PUNA_CHAT_JINJA_JINJA_EXPRESSION_PARSER_H_

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/jinja/jinja_ast.h"
#include "chat/jinja/jinja_lexer.h"

namespace puna::chat::jinja {

class ExpressionParser {
 protected:
  explicit ExpressionParser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), program_(std::make_unique<Program>()) {}

  static constexpr int kMaxDepth = 250;

  const Token& Current() const { return tokens_[failed_ ? tokens_.size() - 1 : pos_]; }
  const Token& Ahead() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  void Advance() {
    if (pos_ + 1 < tokens_.size()) ++pos_;
  }
  bool IsOp(std::string_view text) const {
    return Current().type == TokenType::kOperator && Current().text == text;
  }
  bool IsName(std::string_view text) const {
    return Current().type == TokenType::kName && Current().text == text;
  }
  bool TakeOp(std::string_view text) {
    if (!IsOp(text)) return false;
    Advance();
    return true;
  }
  bool TakeName(std::string_view text) {
    if (!IsName(text)) return false;
    Advance();
    return true;
  }
  void ExpectOp(std::string_view text) {
    if (!TakeOp(text)) Unexpected(fmt::format("'{}'", text));
  }
  void ExpectName(std::string_view text) {
    if (!TakeName(text)) Unexpected(fmt::format("'{}'", text));
  }
  std::string TakeAnyName() {
    if (Current().type != TokenType::kName) {
      Unexpected("a name");
      return {};
    }
    std::string name = Current().text;
    Advance();
    return name;
  }
  void Expect(TokenType type, std::string_view what) {
    if (Current().type != type) {
      Unexpected(what);
    } else {
      Advance();
    }
  }

  // The first error wins; after it every token looks like the end, so all loops stop.
  void Fail(std::string message) {
    if (failed_) return;
    error_ =
        Error{ErrorCode::kInvalidArgument, fmt::format("line {}: {}", Current().line, message)};
    failed_ = true;
  }
  void Unexpected(std::string_view wanted) {
    const Token& token = Current();
    std::string found = token.text;
    if (token.type == TokenType::kEnd) found = "the end of the template";
    if (token.type == TokenType::kBlockEnd) found = "the end of the block";
    if (token.type == TokenType::kVariableEnd) found = "the end of the expression";
    Fail(fmt::format("found '{}', expected {}", found, wanted));
  }

  int Intern(const std::string& name) {
    const auto [it, added] = name_ids_.emplace(name, static_cast<int>(program_->names.size()));
    if (added) program_->names.push_back(name);
    return it->second;
  }

  ExprPtr New(ExprKind kind) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = Current().line;
    return expr;
  }
  // Counts `child` into the depth of `parent`; every child passes through here.
  void Adopt(Expr* parent, const ExprPtr& child) {
    if (child == nullptr) return;
    parent->depth = std::max(parent->depth, child->depth + 1);
    if (parent->depth > kMaxDepth)
      Fail(fmt::format("an expression is nested deeper than {} levels", kMaxDepth));
  }
  void AddChild(Expr* parent, ExprPtr child) {
    Adopt(parent, child);
    parent->children.push_back(std::move(child));
  }

  // Bounds the parser's own recursion.
  struct Nesting {
    explicit Nesting(ExpressionParser* parser) : parser(parser) {
      if (++parser->nesting_ > kMaxDepth)
        parser->Fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    ~Nesting() { --parser->nesting_; }
    ExpressionParser* parser;
  };

  ExprPtr ParseExpression(bool with_conditional = true);
  ExprPtr ParseConditional();
  ExprPtr Binary(ExprKind kind, ExprPtr left, ExprPtr right);
  ExprPtr ParseOr();
  ExprPtr ParseAnd();
  ExprPtr ParseNot();
  bool TakeCompareOp(CompareOp* op);
  ExprPtr ParseCompare();
  ExprPtr ParseSum();
  ExprPtr ParseConcat();
  ExprPtr ParseProduct();
  ExprPtr ParsePower();
  ExprPtr ParseUnary(bool with_filters);
  ExprPtr Constant(Value value);
  ExprPtr ParsePrimary();
  ExprPtr ParseNameOrConstant();
  bool AtTupleEnd() const;
  // One expression, or several with commas between them as a tuple.
  ExprPtr ParseTuple(bool with_conditional, bool in_parentheses, std::string_view end_name = {});
  ExprPtr ParseList();
  ExprPtr ParseDict();
  ExprPtr ParsePostfix(ExprPtr expr);
  ExprPtr ParseAttribute(ExprPtr object);
  ExprPtr ParseSubscript(ExprPtr object);
  ExprPtr ParseCall(ExprPtr callee);
  void ParseArguments(Expr* expr);
  ExprPtr ParseFiltersAndTests(ExprPtr expr);
  std::string DottedName();
  // `operand` may be null (in filter and set blocks). `inline_first`: the first filter's name comes
  // without its bar.
  ExprPtr ParseFilters(ExprPtr operand, bool inline_first);
  ExprPtr ParseTest(ExprPtr operand);
  bool AtTestArgument() const;

  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int nesting_ = 0;
  bool failed_ = false;
  Error error_;
  std::vector<MacroSyntax*> open_macros_;  // whose bodies are being parsed
  std::unordered_map<std::string, int> name_ids_;
  std::unique_ptr<Program> program_;
};

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_EXPRESSION_PARSER_H_
