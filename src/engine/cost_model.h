// How long a step takes, learned from the steps that ran. Time is taken as a fixed part (reading
// the weights), a part per row (multiplying) and a part per position that rows look back at
// (attention). Nothing is configured: the first prompt of a model teaches the cost of rows before
// anybody can wait for it, and steps that were planned to stay within a time teach how much shorter
// they have to be planned for that.
#ifndef PUNA_ENGINE_COST_MODEL_H_
#define PUNA_ENGINE_COST_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace puna::engine {

struct StepWork {
  int64_t rows = 0;
  double attended = 0;  // positions that the rows see, summed over rows

  // `rows` more, the first of which sees `depth` positions before its own.
  StepWork Plus(int64_t more_rows, int64_t depth) const {
    const auto n = static_cast<double>(more_rows);
    return {rows + more_rows, attended + n * (static_cast<double>(depth) + (n + 1) / 2)};
  }
};

// Not thread safe.
class CostModel {
 public:
  void Observe(const StepWork& work, double seconds);
  // The same of a step that was planned to stay within a time.
  void ObservePlanned(const StepWork& work, double seconds);
  // Steps have become faster from here on, so what was learned about short ones is forgotten. The
  // widest one is remembered as the most that rows may cost, until a step with some rows was seen.
  void Restart();
  // Of one step, since Restart. What is wider than a few times this is only extrapolated.
  int64_t most_rows() const { return most_rows_; }
  // A step takes at most so many times as long as Seconds says, but for one in 16: what the last 32
  // planned steps took, or three of the last eight. From 1, also as long as there were none, to 2.
  double Overrun() const;
  // 0 before the first observation.
  double Seconds(const StepWork& work) const;
  // The most rows, up to `wanted`, that can join `work` at `depth` so that Seconds stays within
  // `seconds`; may be 0.
  int64_t RowsWithin(double seconds, const StepWork& work, int64_t wanted, int64_t depth) const;

 private:
  // One summary per power of two of rows and class of depth, so that the many plain steps do not
  // drown what the few long ones taught.
  struct Summary {
    double weight = 0;  // observations, up to a limit
    double rows = 0, attended = 0, seconds = 0;
  };
  void Fit();

  static constexpr size_t kRowClasses = 24, kDepthClasses = 4;
  std::array<Summary, kRowClasses * kDepthClasses> summaries_{};
  std::array<float, 32> overruns_{};  // of planned steps, the oldest replaced by the next
  size_t planned_ = 0;                // steps so far
  int64_t most_rows_ = 0;
  Summary bound_;                 // from before Restart; without weight: nothing
  std::array<double, 3> cost_{};  // fixed, per row, per attended position; none is negative
};

}  // namespace puna::engine

#endif  // PUNA_ENGINE_COST_MODEL_H_
