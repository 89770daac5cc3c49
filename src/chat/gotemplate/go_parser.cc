// Lexer and parser in one: the lexer cuts the text into plain text and the tokens of one action at
// a time, so that trim markers and comments are handled where they stand. Variables are checked
// while parsing, as Go does: using one that is not declared in the surrounding scope is an error of
// the template, not of a rendering.
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/utf8.h"
#include "chat/gotemplate/go_ast.h"

namespace puna::chat::gotemplate {
namespace {

constexpr int kMaxDepth = 200;
constexpr size_t kMaxTemplateBytes = size_t{4} << 20;
constexpr std::string_view kSpaces = " \t\r\n";

enum class TokenKind : uint8_t { kWord, kField, kVariable, kConstant, kSpace, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kSymbol;
  std::string text;  // word, field without its dot, variable with its $, symbol
  GoValue constant;
};

bool IsSpace(char c) { return kSpaces.find(c) != std::string_view::npos; }
bool IsWordByte(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Piece by piece: text, then action, then text, ...
class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  // Counted onwards from the last place that was asked for.
  int line() const {
    for (; counted_ < at_ && counted_ < source_.size(); ++counted_)
      line_ += source_[counted_] == '\n' ? 1 : 0;
    return line_;
  }

  // The text up to the next action, trimmed where the actions around it say so. False at the end of
  // the template.
  bool Text(std::string* text) {
    text->clear();
    while (true) {
      const size_t open = source_.find("{{", at_);
      std::string_view piece =
          source_.substr(at_, open == std::string_view::npos ? open : open - at_);
      if (trim_next_) piece.remove_prefix(std::min(piece.find_first_not_of(kSpaces), piece.size()));
      trim_next_ = false;
      if (open == std::string_view::npos) {
        at_ = source_.size();
        text->append(piece);
        return false;
      }
      at_ = open + 2;
      if (at_ + 1 < source_.size() && source_[at_] == '-' && IsSpace(source_[at_ + 1])) {
        const size_t last = piece.find_last_not_of(kSpaces);
        piece = piece.substr(0, last == std::string_view::npos ? 0 : last + 1);
        at_ += 2;
      }
      text->append(piece);
      const size_t comment = source_.substr(at_, 2) == "/*" ? at_ : std::string_view::npos;
      if (comment == std::string_view::npos) return true;
      if (!text->empty()) {  // text after a comment is a text of its own, whose trimming must not
                             // reach back
        pending_comment_ = true;
        return true;
      }
      if (!SkipComment()) return true;
    }
  }

  // After Text() returned true: whether what was opened is a comment, which is skipped.
  bool TakeComment() {
    if (!pending_comment_) return false;
    pending_comment_ = false;
    return SkipComment();
  }

  Status Action(std::vector<Token>* tokens) {
    tokens->clear();
    int open = 0;
    while (true) {
      const std::string_view rest = source_.substr(at_);
      if (rest.empty()) return Fail("an action is not closed");
      if (IsSpace(rest[0])) {
        const size_t end = std::min(rest.find_first_not_of(kSpaces), rest.size());
        if (rest.substr(end, 3) == "-}}") {
          at_ += end + 3;
          trim_next_ = true;
          break;
        }
        at_ += end;
        tokens->push_back({TokenKind::kSpace, " ", {}});
        continue;
      }
      if (rest.starts_with("}}")) {
        at_ += 2;
        break;
      }
      open += rest[0] == '(' ? 1 : rest[0] == ')' ? -1 : 0;
      if (open < 0) return Fail("unexpected right parenthesis");
      Token token;
      PUNA_RETURN_IF_ERROR(One(rest, &token));
      tokens->push_back(std::move(token));
    }
    if (open > 0) return Fail("unclosed left parenthesis");
    return {};
  }

  tl::unexpected<Error> Fail(std::string_view what) const {
    return MakeError(ErrorCode::kInvalidArgument, "line {}: {}", line(), what);
  }

 private:
  bool SkipComment() {
    const size_t end = source_.find("*/", at_ + 2);
    if (end == std::string_view::npos) return false;
    size_t after = end + 2;
    if (after < source_.size() && IsSpace(source_[after]) &&
        source_.substr(after + 1, 3) == "-}}") {
      trim_next_ = true;
      after += 2;
    }
    if (source_.substr(after, 2) != "}}") return false;
    at_ = after + 2;
    return true;
  }

  Status One(std::string_view rest, Token* token) {
    const char c = rest[0];
    if (c == '"') return Quoted(rest, token);
    if (c == '`') {
      const size_t end = rest.find('`', 1);
      if (end == std::string_view::npos) return Fail("unterminated raw quoted string");
      *token = {TokenKind::kConstant, "", GoValue::String(std::string(rest.substr(1, end - 1)))};
      at_ += end + 1;
      return {};
    }
    if (c == '\'') return Character(rest, token);
    const bool sign = (c == '+' || c == '-') && rest.size() > 1;
    const char digit = sign ? rest[1] : c;
    const bool dot_number =
        c == '.' && rest.size() > 1 && std::isdigit(static_cast<unsigned char>(rest[1])) != 0;
    if (std::isdigit(static_cast<unsigned char>(digit)) != 0 || dot_number)
      return Number(rest, token);
    if (c == '.' || c == '$' || IsWordByte(c)) {
      size_t end = c == '.' || c == '$' ? 1 : 0;
      while (end < rest.size() && IsWordByte(rest[end])) ++end;
      const std::string text(rest.substr(0, end));
      at_ += end;
      if (c == '.') {
        *token = {TokenKind::kField, text.substr(1), {}};
      } else {
        *token = {c == '$' ? TokenKind::kVariable : TokenKind::kWord, text, {}};
      }
      return {};
    }
    const size_t length = rest.starts_with(":=") ? 2 : 1;
    if (length == 1 && std::string_view("=|(),").find(c) == std::string_view::npos) {
      return Fail(fmt::format("unexpected character '{}' in an action",
                              ReplaceInvalidUtf8(rest.substr(0, DecodeUtf8(rest).length_bytes))));
    }
    *token = {TokenKind::kSymbol, std::string(rest.substr(0, length)), {}};
    at_ += length;
    return {};
  }

  // An escape whose letter is at `at`; returns the position behind it, npos if it is malformed.
  static size_t Escape(std::string_view text, size_t at, std::string* out) {
    static constexpr std::string_view kLetters = "abfnrtv\\'\"";
    static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    if (at >= text.size()) return std::string_view::npos;
    if (const size_t i = kLetters.find(text[at]); i != std::string_view::npos) {
      *out += kMeanings[i];
      return at + 1;
    }
    const bool octal = text[at] >= '0' && text[at] <= '7';
    const size_t digits = octal             ? 3
                          : text[at] == 'x' ? 2
                          : text[at] == 'u' ? 4
                          : text[at] == 'U' ? 8
                                            : 0;
    const size_t begin = octal ? at : at + 1;
    uint32_t code = 0;
    if (digits == 0 || begin + digits > text.size()) return std::string_view::npos;
    const auto [end, error] =
        std::from_chars(text.data() + begin, text.data() + begin + digits, code, octal ? 8 : 16);
    if (error != std::errc() || end != text.data() + begin + digits || code > 0x10FFFF)
      return std::string_view::npos;
    if (digits <= 3) {
      *out += static_cast<char>(code);
    } else {
      AppendUtf8(code >= 0xD800 && code < 0xE000 ? char32_t{0xFFFD} : code, out);
    }
    return begin + digits;
  }

  Status Quoted(std::string_view rest, Token* token) {
    std::string text;
    size_t at = 1;
    while (at < rest.size() && rest[at] != '"') {
      if (rest[at] == '\n') return Fail("unterminated quoted string");
      if (rest[at] != '\\') {
        text += rest[at++];
        continue;
      }
      at = Escape(rest, at + 1, &text);
      if (at == std::string_view::npos) return Fail("a quoted string has an invalid escape");
    }
    if (at >= rest.size()) return Fail("unterminated quoted string");
    at_ += at + 1;
    *token = {TokenKind::kConstant, "", GoValue::String(std::move(text))};
    return {};
  }

  Status Character(std::string_view rest, Token* token) {
    std::string text;
    size_t at = 1;
    if (rest.size() > 2 && rest[1] == '\\') {
      at = Escape(rest, 2, &text);
    } else if (rest.size() > 2) {
      text = std::string(rest.substr(1, DecodeUtf8(rest.substr(1)).length_bytes));
      at = 1 + text.size();
    }
    if (at == std::string_view::npos || at >= rest.size() || rest[at] != '\'' || text.empty()) {
      return Fail("malformed character constant");
    }
    at_ += at + 1;
    *token = {TokenKind::kConstant, "",
              GoValue::Int(static_cast<int64_t>(DecodeUtf8(text).codepoint))};
    return {};
  }

  Status Number(std::string_view rest, Token* token) {
    size_t end = rest[0] == '+' || rest[0] == '-' ? 1 : 0;
    while (end < rest.size() &&
           (IsWordByte(rest[end]) || rest[end] == '.' ||
            ((rest[end] == '+' || rest[end] == '-') && (rest[end - 1] | 0x20) == 'e'))) {
      ++end;
    }
    std::string text(rest.substr(0, end));
    at_ += end;
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    char* stop = nullptr;
    errno = 0;
    const int64_t integer = std::strtoll(text.c_str(), &stop, 0);
    if (*stop == '\0' && errno == 0) {
      *token = {TokenKind::kConstant, text, GoValue::Int(integer)};
      return {};
    }
    const double real = std::strtod(text.c_str(), &stop);
    if (*stop != '\0') return Fail(fmt::format("bad number syntax: '{}'", text));
    *token = {TokenKind::kConstant, text, GoValue::Float(real)};
    return {};
  }

  std::string_view source_;
  size_t at_ = 0;
  bool trim_next_ = false;
  bool pending_comment_ = false;
  mutable size_t counted_ = 0;
  mutable int line_ = 1;
};

class Parser {
 public:
  explicit Parser(std::string_view source) : lexer_(source) {}

