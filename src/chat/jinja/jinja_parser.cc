// Statements. A block's name is looked up in one table; each function reads the block with its body
// and its end. Break and continue are only known inside loops, and not through macros, as Python
// compiles those to functions.
#include "chat/jinja/jinja_parser.h"

#include <algorithm>
#include <unordered_map>

#include "chat/jinja/jinja_expression_parser.h"
#include "chat/jinja/jinja_lexer.h"
#include "chat/jinja/jinja_names.h"

namespace puna::chat::jinja {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{4} << 20;

bool IsReserved(std::string_view name) {
  return name == "true" || name == "false" || name == "none" || name == "True" || name == "False" ||
         name == "None";
}

class Parser : private ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {
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

  // Before a body there may be a colon, as in Python.
  void ExpectBody() {
    TakeOp(":");
    Expect(TokenType::kBlockEnd, "'%}'");
  }

  // The body of a block that has one end; consumes "%}" before and the end's name after.
  Body ParseBlockBody(std::string_view end) {
    ExpectBody();
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
      ExpectBody();
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
    ExpectBody();
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
    statement->macro.name.clear();  // as in Python, where only its variable is called caller
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

  int open_loops_ = 0;
  std::string statement_name_;
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
