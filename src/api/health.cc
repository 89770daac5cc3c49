// GET /health, /ready and /metrics: for whoever watches the server.
//
// /health answers 503 only when restarting would help (a pass that does not end); /ready answers
// 503 when new requests are refused.
#include <map>

#include "api/routes.h"
#include "base/metrics.h"

namespace puna::api {
namespace {

constexpr const char* kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

std::string Gauges(const scheduler::Scheduler& scheduler) {
  struct Row {
    const char* name;
    const char* help;
    double (*value)(const scheduler::ResidentModel&);
  };
  using Model = scheduler::ResidentModel;
  static constexpr Row kRows[] = {
      {"puna_model_bytes", "Memory that a model holds",
       [](const Model& m) { return static_cast<double>(m.size_bytes); }},
      {"puna_model_waiting_requests", "Requests that wait for memory or for the model",
       [](const Model& m) { return static_cast<double>(m.waiting_requests); }},
      {"puna_model_running_requests", "Requests that are computed",
       [](const Model& m) { return static_cast<double>(m.running_requests); }},
      {"puna_model_pages", "Pages of the key/value cache",
       [](const Model& m) { return static_cast<double>(m.pages); }},
      {"puna_model_pages_in_use", "Pages that requests and the prefix cache hold",
       [](const Model& m) { return static_cast<double>(m.pages_in_use); }},
  };
  const std::vector<Model> models = scheduler.List();
  std::string text;
  for (const Row& row : kRows) {
    // Two may have one name: one that leaves and its successor, or a name that was given anew.
    std::map<std::string, double> sums;
    for (const Model& model : models) sums[model.name] += row.value(model);
    AppendGauge(row.name, row.help, "model", {sums.begin(), sums.end()}, &text);
  }
  AppendGauge("puna_models", "Models in memory", "", {{"", static_cast<double>(models.size())}},
              &text);
  return text;
}

Json Body(const scheduler::Scheduler::Health& health, const char* status) {
  Json body = Json::object();
  body["status"] = status;
  if (!health.stuck.empty()) body["stuck"] = health.stuck;
  return body;
}

}  // namespace

http::Task<void> HandleHealth(Call& call) {
  const scheduler::Scheduler::Health health = call.services.scheduler->health();
  Json body = Body(health, health.stuck.empty() ? "ok" : "stuck");
  co_await SendJson(call, health.stuck.empty() ? 200 : 503, std::move(body));
}

http::Task<void> HandleReady(Call& call) {
  const scheduler::Scheduler::Health health = call.services.scheduler->health();
  const bool accepting = health.accepting && !call.services.stopping->load();
  const bool ready = accepting && health.stuck.empty();
  Json body = Body(health, ready ? "ready" : accepting ? "stuck" : "shutting down");
  co_await SendJson(call, ready ? 200 : 503, std::move(body));
}

http::Task<void> HandleMetrics(Call& call) {
  std::string text = MetricsText() + Gauges(*call.services.scheduler);
  co_await call.writer.Send(200, kPrometheusText, std::move(text));
}

}  // namespace puna::api