  Result<Tree> Run() {
    End end;
    PUNA_ASSIGN_OR_RETURN(tree_.root, ParseList(&end));
    if (end.word != "") return Fail(fmt::format("unexpected {{{{{}}}}}", end.word));
    return std::move(tree_);
  }

 private:
  // What ended a list: "" (the end of the text), "end" or "else", whose tokens are still to be read
  // for "else if".
  struct End {
    std::string word;
  };

  tl::unexpected<Error> Fail(std::string_view what) const { return lexer_.Fail(what); }

  Result<List> ParseList(End* end) {
    List list;
    if (++depth_ > kMaxDepth) return Fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    while (true) {
      std::string text;
      const bool has_action = lexer_.Text(&text);
      if (!text.empty()) {
        auto node = NewNode(NodeKind::kText);
        node->text = std::move(text);
        list.push_back(std::move(node));
      }
      if (!has_action) break;
      if (lexer_.TakeComment()) continue;
      PUNA_RETURN_IF_ERROR(lexer_.Action(&tokens_));
      at_ = 0;
      SkipSpace();
      const std::string word = Word();
      if (word == "end" || word == "else") {
        end->word = word;
        ++at_;
        --depth_;
        return list;
      }
      PUNA_ASSIGN_OR_RETURN(NodePtr node, ParseAction(word));
      if (node != nullptr) list.push_back(std::move(node));
    }
    end->word = "";
    --depth_;
    return list;
  }

