// A line-based language whose only difficulty are quoted values: a value ends at the first line end
// where the text so far is balanced, that is unquoted, or opened by " or """ and closed by the
// same. Quotes inside need no escape, because only one at the end of a line can close. The parser
// therefore collects lines until the value is balanced.
#include "store/modelfile.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <span>

#include "base/duration.h"
#include "base/text.h"
#include "base/utf8.h"

namespace puna::store {
namespace {

enum class OptionType { kInteger, kNumber, kBool, kStrings, kDuration };
struct OptionRow {
  std::string_view name;
  OptionType type;
};
// The options of Ollama's Modelfile, in the order of its documentation, and puna's own.
constexpr OptionRow kOptions[] = {
    {"num_ctx", OptionType::kInteger},
    {"num_batch", OptionType::kInteger},
    {"num_gpu", OptionType::kInteger},
    {"main_gpu", OptionType::kInteger},
    {"use_mmap", OptionType::kBool},
    {"num_thread", OptionType::kInteger},
    {"draft_num_predict", OptionType::kInteger},
    {"num_keep", OptionType::kInteger},
    {"seed", OptionType::kInteger},
    {"num_predict", OptionType::kInteger},
    {"top_k", OptionType::kInteger},
    {"top_p", OptionType::kNumber},
    {"min_p", OptionType::kNumber},
    {"typical_p", OptionType::kNumber},
    {"repeat_last_n", OptionType::kInteger},
    {"repeat_penalty", OptionType::kNumber},
    {"temperature", OptionType::kNumber},
    {"presence_penalty", OptionType::kNumber},
    {"frequency_penalty", OptionType::kNumber},
    {"stop", OptionType::kStrings},
    {"keep_alive", OptionType::kDuration},
};
constexpr std::string_view kDeprecated[] = {"penalize_newline", "low_vram",     "f16_kv",
                                            "logits_all",       "vocab_only",   "use_mlock",
                                            "mirostat",         "mirostat_tau", "mirostat_eta"};
constexpr std::string_view kCommands[] = {"from",      "license", "template", "system",
                                          "adapter",   "draft",   "renderer", "parser",
                                          "parameter", "message", "requires"};

std::string_view TrimStart(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0)
    text.remove_prefix(1);
  return text;
}

std::string_view TrimSpaces(std::string_view text) {
  text = TrimStart(text);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.remove_suffix(1);
  return text;
}

// UTF-16 with a byte order mark becomes UTF-8; a UTF-8 mark is dropped.
std::string ToUtf8(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) return std::string(text.substr(3));
  const bool little = text.starts_with("\xFF\xFE");
  const bool big = text.starts_with("\xFE\xFF");
  if (!little && !big) return std::string(text);
  std::string out;
  const auto unit = [&](size_t at) {
    const auto low = static_cast<uint8_t>(text[little ? at : at + 1]);
    const auto high = static_cast<uint8_t>(text[little ? at + 1 : at]);
    return static_cast<char32_t>(low | (high << 8));
  };
  for (size_t at = 2; at + 1 < text.size(); at += 2) {
    char32_t codepoint = unit(at);
    if (codepoint >= 0xD800 && codepoint < 0xDC00 && at + 3 < text.size()) {
      const char32_t second = unit(at + 2);
      if (second >= 0xDC00 && second < 0xE000) {
        codepoint = 0x10000 + ((codepoint - 0xD800) << 10) + (second - 0xDC00);
        at += 2;
      }
    }
    AppendUtf8(codepoint >= 0xD800 && codepoint < 0xE000 ? 0xFFFD : codepoint, &out);
  }
  return out;
}

// With their ends, which are part of a value that goes on.
std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    size_t end = std::min(text.find_first_of("\r\n"), text.size());
    end += text.substr(end).starts_with("\r\n") ? 2 : (end < text.size() ? 1 : 0);
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

// If `raw` is a complete value, its content; nothing while a quote is open.
bool Unquote(std::string_view raw, std::string* value) {
  const std::string_view text = TrimSpaces(raw);
  for (const std::string_view quote : {std::string_view("\"\"\""), std::string_view("\"")}) {
    if (!text.starts_with(quote)) continue;
    if (text.size() < 2 * quote.size() || !text.ends_with(quote)) return false;
    *value = text.substr(quote.size(), text.size() - 2 * quote.size());
    return true;
  }
  *value = text;
  return true;
}

