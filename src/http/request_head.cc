#include "http/request_head.h"

#include <algorithm>

#include "base/hex.h"
#include "base/text.h"

namespace puna::http {

int StatusOfCoding(const Request& request, unsigned version) {
  std::string codings;
  for (const auto& [name, value] : request.headers) {
    if (name == "transfer-encoding") codings.append(",").append(value);
  }
  if (codings.empty()) return 0;
  if (version == 11 && EqualIgnoringCase(codings, ",chunked")) return 0;
  const std::string_view final_one =
      WithoutSpaceAround(std::string_view(codings).substr(codings.rfind(',') + 1));
  return version == 11 && EqualIgnoringCase(final_one, "chunked") ? 501 : 400;
}

bool NamesOneHost(const Request& request, unsigned version) {
  const auto hosts = std::count_if(request.headers.begin(), request.headers.end(),
                                   [](const auto& header) { return header.first == "host"; });
  return hosts == 1 || (hosts == 0 && version == 10);
}

void ReadTarget(Request* request) {
  std::string_view target = request->target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!StartsWithIgnoringCase(target, scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    std::erase_if(request->headers, [](const auto& header) { return header.first == "host"; });
    request->headers.emplace_back("host", target.substr(0, end));
    target.remove_prefix(end);
    break;
  }
  request->path = PercentDecoded(target.substr(0, target.find('?')));
  if (request->path.empty()) request->path = "/";
}

}  // namespace puna::http