  std::shared_ptr<Node> NewNode(NodeKind kind) const {
    auto node = std::make_shared<Node>();
    node->kind = kind;
    return node;
  }

  // --- tokens of the current action ---

  bool AtEnd() const { return at_ >= tokens_.size(); }
  void SkipSpace() {
    while (!AtEnd() && tokens_[at_].kind == TokenKind::kSpace) ++at_;
  }
  std::string Word() const {
    return !AtEnd() && tokens_[at_].kind == TokenKind::kWord ? tokens_[at_].text : std::string();
  }
  bool IsSymbol(std::string_view text) const {
    return !AtEnd() && tokens_[at_].kind == TokenKind::kSymbol && tokens_[at_].text == text;
  }
  Status ExpectEnd(std::string_view where) {
    SkipSpace();
    if (AtEnd()) return {};
    return Fail(fmt::format("unexpected '{}' in {}", tokens_[at_].text, where));
  }

  Result<NodePtr> ParseAction(const std::string& word) {
    if (word == "if") return ParseControl(NodeKind::kIf);
    if (word == "range") return ParseControl(NodeKind::kRange);
    if (word == "with") return ParseControl(NodeKind::kWith);
    if (word == "define") return ParseDefine();
    if (word == "template" || word == "block") return ParseTemplateCall(word == "block");
    if (word == "break" || word == "continue") {
      ++at_;
      PUNA_RETURN_IF_ERROR(ExpectEnd(word));
      if (open_ranges_ == 0) return Fail(fmt::format("{{{{{}}}}} outside {{{{range}}}}", word));
      return NodePtr(NewNode(word == "break" ? NodeKind::kBreak : NodeKind::kContinue));
    }
    auto node = NewNode(NodeKind::kAction);
    node->line = lexer_.line();
    PUNA_ASSIGN_OR_RETURN(node->pipe, ParsePipe(false));
    PUNA_RETURN_IF_ERROR(ExpectEnd("an action"));
    return NodePtr(std::move(node));
  }