// Takes the value that begins with `*raw` and goes on in the lines behind `*line`, which becomes
// its last one. False if a quote is still open at the end.
bool TakeValue(std::span<const std::string_view> lines, size_t* line, std::string* raw,
               std::string* value) {
  while (!Unquote(*raw, value)) {
    if (++*line == lines.size()) return false;
    raw->append(lines[*line]);
  }
  return true;
}

// The first word of `text`, and what follows it.
std::string_view TakeWord(std::string_view* text) {
  *text = TrimStart(*text);
  size_t end = 0;
  while (end < text->size() && std::isspace(static_cast<unsigned char>((*text)[end])) == 0) ++end;
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(end);
  return word;
}

// MAJOR[.MINOR[.PATCH[-PRERELEASE][+BUILD]]], with or without a v in front, as semver.org and Go
// have it.
bool IsSemanticVersion(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  const std::string_view numbers = text.substr(0, text.find_first_of("-+"));
  int parts = 0;
  for (std::string_view rest = numbers;;) {
    const size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view number = rest.substr(0, end);
    const bool digits = std::all_of(number.begin(), number.end(),
                                    [](unsigned char c) { return std::isdigit(c) != 0; });
    if (number.empty() || !digits || (number.size() > 1 && number[0] == '0')) return false;
    ++parts;
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  const std::string_view extra = text.substr(numbers.size());
  const bool plain = std::all_of(extra.begin(), extra.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '+' || c == '.';
  });
  return parts <= 3 && plain && (extra.empty() || (parts == 3 && extra.size() > 1));
}

struct Command {
  size_t line = 0;
  std::string name;      // lower case
  std::string argument;  // name of a parameter, role of a message
  std::string value;
};

Status Apply(const Command& command, Modelfile* out) {
  if (command.name == "from") {
    out->from.push_back(command.value);
  } else if (command.name == "adapter") {
    out->adapters.push_back(command.value);
  } else if (command.name == "system") {
    out->system = command.value;
  } else if (command.name == "template") {
    out->template_text = command.value;
  } else if (command.name == "license") {
    out->licenses.push_back(command.value);
  } else if (command.name == "renderer") {
    out->renderer = command.value;
  } else if (command.name == "parser") {
    out->parser = command.value;
  } else if (command.name == "requires") {
    if (!IsSemanticVersion(command.value)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "(line {}): requires must be a version such as 0.14.0, not \"{}\"",
                       command.line, command.value);
    }
    out->requires_version = command.value.substr(command.value.starts_with('v') ? 1 : 0);
  } else if (command.name == "draft") {
    out->draft = command.value;
  } else if (command.name == "message") {
    if (command.argument != "system" && command.argument != "user" &&
        command.argument != "assistant") {
      return MakeError(
          ErrorCode::kInvalidArgument,
          "(line {}): message role must be one of \"system\", \"user\", or \"assistant\"",
          command.line);
    }
    out->messages.push_back({command.argument, command.value});
  } else {
    bool deprecated = false;
    if (const Status status =
            SetParameter(command.argument, command.value, &out->parameters, &deprecated);
        !status) {
      return WithContext(status.error(), fmt::format("(line {})", command.line));
    }
    if (deprecated)
      out->warnings.push_back(
          fmt::format("parameter {} is deprecated and ignored", command.argument));
  }
  return {};
}

// True if all of `text` is a number, which may have a sign.
template <typename Number>
bool ReadWholeNumber(std::string_view text, Number* number) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return code == std::errc() && end == text.data() + text.size();
}

}  // namespace

