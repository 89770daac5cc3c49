// All ways through an expression are followed at once: what is left of them is the set of places in
// the name that they have come to, one bit each.
#include "store/convert/peft_key.h"

#include <bitset>

namespace puna::store {
namespace {

constexpr size_t kMaxModuleChars = 255;
constexpr int kMaxGroups = 32;  // one in the other

// Of places: bit i stands before character i. Of characters: bit i is character i.
using NameBits = std::bitset<kMaxModuleChars + 1>;

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class PeftKeyMatcher {
 public:
  PeftKeyMatcher(std::string_view key, std::string_view module) : key_(key), module_(module) {}

  Result<bool> Run() {
    if (module_.size() > kMaxModuleChars)
      return MakeError(ErrorCode::kUnsupported, "the name of a module has {} bytes, at most {} fit",
                       module_.size(), kMaxModuleChars);
    NameBits places;
    places.set(0);
    for (size_t i = 0; i < module_.size(); ++i) places[i + 1] = module_[i] == '.';
    PUNA_ASSIGN_OR_RETURN(places, Alternatives(places, 0));
    if (at_ < key_.size()) return NotUnderstood();
    return places[module_.size()];
  }

 private:
  tl::unexpected<Error> NotUnderstood() const {
    return MakeError(ErrorCode::kUnsupported, "the regular expression '{}' is not supported",
                     key_.substr(0, 200));
  }
  bool Sees(char c) const { return at_ < key_.size() && key_[at_] == c; }
  bool Take(char c) {
    if (!Sees(c)) return false;
    ++at_;
    return true;
  }

  Result<NameBits> Alternatives(const NameBits& from, int groups) {
    NameBits all;
    do {
      NameBits places = from;
      while (at_ < key_.size() && !Sees('|') && !Sees(')')) {
        PUNA_ASSIGN_OR_RETURN(places, Item(places, groups));
      }
      all |= places;
    } while (Take('|'));
    return all;
  }

  Result<NameBits> Item(const NameBits& from, int groups) {
    if (Take('^')) return from & NameBits(1);
    if (Take('$')) return from & NameBits(1) << module_.size();
    if (Take('(')) return Group(from, groups + 1);
    PUNA_ASSIGN_OR_RETURN(const NameBits characters, Characters());
    const NameBits once = (from & characters) << 1;
    const bool any = Take('*'), some = !any && Take('+'), maybe = !any && !some && Take('?');
    if (any || some || maybe) Take('?');  // whether few or many are tried first does not matter
    if (any) return Repeated(from, characters);
    if (some) return Repeated(once, characters);
    return maybe ? from | once : once;
  }

  Result<NameBits> Group(const NameBits& from, int groups) {
    if (groups > kMaxGroups) return NotUnderstood();
    if (Take('?') && !Take(':')) return NotUnderstood();
    PUNA_ASSIGN_OR_RETURN(const NameBits places, Alternatives(from, groups));
    if (!Take(')') || Sees('*') || Sees('+')) return NotUnderstood();
    return Take('?') ? from | places : places;
  }

  // Also what is reached over several `characters`: first over 1, then over 2, 4 and so on.
  static NameBits Repeated(NameBits places, const NameBits& characters) {
    NameBits reachable = characters << 1;
    for (size_t step = 1; step <= kMaxModuleChars; step *= 2) {
      places |= reachable & places << step;
      reachable &= reachable << step;
    }
    return places;
  }

  template <typename Holds>
  NameBits Where(Holds&& holds) const {
    NameBits bits;
    for (size_t i = 0; i < module_.size(); ++i) bits[i] = holds(module_[i]);
    return bits;
  }

  // Those of the name that the next character, class or set of the key stands for.
  Result<NameBits> Characters() {
    const char c = key_[at_++];
    switch (c) {
      case '.':
        return Where([](char) { return true; });
      case '\\':
        return Escaped();
      case '[':
        return Set();
      case '*':
      case '+':
      case '?':
      case '{':
        return NotUnderstood();
      default:
        return Where([c](char other) { return other == c; });
    }
  }

  Result<NameBits> Escaped() {
    if (at_ == key_.size()) return NotUnderstood();
    const char c = key_[at_++];
    if (c == 'd') return Where(IsAsciiDigit);
    if (c == 'w') {
      return Where(
          [](char other) { return IsAsciiDigit(other) || IsAsciiLetter(other) || other == '_'; });
    }
    if (IsAsciiLetter(c) || IsAsciiDigit(c)) return NotUnderstood();
    return Where([c](char other) { return other == c; });
  }

  Result<NameBits> Set() {
    const bool others = Take('^');
    NameBits bits;
    do {  // a bracket that comes first belongs to the set
      if (at_ == key_.size()) return NotUnderstood();
      if (Take('\\')) {
        PUNA_ASSIGN_OR_RETURN(const NameBits escaped, Escaped());
        bits |= escaped;
        continue;
      }
      const char low = key_[at_++];
      const bool range = Sees('-') && at_ + 1 < key_.size() && key_[at_ + 1] != ']';
      const char high = range ? key_[at_ + 1] : low;
      if (range) at_ += 2;
      if (high < low || high == '\\') return NotUnderstood();
      bits |= Where([low, high](char other) { return low <= other && other <= high; });
    } while (!Sees(']'));
    ++at_;
    return others ? Where([](char) { return true; }) & ~bits : bits;
  }

  const std::string_view key_, module_;
  size_t at_ = 0;  // of the key
};

}  // namespace

Result<bool> MatchesPeftKey(std::string_view key, std::string_view module) {
  return PeftKeyMatcher(key, module).Run();
}

}  // namespace puna::store