  Result<NodePtr> ParseControl(NodeKind kind) {
    if (++depth_ > kMaxDepth) return Fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    auto node = NewNode(kind);
    node->line = lexer_.line();
    ++at_;  // the keyword
    const size_t scope = variables_.size();
    PUNA_ASSIGN_OR_RETURN(node->pipe, ParsePipe(kind == NodeKind::kRange));
    PUNA_RETURN_IF_ERROR(ExpectEnd("a condition"));
    End end;
    open_ranges_ += kind == NodeKind::kRange ? 1 : 0;
    PUNA_ASSIGN_OR_RETURN(node->list, ParseList(&end));
    open_ranges_ -= kind == NodeKind::kRange ? 1 : 0;
    if (end.word == "else") {
      node->has_else = true;
      SkipSpace();
      const std::string word = Word();
      // "else if" is an `if` alone in the else list, and shares the one {{end}}.
      if ((word == "if" && kind == NodeKind::kIf) || (word == "with" && kind == NodeKind::kWith)) {
        PUNA_ASSIGN_OR_RETURN(NodePtr chained, ParseControl(kind));
        node->else_list.push_back(std::move(chained));
        end.word = "end";
      } else {
        PUNA_RETURN_IF_ERROR(ExpectEnd("else"));
        PUNA_ASSIGN_OR_RETURN(node->else_list, ParseList(&end));
        if (end.word == "end") PUNA_RETURN_IF_ERROR(ExpectEnd("end"));
      }
    } else if (end.word == "end") {
      PUNA_RETURN_IF_ERROR(ExpectEnd("end"));
    }
    if (end.word != "end")
      return Fail(end.word.empty() ? "unexpected end of the template, expected {{end}}"
                                   : "a second {{else}}");
    variables_.resize(scope);
    --depth_;
    return NodePtr(std::move(node));
  }

  Result<std::string> TemplateName() {
    SkipSpace();
    if (AtEnd() || tokens_[at_].kind != TokenKind::kConstant ||
        !tokens_[at_].constant.is_string()) {
      return Fail("expected the quoted name of a template");
    }
    return tokens_[at_++].constant.text();
  }

  Result<NodePtr> ParseDefine() {
    ++at_;
    PUNA_ASSIGN_OR_RETURN(const std::string name, TemplateName());
    PUNA_RETURN_IF_ERROR(ExpectEnd("define"));
    PUNA_RETURN_IF_ERROR(ParseDefinition(name));
    return NodePtr();
  }

  // The body of a define or block: its own scope, in which only $ is known.
  Status ParseDefinition(const std::string& name) {
    std::vector<std::string> saved = {"$"};
    std::swap(saved, variables_);
    const int saved_ranges = std::exchange(open_ranges_, 0);
    End end;
    auto list = ParseList(&end);
    if (!list) return tl::unexpected<Error>(list.error());
    if (end.word != "end") return Fail("a definition is not closed by {{end}}");
    PUNA_RETURN_IF_ERROR(ExpectEnd("end"));
    std::swap(saved, variables_);
    open_ranges_ = saved_ranges;
    tree_.defined[name] = *std::move(list);
    return {};
  }

  Result<NodePtr> ParseTemplateCall(bool is_block) {
    ++at_;
    auto node = NewNode(NodeKind::kTemplate);
    node->line = lexer_.line();
    PUNA_ASSIGN_OR_RETURN(node->text, TemplateName());
    SkipSpace();
    if (!AtEnd()) {
      PUNA_ASSIGN_OR_RETURN(node->pipe, ParsePipe(false));
    }
    PUNA_RETURN_IF_ERROR(ExpectEnd("a template call"));
    if (is_block) PUNA_RETURN_IF_ERROR(ParseDefinition(node->text));
    return NodePtr(std::move(node));
  }

  // --- pipelines ---

  // "$a := ", "$a, $b := " (in range) or "$a = " at the front of a pipeline. Returns how many
  // tokens it takes; 0 if there is none.
  size_t DeclarationEnd(bool in_range, Pipe* pipe) {
    size_t at = at_;
    const auto skip = [&] {
      while (at < tokens_.size() && tokens_[at].kind == TokenKind::kSpace) ++at;
    };
    std::vector<std::string> names;
    while (at < tokens_.size() && tokens_[at].kind == TokenKind::kVariable) {
      names.push_back(tokens_[at++].text);
      skip();
      if (at >= tokens_.size() || tokens_[at].kind != TokenKind::kSymbol) return 0;
      const std::string& symbol = tokens_[at].text;
      if (symbol == ":=" || symbol == "=") {
        pipe->variables = std::move(names);
        pipe->assigns = symbol == "=";
        return at + 1 - at_;
      }
      if (symbol != "," || !in_range || names.size() == 2) return 0;
      ++at;
      skip();
    }
    return 0;
  }

