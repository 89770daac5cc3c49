// Recursive descent, one function per level of precedence, in Jinja's own order (which is not
// Python's: unary minus binds tighter than **, and | binds tighter than unary minus only on the
// outside). Each node knows the depth of its tree; the limit on it protects every later recursive
// walk, also for left-leaning chains that the parser builds in a loop.
#include "chat/jinja/jinja_parser.h"

#include <algorithm>
#include <unordered_map>

#include "chat/jinja/jinja_lexer.h"
#include "chat/jinja/jinja_names.h"

namespace puna::chat::jinja {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{4} << 20;
constexpr int kMaxDepth = 250;

bool IsReserved(std::string_view name) {
  return name == "true" || name == "false" || name == "none" || name == "True" || name == "False" ||
         name == "None";
}

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), program_(std::make_unique<Program>()) {
    program_->loop_name = Intern("loop");
    program_->caller_name = Intern("caller");
  }

  Result<std::unique_ptr<const Program>> Run() {
    std::string ended_by;
    Body body = ParseBody({}, &ended_by);
    if (!failed_) CheckNames(body, false);
    if (failed_) return tl::unexpected<Error>(error_);
    program_->body = std::move(body);
    return std::unique_ptr<const Program>(std::move(program_));
  }

 private:
  // --- tokens
  // -------------------------------------------------------------------------------------------------------

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
    explicit Nesting(Parser* parser) : parser(parser) {
      if (++parser->nesting_ > kMaxDepth)
        parser->Fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    ~Nesting() { --parser->nesting_; }
    Parser* parser;
  };

  // --- expressions
  // --------------------------------------------------------------------------------------------------

  ExprPtr ParseExpression(bool with_conditional = true) {
    Nesting nesting(this);
    if (failed_) return New(ExprKind::kConstant);
    return with_conditional ? ParseConditional() : ParseOr();
  }

  ExprPtr ParseConditional() {
    ExprPtr value = ParseOr();
    while (TakeName("if")) {
      ExprPtr expr = New(ExprKind::kConditional);
      AddChild(expr.get(), std::move(value));
      AddChild(expr.get(), ParseOr());
      AddChild(expr.get(), TakeName("else") ? ParseExpression() : nullptr);
      value = std::move(expr);
    }
    return value;
  }

  ExprPtr Binary(ExprKind kind, ExprPtr left, ExprPtr right) {
    ExprPtr expr = New(kind);
    AddChild(expr.get(), std::move(left));
    AddChild(expr.get(), std::move(right));
    return expr;
  }

  ExprPtr ParseOr() {
    ExprPtr left = ParseAnd();
    while (TakeName("or")) left = Binary(ExprKind::kOr, std::move(left), ParseAnd());
    return left;
  }

  ExprPtr ParseAnd() {
    ExprPtr left = ParseNot();
    while (TakeName("and")) left = Binary(ExprKind::kAnd, std::move(left), ParseNot());
    return left;
  }

  ExprPtr ParseNot() {
    if (!IsName("not")) return ParseCompare();
    Nesting nesting(this);
    Advance();
    ExprPtr expr = New(ExprKind::kNot);
    AddChild(expr.get(), ParseNot());
    return expr;
  }

  bool TakeCompareOp(CompareOp* op) {
    static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
        {"==", CompareOp::kEqual},  {"!=", CompareOp::kNotEqual},
        {"<", CompareOp::kLess},    {"<=", CompareOp::kLessEqual},
        {">", CompareOp::kGreater}, {">=", CompareOp::kGreaterEqual}};
    for (const auto& [text, meaning] : kOps) {
      *op = meaning;
      if (TakeOp(text)) return true;
    }
    *op = CompareOp::kIn;
    if (TakeName("in")) return true;
    if (IsName("not") && Ahead().type == TokenType::kName && Ahead().text == "in") {
      Advance();
      Advance();
      *op = CompareOp::kNotIn;
      return true;
    }
    return false;
  }

  ExprPtr ParseCompare() {
    ExprPtr left = ParseSum();
    CompareOp op;
    if (!TakeCompareOp(&op)) return left;
    ExprPtr expr = New(ExprKind::kCompare);
    AddChild(expr.get(), std::move(left));
    do {
      expr->ops.push_back(op);
      AddChild(expr.get(), ParseSum());
    } while (TakeCompareOp(&op));
    return expr;
  }

  ExprPtr ParseSum() {
    ExprPtr left = ParseConcat();
    while (IsOp("+") || IsOp("-")) {
      const BinaryOp op = IsOp("+") ? BinaryOp::kAdd : BinaryOp::kSubtract;
      Advance();
      left = Binary(ExprKind::kBinary, std::move(left), ParseConcat());
      left->op = op;
    }
    return left;
  }

  ExprPtr ParseConcat() {
    ExprPtr left = ParseProduct();
    if (!IsOp("~")) return left;
    ExprPtr expr = New(ExprKind::kConcat);
    AddChild(expr.get(), std::move(left));
    while (TakeOp("~")) AddChild(expr.get(), ParseProduct());
    return expr;
  }

  ExprPtr ParseProduct() {
    static constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::kMultiply},
                                                                     {"/", BinaryOp::kDivide},
                                                                     {"//", BinaryOp::kFloorDivide},
                                                                     {"%", BinaryOp::kModulo}};
    ExprPtr left = ParsePower();
    while (true) {
      const auto* op = std::find_if(std::begin(kOps), std::end(kOps),
                                    [&](const auto& o) { return TakeOp(o.first); });
      if (op == std::end(kOps)) return left;
      left = Binary(ExprKind::kBinary, std::move(left), ParsePower());
      left->op = op->second;
    }
  }

  ExprPtr ParsePower() {
    ExprPtr left = ParseUnary(true);
    while (TakeOp("**")) {
      left = Binary(ExprKind::kBinary, std::move(left), ParseUnary(true));
      left->op = BinaryOp::kPower;
    }
    return left;
  }

  ExprPtr ParseUnary(bool with_filters) {
    Nesting nesting(this);
    ExprPtr expr;
    if (IsOp("-") || IsOp("+")) {
      expr = New(IsOp("-") ? ExprKind::kNegate : ExprKind::kPlus);
      Advance();
      AddChild(expr.get(), failed_ ? New(ExprKind::kConstant) : ParseUnary(false));
    } else {
      expr = ParsePrimary();
    }
    expr = ParsePostfix(std::move(expr));
    return with_filters ? ParseFiltersAndTests(std::move(expr)) : std::move(expr);
  }

  ExprPtr Constant(Value value) {
    ExprPtr expr = New(ExprKind::kConstant);
    expr->constant = std::move(value);
    return expr;
  }

  ExprPtr ParsePrimary() {
    Nesting nesting(this);
    const Token& token = Current();
    switch (token.type) {
      case TokenType::kName:
        return ParseNameOrConstant();
      case TokenType::kString: {
        std::string text;
        while (Current().type == TokenType::kString) {
          text += Current().text;
          Advance();
        }
        return Constant(Value::Literal(std::move(text)));
      }
      case TokenType::kInteger:
        Advance();
        return Constant(Value::Int(token.integer));
      case TokenType::kFloat:
        Advance();
        return Constant(Value::Float(token.real));
      case TokenType::kOperator: {
        if (TakeOp("(")) {
          ExprPtr expr = ParseTuple(true, true);
          ExpectOp(")");
          return expr;
        }
        if (TakeOp("[")) return ParseList();
        if (TakeOp("{")) return ParseDict();
        break;
      }
      default:
        break;
    }
    Unexpected("an expression");
    return New(ExprKind::kConstant);
  }

  ExprPtr ParseNameOrConstant() {
    const std::string name = Current().text;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      Advance();
      return Constant(Value::Bool(name == "true" || name == "True"));
    }
    if (name == "none" || name == "None") {
      Advance();
      return Constant(Value::None());
    }
    ExprPtr expr = New(ExprKind::kName);
    expr->name = Intern(name);
    Advance();
    // A macro takes these three hidden arguments if its body mentions them.
    for (MacroSyntax* macro : open_macros_) {
      macro->uses_caller |= name == "caller";
      macro->uses_kwargs |= name == "kwargs";
      macro->uses_varargs |= name == "varargs";
    }
    return expr;
  }

  bool AtTupleEnd() const {
    return Current().type == TokenType::kVariableEnd || Current().type == TokenType::kBlockEnd ||
           IsOp(")");
  }

  // One expression, or several with commas between them as a tuple.
  ExprPtr ParseTuple(bool with_conditional, bool in_parentheses, std::string_view end_name = {}) {
    std::vector<ExprPtr> items;
    bool is_tuple = false;
    while (!failed_) {
      if (!items.empty()) {
        if (!TakeOp(",")) break;
        is_tuple = true;
      }
      if (AtTupleEnd() || (!end_name.empty() && IsName(end_name))) break;
      items.push_back(ParseExpression(with_conditional));
    }
    if (!is_tuple && !items.empty()) return std::move(items[0]);
    if (!is_tuple && !in_parentheses) Unexpected("an expression");
    ExprPtr tuple = New(ExprKind::kTuple);
    for (ExprPtr& item : items) AddChild(tuple.get(), std::move(item));
    return tuple;
  }

  ExprPtr ParseList() {
    ExprPtr list = New(ExprKind::kList);
    while (!failed_ && !IsOp("]")) {
      if (!list->children.empty()) ExpectOp(",");
      if (IsOp("]")) break;
      AddChild(list.get(), ParseExpression());
    }
    ExpectOp("]");
    return list;
  }

  ExprPtr ParseDict() {
    ExprPtr dict = New(ExprKind::kDict);
    while (!failed_ && !IsOp("}")) {
      if (!dict->children.empty()) ExpectOp(",");
      if (IsOp("}")) break;
      AddChild(dict.get(), ParseExpression());
      ExpectOp(":");
      AddChild(dict.get(), ParseExpression());
    }
    ExpectOp("}");
    return dict;
  }

  ExprPtr ParsePostfix(ExprPtr expr) {
    while (!failed_) {
      if (TakeOp(".")) {
        expr = ParseAttribute(std::move(expr));
      } else if (TakeOp("[")) {
        expr = ParseSubscript(std::move(expr));
      } else if (IsOp("(")) {
        expr = ParseCall(std::move(expr));
      } else {
        break;
      }
    }
    return expr;
  }

  ExprPtr ParseAttribute(ExprPtr object) {
    if (Current().type == TokenType::kInteger) {
      ExprPtr index = Constant(Value::Int(Current().integer));
      Advance();
      return Binary(ExprKind::kItem, std::move(object), std::move(index));
    }
    ExprPtr expr = New(ExprKind::kAttribute);
    expr->text = TakeAnyName();
    AddChild(expr.get(), std::move(object));
    return expr;
  }

  ExprPtr ParseSubscript(ExprPtr object) {
    ExprPtr part = IsOp(":") ? nullptr : ParseExpression();
    ExprPtr expr;
    if (IsOp(":")) {
      expr = New(ExprKind::kSlice);
      AddChild(expr.get(), std::move(object));
      AddChild(expr.get(), std::move(part));
      for (int i = 0; i < 2; ++i) {
        const bool present = TakeOp(":") && !IsOp("]") && !IsOp(":");
        AddChild(expr.get(), present ? ParseExpression() : nullptr);
      }
    } else if (IsOp(",")) {
      ExprPtr tuple = New(ExprKind::kTuple);
      AddChild(tuple.get(), std::move(part));
      while (TakeOp(",")) AddChild(tuple.get(), ParseExpression());
      expr = Binary(ExprKind::kItem, std::move(object), std::move(tuple));
    } else {
      expr = Binary(ExprKind::kItem, std::move(object), std::move(part));
    }
    ExpectOp("]");
    return expr;
  }

  ExprPtr ParseCall(ExprPtr callee) {
    ExprPtr expr = New(ExprKind::kCall);
    AddChild(expr.get(), std::move(callee));
    ParseArguments(expr.get());
    return expr;
  }

  void ParseArguments(Expr* expr) {
    CallSyntax& call = expr->call;
    ExpectOp("(");
    bool first = true;
    while (!failed_ && !IsOp(")")) {
      if (!first) ExpectOp(",");
      first = false;
      if (IsOp(")")) break;
      if (TakeOp("**")) {
        if (call.double_star != nullptr) Fail("a call has two ** arguments");
        call.double_star = ParseExpression();
        Adopt(expr, call.double_star);
      } else if (TakeOp("*")) {
        if (call.star != nullptr || call.double_star != nullptr)
          Fail("a * argument is out of place");
        call.star = ParseExpression();
        Adopt(expr, call.star);
      } else if (Current().type == TokenType::kName && Ahead().type == TokenType::kOperator &&
                 Ahead().text == "=") {
        std::string name = TakeAnyName();
        Advance();
        if (call.double_star != nullptr) Fail("a named argument follows a ** argument");
        call.named.emplace_back(std::move(name), ParseExpression());
        Adopt(expr, call.named.back().second);
      } else {
        if (call.star != nullptr || call.double_star != nullptr || !call.named.empty()) {
          Fail("a positional argument follows a named one");
        }
        call.positional.push_back(ParseExpression());
        Adopt(expr, call.positional.back());
      }
    }
    ExpectOp(")");
  }

  ExprPtr ParseFiltersAndTests(ExprPtr expr) {
    while (!failed_) {
      if (IsOp("|")) {
        expr = ParseFilters(std::move(expr), false);
      } else if (IsName("is")) {
        Advance();
        expr = ParseTest(std::move(expr));
      } else if (IsOp("(")) {
        expr = ParseCall(std::move(expr));
      } else {
        break;
      }
    }
    return expr;
  }

  std::string DottedName() {
    std::string name = TakeAnyName();
    while (TakeOp(".")) name += "." + TakeAnyName();
    return name;
  }

  // `operand` may be null (in filter and set blocks). `inline_first`: the first filter's name comes
  // without its bar.
  ExprPtr ParseFilters(ExprPtr operand, bool inline_first) {
    while (!failed_ && (inline_first || TakeOp("|"))) {
      inline_first = false;
      ExprPtr expr = New(ExprKind::kFilter);
      expr->text = DottedName();
      AddChild(expr.get(), std::move(operand));
      if (IsOp("(")) ParseArguments(expr.get());
      operand = std::move(expr);
    }
    return operand;
  }

  ExprPtr ParseTest(ExprPtr operand) {
    Nesting nesting(this);
    const bool negated = TakeName("not");
    ExprPtr expr = New(ExprKind::kTest);
    expr->text = DottedName();
    AddChild(expr.get(), std::move(operand));
    if (IsOp("(")) {
      ParseArguments(expr.get());
    } else if (AtTestArgument()) {
      if (IsName("is")) Fail("tests cannot be chained with 'is'");
      expr->call.positional.push_back(failed_ ? New(ExprKind::kConstant)
                                              : ParsePostfix(ParsePrimary()));
      Adopt(expr.get(), expr->call.positional.back());
    }
    if (!negated) return expr;
    ExprPtr negation = New(ExprKind::kNot);
    AddChild(negation.get(), std::move(expr));
    return negation;
  }

  bool AtTestArgument() const {
    switch (Current().type) {
      case TokenType::kName:
        return !IsName("else") && !IsName("or") && !IsName("and");
      case TokenType::kString:
      case TokenType::kInteger:
      case TokenType::kFloat:
        return true;
      default:
        return IsOp("[") || IsOp("{");
    }
  }

  // --- statements
  // ---------------------------------------------------------------------------------------------------

  // Statements up to a block that starts with one of `ends`, whose name is consumed and told in
  // `ended_by`.
  Body ParseBody(std::initializer_list<std::string_view> ends, std::string* ended_by) {
    Body body;
    Nesting nesting(this);
    while (!failed_) {
      const Token& token = Current();
      if (token.type == TokenType::kEnd) {
        if (ends.size() != 0) Unexpected(fmt::format("'{}'", *ends.begin()));
        break;
      }
      if (token.type == TokenType::kData) {
        StmtPtr text = NewStmt(StmtKind::kText);
        text->text = token.text;
        Advance();
        body.push_back(std::move(text));
        continue;
      }
      if (token.type == TokenType::kVariableBegin) {
        Advance();
        StmtPtr output = NewStmt(StmtKind::kOutput);
        output->expr = ParseTuple(true, false);
        Expect(TokenType::kVariableEnd, "'}}'");
        body.push_back(std::move(output));
        continue;
      }
      Expect(TokenType::kBlockBegin, "text");
      for (const std::string_view end : ends) {
        if (IsName(end)) {
          *ended_by = std::string(end);
          Advance();
          return body;
        }
      }
      if (StmtPtr statement = ParseStatement()) body.push_back(std::move(statement));
      Expect(TokenType::kBlockEnd, "'%}'");
    }
    return body;
  }

  // The body of a block that has one end; consumes "%}" before and the end's name after.
  Body ParseBlockBody(std::string_view end) {
    Expect(TokenType::kBlockEnd, "'%}'");
    std::string ended_by;
    return ParseBody({end}, &ended_by);
  }

  StmtPtr NewStmt(StmtKind kind) const {
    auto statement = std::make_unique<Stmt>();
    statement->kind = kind;
    statement->line = Current().line;
    return statement;
  }

  StmtPtr ParseStatement() {
    static const std::unordered_map<std::string_view, StmtPtr (Parser::*)()> kStatements = {
        {"if", &Parser::ParseIf},
        {"for", &Parser::ParseFor},
        {"set", &Parser::ParseSet},
        {"macro", &Parser::ParseMacro},
        {"call", &Parser::ParseCallBlock},
        {"filter", &Parser::ParseFilterBlock},
        {"with", &Parser::ParseWith},
        {"generation", &Parser::ParseGeneration},
        {"block", &Parser::ParseBlock},
        {"autoescape", &Parser::ParseEscape},
        {"break", &Parser::ParseBreak},
        {"continue", &Parser::ParseBreak},
        {"print", &Parser::ParsePrint},
        {"include", &Parser::ParseUnsupported},
        {"import", &Parser::ParseUnsupported},
        {"from", &Parser::ParseUnsupported},
        {"extends", &Parser::ParseUnsupported}};
    if (Current().type != TokenType::kName) {
      Unexpected("the name of a block");
      return nullptr;
    }
    const auto found = kStatements.find(Current().text);
    if (found == kStatements.end()) {
      Fail(fmt::format("unknown block '{}'", Current().text));
      return nullptr;
    }
    statement_name_ = Current().text;
    Advance();
    return (this->*found->second)();
  }

  StmtPtr ParseIf() {
    StmtPtr statement = NewStmt(StmtKind::kIf);
    std::string ended_by = "elif";
    while (!failed_ && ended_by == "elif") {
      Branch branch;
      branch.condition = ParseTuple(false, false);
      Expect(TokenType::kBlockEnd, "'%}'");
      branch.body = ParseBody({"elif", "else", "endif"}, &ended_by);
      statement->branches.push_back(std::move(branch));
    }
    if (ended_by == "else") statement->else_body = ParseBlockBody("endif");
    return statement;
  }

  StmtPtr ParseFor() {
    StmtPtr statement = NewStmt(StmtKind::kFor);
    statement->target = ParseTargets("in");
    ExpectName("in");
    statement->expr = ParseTuple(false, false, "recursive");
    if (TakeName("if")) statement->condition = ParseExpression();
    statement->recursive = TakeName("recursive");
    Expect(TokenType::kBlockEnd, "'%}'");
    std::string ended_by;
    ++open_loops_;
    statement->body = ParseBody({"endfor", "else"}, &ended_by);
    --open_loops_;
    if (ended_by == "else") statement->else_body = ParseBlockBody("endfor");
    return statement;
  }

  StmtPtr ParseBreak() {
    if (open_loops_ == 0) Fail(fmt::format("'{}' outside of a loop", statement_name_));
    return NewStmt(statement_name_ == "break" ? StmtKind::kBreak : StmtKind::kContinue);
  }

  Target ParseTarget() {
    Nesting nesting(this);
    Target target;
    if (failed_) return target;
    if (TakeOp("(")) {
      target = ParseTargets("");
      ExpectOp(")");
      return target;
    }
    if (Current().type == TokenType::kName && IsReserved(Current().text)) {
      Fail(fmt::format("cannot assign to '{}'", Current().text));
    }
    target.name = Intern(TakeAnyName());
    return target;
  }

  // One target, or several with commas between them as a tuple.
  Target ParseTargets(std::string_view end_name) {
    Target first = ParseTarget();
    if (!IsOp(",")) return first;
    Target tuple;
    tuple.elements.push_back(std::move(first));
    while (TakeOp(",")) {
      if (AtTupleEnd() || IsOp("=") || (!end_name.empty() && IsName(end_name))) break;
      tuple.elements.push_back(ParseTarget());
    }
    return tuple;
  }

  StmtPtr ParseSet() {
    StmtPtr statement = NewStmt(StmtKind::kSet);
    if (Ahead().type == TokenType::kOperator && Ahead().text == "." &&
        Current().type == TokenType::kName) {
      statement->target.name = Intern(TakeAnyName());
      Advance();
      statement->target.attribute = TakeAnyName();
    } else {
      statement->target = ParseTargets("");
    }
    if (TakeOp("=")) {
      statement->expr = ParseTuple(true, false);
      return statement;
    }
    statement->kind = StmtKind::kSetBlock;
    statement->expr = ParseFilters(nullptr, false);
    LoopBarrier barrier(this);
    statement->body = ParseBlockBody("endset");
    return statement;
  }

  // Python compiles macro and caller bodies to functions, where the loop around them cannot be
  // left.
  struct LoopBarrier {
    explicit LoopBarrier(Parser* parser) : parser(parser), saved(parser->open_loops_) {}
    ~LoopBarrier() { parser->open_loops_ = saved; }
    Parser* parser;
    int saved;
  };

  void ParseParameters(MacroSyntax* macro) {
    ExpectOp("(");
    while (!failed_ && !IsOp(")")) {
      if (!macro->parameters.empty()) ExpectOp(",");
      Parameter parameter;
      parameter.text = TakeAnyName();
      if (IsReserved(parameter.text)) Fail(fmt::format("cannot assign to '{}'", parameter.text));
      parameter.name = Intern(parameter.text);
      if (TakeOp("=")) {
        parameter.default_value = ParseExpression();
      } else if (!macro->parameters.empty() && macro->parameters.back().default_value != nullptr) {
        Fail("a parameter without default follows one with default");
      }
      macro->parameters.push_back(std::move(parameter));
    }
    ExpectOp(")");
  }

  void ParseMacroBody(MacroSyntax* macro, std::string_view end) {
    LoopBarrier barrier(this);
    open_loops_ = 0;
    macro->caller_name = Intern("caller");
    macro->kwargs_name = Intern("kwargs");
    macro->varargs_name = Intern("varargs");
    open_macros_.push_back(macro);
    macro->body = ParseBlockBody(end);
    open_macros_.pop_back();
  }

  StmtPtr ParseMacro() {
    StmtPtr statement = NewStmt(StmtKind::kMacro);
    statement->macro.name = TakeAnyName();
    if (IsReserved(statement->macro.name))
      Fail(fmt::format("cannot assign to '{}'", statement->macro.name));
    statement->target.name = Intern(statement->macro.name);
    ParseParameters(&statement->macro);
    ParseMacroBody(&statement->macro, "endmacro");
    return statement;
  }

  StmtPtr ParseCallBlock() {
    StmtPtr statement = NewStmt(StmtKind::kCallBlock);
    statement->macro.name = "caller";
    if (IsOp("(")) ParseParameters(&statement->macro);
    statement->expr = ParseExpression();
    if (statement->expr->kind != ExprKind::kCall) Fail("a call block needs a call");
    ParseMacroBody(&statement->macro, "endcall");
    return statement;
  }

  StmtPtr ParseFilterBlock() {
    StmtPtr statement = NewStmt(StmtKind::kFilterBlock);
    statement->expr = ParseFilters(nullptr, true);
    statement->body = ParseBlockBody("endfilter");
    return statement;
  }

  StmtPtr ParseWith() {
    StmtPtr statement = NewStmt(StmtKind::kWith);
    while (!failed_ && Current().type != TokenType::kBlockEnd) {
      if (!statement->assignments.empty()) ExpectOp(",");
      Target target = ParseTarget();
      ExpectOp("=");
      statement->assignments.emplace_back(std::move(target), ParseExpression());
    }
    statement->body = ParseBlockBody("endwith");
    return statement;
  }

  StmtPtr ParseGeneration() {
    StmtPtr statement = NewStmt(StmtKind::kScope);
    LoopBarrier barrier(this);
    open_loops_ = 0;
    statement->body = ParseBlockBody("endgeneration");
    return statement;
  }

  StmtPtr ParseBlock() {
    StmtPtr statement = NewStmt(StmtKind::kScope);
    const std::string name = TakeAnyName();
    TakeName("scoped");
    TakeName("required");
    LoopBarrier barrier(this);
    open_loops_ = 0;
    statement->body = ParseBlockBody("endblock");
    if (Current().type == TokenType::kName && !TakeName(name))
      Unexpected(fmt::format("'{}'", name));
    return statement;
  }

  StmtPtr ParseEscape() {
    StmtPtr statement = NewStmt(StmtKind::kEscape);
    statement->expr = ParseExpression();
    statement->body = ParseBlockBody("endautoescape");
    return statement;
  }

  StmtPtr ParsePrint() {
    StmtPtr statement = NewStmt(StmtKind::kOutput);
    statement->expr = ParseTuple(true, false);
    return statement;
  }

  StmtPtr ParseUnsupported() {
    StmtPtr statement = NewStmt(StmtKind::kUnsupported);
    statement->text = statement_name_;
    while (!failed_ && Current().type != TokenType::kBlockEnd && Current().type != TokenType::kEnd)
      Advance();
    return statement;
  }

  // --- names of filters and tests
  // -----------------------------------------------------------------------------------

  // An unknown filter or test fails the template at once, except inside an `if` or a conditional
  // expression, where templates probe for what their host offers.
  void CheckNames(const Body& body, bool tolerant) {
    for (const StmtPtr& statement : body) {
      const bool is_if = statement->kind == StmtKind::kIf;
      CheckNames(statement->expr.get(), tolerant);
      CheckNames(statement->condition.get(), false);
      for (const auto& [target, expr] : statement->assignments) CheckNames(expr.get(), tolerant);
      for (const Branch& branch : statement->branches) {
        CheckNames(branch.condition.get(), true);
        CheckNames(branch.body, true);
      }
      for (const Parameter& parameter : statement->macro.parameters)
        CheckNames(parameter.default_value.get(), false);
      CheckNames(statement->macro.body, false);
      CheckNames(statement->body, false);
      CheckNames(statement->else_body, is_if);
    }
  }

  void CheckNames(const Expr* expr, bool tolerant) {
    if (expr == nullptr || failed_) return;
    tolerant |= expr->kind == ExprKind::kConditional;
    const bool is_filter = expr->kind == ExprKind::kFilter;
    if (!tolerant && (is_filter || expr->kind == ExprKind::kTest) &&
        !(is_filter ? IsFilterName(expr->text) : IsTestName(expr->text))) {
      error_ = Error{ErrorCode::kInvalidArgument,
                     fmt::format("line {}: no {} named '{}'", expr->line,
                                 is_filter ? "filter" : "test", expr->text)};
      failed_ = true;
      return;
    }
    for (const ExprPtr& child : expr->children) CheckNames(child.get(), tolerant);
    for (const ExprPtr& argument : expr->call.positional) CheckNames(argument.get(), tolerant);
    for (const auto& [name, argument] : expr->call.named) CheckNames(argument.get(), tolerant);
    CheckNames(expr->call.star.get(), tolerant);
    CheckNames(expr->call.double_star.get(), tolerant);
  }

  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int nesting_ = 0;
  int open_loops_ = 0;
  bool failed_ = false;
  Error error_;
  std::string statement_name_;
  std::vector<MacroSyntax*> open_macros_;
  std::unordered_map<std::string, int> name_ids_;
  std::unique_ptr<Program> program_;
};

}  // namespace

Result<std::unique_ptr<const Program>> Parse(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return MakeError(ErrorCode::kResourceExhausted, "the template has {} bytes, the limit is {}",
                     source.size(), kMaxTemplateBytes);
  }
  PUNA_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace puna::chat::jinja
