#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

namespace puna {
namespace {

// Metrics are made before main and in its course by no one: the mutex is for tests that do.
struct Registry {
  std::mutex mutex;
  std::map<std::string_view, const Metric*> metrics;
};

Registry& TheRegistry() {
  static Registry* registry = new Registry();  // outlives the metrics of all files
  return *registry;
}

void AppendHead(std::string_view name, std::string_view help, const char* type, std::string* text) {
  *text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

// Backslash, quote and line feed are escaped in the value of a label.
std::string Escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Metric::Metric(const char* name, const char* help) : name_(name), help_(help) {
  const std::lock_guard lock(TheRegistry().mutex);
  TheRegistry().metrics[name] = this;
}

Metric::~Metric() {
  const std::lock_guard lock(TheRegistry().mutex);
  TheRegistry().metrics.erase(name_);
}

void Counter::AppendTo(std::string* text) const {
  AppendHead(name_, help_, "counter", text);
  *text += fmt::format("{} {}\n", name_, value());
}

Histogram::Histogram(const char* name, const char* help, std::vector<double> bounds)
    : Metric(name, help),
      bounds_(std::move(bounds)),
      buckets_(std::make_unique<std::atomic<int64_t>[]>(bounds_.size() + 1)) {}

void Histogram::Observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  buckets_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

int64_t Histogram::count() const {
  int64_t count = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) count += buckets_[i].load(std::memory_order_relaxed);
  return count;
}

void Histogram::AppendTo(std::string* text) const {
  AppendHead(name_, help_, "histogram", text);
  int64_t below = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) {
    below += buckets_[i].load(std::memory_order_relaxed);
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    *text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name_, bound, below);
  }
  *text += fmt::format("{}_sum {}\n{}_count {}\n", name_, sum_.load(std::memory_order_relaxed),
                       name_, below);
}

std::vector<double> SecondsBounds() {
  return {0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2,
          0.3,   0.5,   0.75,  1,    2,    3,    5,    10,    30,  60,   120};
}

std::vector<double> CountBounds() {
  return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
}

std::string MetricsText() {
  const std::lock_guard lock(TheRegistry().mutex);
  std::string text;
  for (const auto& [name, metric] : TheRegistry().metrics) metric->AppendTo(&text);
  return text;
}

void AppendGauge(std::string_view name, std::string_view help, std::string_view label,
                 const std::vector<std::pair<std::string, double>>& values, std::string* text) {
  AppendHead(name, help, "gauge", text);
  for (const auto& [key, value] : values) {
    const std::string labels =
        label.empty() ? "" : fmt::format("{{{}=\"{}\"}}", label, Escaped(key));
    *text += fmt::format("{}{} {}\n", name, labels, value);
  }
}

}  // namespace puna