  Result<PipePtr> ParsePipe(bool in_range) {
    if (++depth_ > kMaxDepth) return Fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    auto pipe = std::make_shared<Pipe>();
    SkipSpace();
    at_ += DeclarationEnd(in_range, pipe.get());
    for (const std::string& name : pipe->variables) {
      if (!pipe->assigns) continue;
      if (std::find(variables_.begin(), variables_.end(), name) == variables_.end()) {
        return Fail(fmt::format("undefined variable '{}'", name));
      }
    }
    while (true) {
      PUNA_ASSIGN_OR_RETURN(Command command, ParseCommand());
      pipe->commands.push_back(std::move(command));
      if (!IsSymbol("|")) break;
      ++at_;
    }
    for (size_t i = 1; i < pipe->commands.size(); ++i) {
      const Operand& first = pipe->commands[i].operands[0];
      if (first.kind == OperandKind::kConstant || first.kind == OperandKind::kNil ||
          first.kind == OperandKind::kDot) {
        return Fail("a value that is no function cannot stand behind '|'");
      }
    }
    if (!pipe->assigns)
      variables_.insert(variables_.end(), pipe->variables.begin(), pipe->variables.end());
    --depth_;
    return PipePtr(std::move(pipe));
  }

  Result<Command> ParseCommand() {
    Command command;
    SkipSpace();
    while (!AtEnd() && !IsSymbol("|") && !IsSymbol(")")) {
      PUNA_ASSIGN_OR_RETURN(Operand operand, ParseOperand());
      command.operands.push_back(std::move(operand));
      const bool separated =
          AtEnd() || tokens_[at_].kind == TokenKind::kSpace || IsSymbol("|") || IsSymbol(")");
      if (!separated)
        return Fail(fmt::format("unexpected '{}' behind an operand", tokens_[at_].text));
      SkipSpace();
    }
    if (command.operands.empty()) return Fail("a command is missing");
    return command;
  }

  Result<Operand> ParseOperand() {
    Operand operand;
    const Token token = tokens_[at_++];
    switch (token.kind) {
      case TokenKind::kConstant:
        operand.kind = OperandKind::kConstant;
        operand.constant = token.constant;
        break;
      case TokenKind::kField:
        if (!token.text.empty()) {
          operand.kind = OperandKind::kField;
          operand.fields.push_back(token.text);
        }
        break;
      case TokenKind::kVariable:
        operand.kind = OperandKind::kVariable;
        operand.name = token.text;
        if (std::find(variables_.begin(), variables_.end(), token.text) == variables_.end()) {
          return Fail(fmt::format("undefined variable '{}'", token.text));
        }
        break;
      case TokenKind::kWord:
        if (token.text == "true" || token.text == "false") {
          operand.kind = OperandKind::kConstant;
          operand.constant = GoValue::Bool(token.text == "true");
        } else if (token.text == "nil") {
          operand.kind = OperandKind::kNil;
        } else {
          operand.kind = OperandKind::kFunction;
          operand.name = token.text;
          if (!IsFunction(token.text))
            return Fail(fmt::format("function '{}' is not defined", token.text));
        }
        break;
      default:
        if (token.text != "(") return Fail(fmt::format("unexpected '{}'", token.text));
        operand.kind = OperandKind::kPipe;
        PUNA_ASSIGN_OR_RETURN(operand.pipe, ParsePipe(false));
        SkipSpace();
        if (!IsSymbol(")")) return Fail("a parenthesis is not closed");
        ++at_;
    }
    const bool may_have_fields =
        operand.kind == OperandKind::kField || operand.kind == OperandKind::kVariable ||
        operand.kind == OperandKind::kPipe || operand.kind == OperandKind::kFunction;
    while (may_have_fields && !AtEnd() && tokens_[at_].kind == TokenKind::kField &&
           !tokens_[at_].text.empty()) {
      operand.fields.push_back(tokens_[at_++].text);
    }
    return operand;
  }

  Lexer lexer_;
  Tree tree_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int open_ranges_ = 0;
  std::vector<std::string> variables_ = {"$"};
};

}  // namespace

Result<Tree> ParseTree(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return MakeError(ErrorCode::kResourceExhausted, "the template has {} bytes, the limit is {}",
                     source.size(), kMaxTemplateBytes);
  }
  return Parser(source).Run();
}

}  // namespace puna::chat::gotemplate
