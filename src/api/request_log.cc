#include "api/request_log.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <tuple>

#include "base/log.h"
#include "base/metrics.h"
#include "base/text.h"

namespace puna::api {
namespace {

// By the pattern of the route, the method and the status. All three are puna's own words, so that
// clients cannot make the counters many.
class RequestCounter final : public Metric {
 public:
  using Metric::Metric;
  void Add(const Call& call, int status) {
    static constexpr std::string_view kMethods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                                    "PATCH", "DELETE", "OPTIONS"};
    const auto* method = std::find(std::begin(kMethods), std::end(kMethods), call.request.method);
    const std::lock_guard lock(mutex_);
    ++counts_[{call.pattern.empty() ? "other" : call.pattern,
               method == std::end(kMethods) ? "other" : *method, status}];
  }
  void AppendTo(std::string* text) const override {
    *text += fmt::format("# HELP {} {}\n# TYPE {} counter\n", name_, help_, name_);
    const std::lock_guard lock(mutex_);
    for (const auto& [labels, count] : counts_) {
      const auto& [route, method, status] = labels;
      *text += fmt::format("{}{{route=\"{}\",method=\"{}\",code=\"{}\"}} {}\n", name_, route,
                           method, status, count);
    }
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::tuple<std::string_view, std::string_view, int>, int64_t> counts_;
};

RequestCounter http_requests("puna_http_requests_total", "HTTP requests that have ended");

}  // namespace

void LogRequest(const Call& call, int status, std::chrono::duration<double, std::milli> taken) {
  http_requests.Add(call, status);
  const http::Request& request = call.request;
  std::string line = fmt::format("{} {} {} from {} {:.1f} ms", call.id, request.method,
                                 request.path, request.peer_address, taken.count());
  line += status == 0 ? ", no answer" : fmt::format(", status {}", status);
  if (!call.key.empty()) line += ", key " + call.key;
  if (!call.model.empty()) line += ", model " + Shortened(call.model);
  if (call.writer.client_gone()) line += ", client gone";
  if (!call.error.empty()) line += ": " + call.error;
  LogInfo("{}", line);
}

}  // namespace puna::api
