// Who may call: the check of the Host header (against DNS rebinding) and the rules for browsers of
// other origins (CORS). Imitates Ollama's, and grants Anthropic's headers too.
#ifndef PUNA_API_ACCESS_H_
#define PUNA_API_ACCESS_H_

#include <string>
#include <string_view>
#include <vector>

namespace puna::api {

class AccessRules {
 public:
  // `origins`: further allowed origins, comma separated, * as wildcard. `loopback`: the server
  // listens on a loopback address; only then is the Host header checked.
  AccessRules(std::string_view origins, bool loopback);

  // May a request with this Host header be answered?
  bool HostAllowed(std::string_view host) const;
  // May a page of `origin` call? An empty origin, or the server's own, may.
  bool OriginAllowed(std::string_view origin, std::string_view host) const;

 private:
  std::vector<std::string> patterns_;
  bool loopback_;
  std::string machine_name_;
};

// Does `text` match `pattern`, where * stands for anything?
bool MatchesWildcard(std::string_view pattern, std::string_view text);

extern const char kAllowedMethods[];
extern const char kAllowedHeaders[];

}  // namespace puna::api

#endif  // PUNA_API_ACCESS_H_
