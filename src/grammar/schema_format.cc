// The grammars are those of RFC 3339 (dates and times), RFC 5321 (mail addresses), RFC 1123 (host
// names), RFC 3986 (addresses of resources), RFC 4122 (UUIDs) and RFC 4291 (IPv6). A leap second is
// the last of a day in UTC; with an offset it is taken at any minute.
#include "grammar/schema_format.h"

#include <string>

#include "grammar/regex.h"

namespace puna::grammar {
namespace {

std::string Date() {
  return "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
         "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
         "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
         "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
}

std::string Time() {
  const std::string hour = "(?:[01][0-9]|2[0-3])", fraction = "(?:\\.[0-9]+)?";
  const std::string minute = hour + ":[0-5][0-9]:";
  const std::string offset = "[+-]" + hour + ":[0-5][0-9]";
  const std::string shifted =
      "[+-](?:(?:0[1-9]|1[0-9]|2[0-3]):[0-5][0-9]|00:(?:0[1-9]|[1-5][0-9]))";
  return "(?:" + minute + "[0-5][0-9]" + fraction + "(?:[Zz]|" + offset + ")|23:59:60" + fraction +
         "(?:[Zz]|[+-]00:00)|" + minute + "60" + fraction + shifted + ")";
}

std::string Duration() {
  const std::string time = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
  const std::string date = "(?:[0-9]+D|[0-9]+M(?:[0-9]+D)?|[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?)";
  return "P(?:" + date + "(?:" + time + ")?|" + time + "|[0-9]+W)";
}

std::string Ipv4() {
  const std::string byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  return byte + "(?:\\." + byte + "){3}";
}

std::string Ipv6() {
  const std::string h = "[0-9A-Fa-f]{1,4}";
  const std::string last = "(?:" + h + ":" + h + "|" + Ipv4() + ")";
  const auto before = [&](int most) {  // up to `most` groups and the "::" behind them
    return "(?:(?:" + h + ":){0," + std::to_string(most) + "}" + h + ")?::";
  };
  return "(?:(?:" + h + ":){6}" + last + "|::(?:" + h + ":){5}" + last + "|(?:" + h +
         ")?::(?:" + h + ":){4}" + last + "|" + before(1) + "(?:" + h + ":){3}" + last + "|" +
         before(2) + "(?:" + h + ":){2}" + last + "|" + before(3) + h + ":" + last + "|" +
         before(4) + last + "|" + before(5) + h + "|" + before(6) + ")";
}

std::string Label() { return "[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"; }
std::string Hostname() { return Label() + "(?:\\." + Label() + ")*"; }

std::string Email() {
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
  const std::string quoted = "\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\"";
  return "(?:" + atom + "(?:\\." + atom + ")*|" + quoted + ")@(?:" + Hostname() + "|\\[" + Ipv4() +
         "\\]|\\[IPv6:" + Ipv6() + "\\])";
}

std::string Uri() {
  const std::string pchar = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
  const std::string host = "(?:\\[(?:" + Ipv6() +
                           "|v[0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|" +
                           "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)";
  const std::string authority =
      "(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?" + host + "(?::[0-9]*)?";
  const std::string segments = "(?:/" + pchar + "*)*";
  return "[A-Za-z][A-Za-z0-9+.-]*:(?://" + authority + segments + "|/(?:" + pchar + "+" + segments +
         ")?|" + pchar + "+" + segments + "|)(?:\\?(?:" + pchar + "|[/?])*)?(?:#(?:" + pchar +
         "|[/?])*)?";
}

}  // namespace

Result<CharDfa> FormatDfa(std::string_view format, SchemaReading reading, Effort* effort) {
  std::string pattern;
  const bool is_hostname = format == "hostname" && reading == SchemaReading::kNarrow;
  if (format == "date") {
    pattern = Date();
  } else if (format == "time") {
    pattern = Time();
  } else if (format == "date-time") {
    pattern = Date() + "[Tt]" + Time();
  } else if (format == "duration") {
    pattern = Duration();
  } else if (format == "uuid") {
    pattern = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
  } else if (format == "email") {
    pattern = Email();
  } else if (format == "ipv4") {
    pattern = Ipv4();
  } else if (format == "ipv6") {
    pattern = Ipv6();
  } else if (is_hostname) {
    pattern = Hostname();
  } else if (format == "uri") {
    pattern = Uri();
  } else {
    return MakeError(ErrorCode::kUnsupported, "\"format\" \"{}\" is not supported", format);
  }
  PUNA_ASSIGN_OR_RETURN(CharDfa dfa, ReadRegex(pattern, RegexMatch::kWhole, effort));
  if (!is_hostname) return dfa;
  PUNA_ASSIGN_OR_RETURN(const CharDfa encoded,
                        ReadRegex("(?:^|\\.)[^.]{2}--", RegexMatch::kAnywhere, effort));
  PUNA_ASSIGN_OR_RETURN(const CharDfa length, CharDfa::OfLength(0, 253, effort));
  PUNA_ASSIGN_OR_RETURN(dfa, Subtract(dfa, encoded, effort));
  return Intersect(dfa, length, effort);
}

}  // namespace puna::grammar