Status SetParameter(const std::string& name, const std::string& value, Json* parameters,
                    bool* deprecated) {
  *deprecated =
      std::find(std::begin(kDeprecated), std::end(kDeprecated), name) != std::end(kDeprecated);
  if (*deprecated) return {};
  const auto* row = std::find_if(std::begin(kOptions), std::end(kOptions),
                                 [&](const OptionRow& option) { return option.name == name; });
  if (row == std::end(kOptions))
    return MakeError(ErrorCode::kInvalidArgument, "unknown parameter '{}'", name);
  switch (row->type) {
    case OptionType::kInteger: {
      int64_t number = 0;
      if (!ReadWholeNumber(value, &number)) {
        return MakeError(ErrorCode::kInvalidArgument, "invalid int value {} for {}", value, name);
      }
      (*parameters)[name] = number;
      return {};
    }
    case OptionType::kNumber: {
      double number = 0;
      if (!ReadWholeNumber(value, &number) || !std::isfinite(number)) {
        return MakeError(ErrorCode::kInvalidArgument, "invalid float value {} for {}", value, name);
      }
      // Shown and stored as Ollama does: 1, not 1.0.
      const bool whole = number == std::trunc(number) && std::abs(number) < 1e15;
      (*parameters)[name] = whole ? Json(static_cast<int64_t>(number)) : Json(number);
      return {};
    }
    case OptionType::kBool: {
      const std::string lower = LowerCase(value);
      const bool yes = lower == "true" || lower == "t" || lower == "1";
      if (!yes && lower != "false" && lower != "f" && lower != "0") {
        return MakeError(ErrorCode::kInvalidArgument, "invalid bool value {} for {}", value, name);
      }
      (*parameters)[name] = yes;
      return {};
    }
    case OptionType::kStrings:
      if (!parameters->contains(name)) (*parameters)[name] = Json::array();
      (*parameters)[name].push_back(value);
      return {};
    case OptionType::kDuration:
      if (!ParseKeepAlive(value)) {
        return MakeError(ErrorCode::kInvalidArgument, "invalid duration value {} for {}", value,
                         name);
      }
      (*parameters)[name] = value;
      return {};
  }
  return {};
}

Result<Modelfile> ParseModelfile(std::string_view text) {
  const std::string utf8 = ToUtf8(text);
  const std::vector<std::string_view> lines = SplitLines(utf8);
  Modelfile out;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string_view rest = TrimStart(lines[i]);
    if (rest.empty() || rest.starts_with('#')) continue;
    Command command;
    command.line = i + 1;
    command.name = LowerCase(TakeWord(&rest));
    if (std::find(std::begin(kCommands), std::end(kCommands), command.name) ==
        std::end(kCommands)) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          "(line {}): command must be one of \"from\", \"license\", \"template\", \"system\", "
          "\"adapter\", "
          "\"draft\", \"renderer\", \"parser\", \"parameter\", \"message\", or \"requires\"",
          command.line);
    }
    if (command.name == "parameter" || command.name == "message")
      command.argument = TakeWord(&rest);
    std::string raw(rest);
    if (!TakeValue(lines, &i, &raw, &command.value)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "(line {}): unexpected EOF: a quote is not closed", command.line);
    }
    if (command.value.empty() && TrimSpaces(raw).empty()) {
      return MakeError(ErrorCode::kInvalidArgument, "(line {}): {} has no value", command.line,
                       command.name);
    }
    PUNA_RETURN_IF_ERROR(Apply(command, &out));
  }
  if (out.from.empty()) return MakeError(ErrorCode::kInvalidArgument, "no FROM line");
  return out;
}

Result<std::string> QuoteModelfileValue(const std::string& value) {
  const bool plain = value.find_first_of("\r\n\"") == std::string::npos;
  for (const std::string_view quote : {"", plain ? "\"" : "\"\"\"", plain ? "\"\"\"" : "\""}) {
    std::string quoted = fmt::format("{}{}{}", quote, value, quote);
    const std::vector<std::string_view> lines = SplitLines(quoted);
    size_t line = 0;
    std::string raw(lines.empty() ? "" : lines[0]), read;
    // Nothing at all would be no value, and what is behind the end of one another command.
    if (!lines.empty() && TakeValue(lines, &line, &raw, &read) && read == value &&
        line + 1 == lines.size())
      return quoted;
  }
  return MakeError(ErrorCode::kUnsupported,
                   "a Modelfile cannot hold a text that has quotes at the ends of lines like "
                   "those that would have to enclose it");
}

}  // namespace puna::store
