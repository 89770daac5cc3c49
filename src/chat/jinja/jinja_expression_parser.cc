// Recursive descent, one function per level of precedence, in Jinja's own order (which is not
// Python's: unary minus binds tighter than **, and | binds tighter than unary minus only on the
// outside). Each node knows the depth of its tree; the limit on it protects every later recursive
// walk, also for left-leaning chains that the parser builds in a loop.
#include "chat/jinja/jinja_expression_parser.h"

namespace puna::chat::jinja {

ExprPtr ExpressionParser::ParseExpression(bool with_conditional) {
  Nesting nesting(this);
  if (failed_) return New(ExprKind::kConstant);
  return with_conditional ? ParseConditional() : ParseOr();
}

ExprPtr ExpressionParser::ParseConditional() {
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

ExprPtr ExpressionParser::Binary(ExprKind kind, ExprPtr left, ExprPtr right) {
  ExprPtr expr = New(kind);
  AddChild(expr.get(), std::move(left));
  AddChild(expr.get(), std::move(right));
  return expr;
}

ExprPtr ExpressionParser::ParseOr() {
  ExprPtr left = ParseAnd();
  while (TakeName("or")) left = Binary(ExprKind::kOr, std::move(left), ParseAnd());
  return left;
}

ExprPtr ExpressionParser::ParseAnd() {
  ExprPtr left = ParseNot();
  while (TakeName("and")) left = Binary(ExprKind::kAnd, std::move(left), ParseNot());
  return left;
}

ExprPtr ExpressionParser::ParseNot() {
  if (!IsName("not")) return ParseCompare();
  Nesting nesting(this);
  Advance();
  ExprPtr expr = New(ExprKind::kNot);
  AddChild(expr.get(), ParseNot());
  return expr;
}

bool ExpressionParser::TakeCompareOp(CompareOp* op) {
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

ExprPtr ExpressionParser::ParseCompare() {
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

ExprPtr ExpressionParser::ParseSum() {
  ExprPtr left = ParseConcat();
  while (IsOp("+") || IsOp("-")) {
    const BinaryOp op = IsOp("+") ? BinaryOp::kAdd : BinaryOp::kSubtract;
    Advance();
    left = Binary(ExprKind::kBinary, std::move(left), ParseConcat());
    left->op = op;
  }
  return left;
}

ExprPtr ExpressionParser::ParseConcat() {
  ExprPtr left = ParseProduct();
  if (!IsOp("~")) return left;
  ExprPtr expr = New(ExprKind::kConcat);
  AddChild(expr.get(), std::move(left));
  while (TakeOp("~")) AddChild(expr.get(), ParseProduct());
  return expr;
}

ExprPtr ExpressionParser::ParseProduct() {
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

ExprPtr ExpressionParser::ParsePower() {
  ExprPtr left = ParseUnary(true);
  while (TakeOp("**")) {
    left = Binary(ExprKind::kBinary, std::move(left), ParseUnary(true));
    left->op = BinaryOp::kPower;
  }
  return left;
}

ExprPtr ExpressionParser::ParseUnary(bool with_filters) {
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

ExprPtr ExpressionParser::Constant(Value value) {
  ExprPtr expr = New(ExprKind::kConstant);
  expr->constant = std::move(value);
  return expr;
}

ExprPtr ExpressionParser::ParsePrimary() {
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

ExprPtr ExpressionParser::ParseNameOrConstant() {
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

bool ExpressionParser::AtTupleEnd() const {
  return Current().type == TokenType::kVariableEnd || Current().type == TokenType::kBlockEnd ||
         IsOp(")");
}

// One expression, or several with commas between them as a tuple.
ExprPtr ExpressionParser::ParseTuple(bool with_conditional, bool in_parentheses,
                                     std::string_view end_name) {
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

ExprPtr ExpressionParser::ParseList() {
  ExprPtr list = New(ExprKind::kList);
  while (!failed_ && !IsOp("]")) {
    if (!list->children.empty()) ExpectOp(",");
    if (IsOp("]")) break;
    AddChild(list.get(), ParseExpression());
  }
  ExpectOp("]");
  return list;
}

ExprPtr ExpressionParser::ParseDict() {
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

ExprPtr ExpressionParser::ParsePostfix(ExprPtr expr) {
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

ExprPtr ExpressionParser::ParseAttribute(ExprPtr object) {
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

ExprPtr ExpressionParser::ParseSubscript(ExprPtr object) {
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

ExprPtr ExpressionParser::ParseCall(ExprPtr callee) {
  ExprPtr expr = New(ExprKind::kCall);
  AddChild(expr.get(), std::move(callee));
  ParseArguments(expr.get());
  return expr;
}

void ExpressionParser::ParseArguments(Expr* expr) {
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
      if (call.star != nullptr || call.double_star != nullptr) Fail("a * argument is out of place");
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

ExprPtr ExpressionParser::ParseFiltersAndTests(ExprPtr expr) {
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

std::string ExpressionParser::DottedName() {
  std::string name = TakeAnyName();
  while (TakeOp(".")) name += "." + TakeAnyName();
  return name;
}

// `operand` may be null (in filter and set blocks). `inline_first`: the first filter's name comes
// without its bar.
ExprPtr ExpressionParser::ParseFilters(ExprPtr operand, bool inline_first) {
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

ExprPtr ExpressionParser::ParseTest(ExprPtr operand) {
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

bool ExpressionParser::AtTestArgument() const {
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

}  // namespace puna::chat::jinja
