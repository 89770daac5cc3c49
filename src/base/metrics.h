// Numbers about the running server, in the text format of Prometheus. A metric is a variable at
// namespace scope of the file that counts:
//
//   Counter steps("puna_steps_total", "Passes through a model");
//   ...
//   steps.Add();
//
// Thread safe. What is not counted but looked up (gauges) is appended to the text by whoever knows
// it, with AppendGauge.
#ifndef PUNA_BASE_METRICS_H_
#define PUNA_BASE_METRICS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace puna {

class Metric {
 public:
  // Both texts must outlive the process's use of metrics: literals.
  Metric(const char* name, const char* help);
  virtual ~Metric();
  Metric(const Metric&) = delete;
  Metric& operator=(const Metric&) = delete;
  virtual void AppendTo(std::string* text) const = 0;

 protected:
  const char* name_;
  const char* help_;
};

// Only grows.
class Counter : public Metric {
 public:
  using Metric::Metric;
  void Add(int64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }
  void AppendTo(std::string* text) const override;

 private:
  std::atomic<int64_t> value_{0};
};

// How observations are distributed over buckets with these upper bounds (ascending), and above.
class Histogram : public Metric {
 public:
  Histogram(const char* name, const char* help, std::vector<double> bounds);
  void Observe(double value);
  int64_t count() const;
  void AppendTo(std::string* text) const override;

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<int64_t>[]> buckets_;  // [bounds + 1]
  std::atomic<double> sum_{0};
};

// Bounds from 1 ms to two minutes, for durations in seconds.
std::vector<double> SecondsBounds();
// 1, 2, 4 ... 4096.
std::vector<double> CountBounds();

// All metrics of the process, by name.
std::string MetricsText();

// One gauge with a value for each value of `label`; without a label if `label` is "" (one value
// then).
void AppendGauge(std::string_view name, std::string_view help, std::string_view label,
                 const std::vector<std::pair<std::string, double>>& values, std::string* text);

}  // namespace puna

#endif  // PUNA_BASE_METRICS_H_
