// Least squares over the summaries, weighted by the inverse of their time, so that an error of ten
// percent counts alike in a short and in a long step. A negative cost has no meaning: of the seven
// sets of terms that may be used, the best whose costs are all positive wins. Those that explain
// few observations equally well are told apart by how dear they make rows, so that nobody plans a
// wide step because of what is not known.
//
// Rejected: recursive least squares with forgetting. Hours of plain steps make it forget what a row
// of a prompt costs, and the first prompt after them stalls everybody.
#include "engine/cost_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace puna::engine {
namespace {

using Vector = std::array<double, 3>;
using Matrix = std::array<Vector, 3>;

// A summary follows changes (a neighbour on the machine, a deeper context) within about this many
// steps.
constexpr double kMemory = 10;
// A step with so many rows tells what rows cost.
constexpr double kSomeRows = 4;
// What takes longer was interrupted; to plan for that would slow down every prompt for nothing.
constexpr double kMostOverrun = 2;
constexpr double kRidge = 1e-7;  // keeps terms that the observations cannot tell apart finite
// The terms (1: fixed, 2: rows, 4: attended positions), the dearest rows first, and how much better
// (in squares of relative errors) a set must be than one before it.
constexpr unsigned kTerms[] = {2, 3, 6, 7, 4, 5, 1};
constexpr double kBetter = 1e-8;

// Solves for the terms in `used`, the others being 0. Nothing if the terms depend on each other.
std::optional<Vector> Solve(Matrix a, Vector b, unsigned used) {
  for (size_t i = 0; i < 3; ++i) {
    if ((used >> i & 1) == 0) {
      a[i] = {};
      for (Vector& row : a) row[i] = 0;
      a[i][i] = 1;
      b[i] = 0;
    } else {
      a[i][i] *= 1 + kRidge;
    }
  }
  for (size_t i = 0; i < 3; ++i) {  // symmetric and positive: no pivoting needed
    if (!(a[i][i] > 0)) return std::nullopt;
    for (size_t j = i + 1; j < 3; ++j) {
      const double factor = a[j][i] / a[i][i];
      for (size_t k = i; k < 3; ++k) a[j][k] -= factor * a[i][k];
      b[j] -= factor * b[i];
    }
  }
  Vector x{};
  for (size_t i = 3; i-- > 0;) {
    double sum = b[i];
    for (size_t k = i + 1; k < 3; ++k) sum -= a[i][k] * x[k];
    x[i] = sum / a[i][i];
  }
  return x;
}

}  // namespace

void CostModel::Observe(const StepWork& work, double seconds) {
  if (work.rows <= 0 || !(seconds > 0)) return;
  const double depth = work.attended / static_cast<double>(work.rows);
  const size_t row_class =
      std::min<size_t>(std::bit_width(static_cast<uint64_t>(work.rows)), kRowClasses - 1);
  const size_t depth_class = (depth >= 512) + (depth >= 2048) + (depth >= 8192);
  Summary& summary = summaries_[row_class * kDepthClasses + depth_class];
  most_rows_ = std::max(most_rows_, work.rows);
  if (work.rows >= std::min(kSomeRows, bound_.rows)) bound_ = {};
  summary.weight = std::min(summary.weight + 1, kMemory);
  const double share = 1 / summary.weight;
  // A step that was interrupted (the machine was busy elsewhere) must not be believed at once.
  if (summary.weight > 2) seconds = std::min(seconds, 4 * summary.seconds);
  summary.rows += share * (static_cast<double>(work.rows) - summary.rows);
  summary.attended += share * (work.attended - summary.attended);
  summary.seconds += share * (seconds - summary.seconds);
  Fit();
}

void CostModel::Fit() {
  Matrix a{};
  Vector b{};
  std::vector<Summary> known;
  for (const Summary& s : summaries_) {
    if (s.weight > 0) known.push_back(s);
  }
  if (bound_.weight > 0) known.push_back(bound_);
  for (const Summary& s : known) {
    const Vector x = {1 / s.seconds, s.rows / s.seconds, s.attended / s.seconds};
    for (size_t i = 0; i < 3; ++i) {
      b[i] += x[i];
      for (size_t j = 0; j < 3; ++j) a[i][j] += x[i] * x[j];
    }
  }
  double best = std::numeric_limits<double>::infinity();
  for (const unsigned used : kTerms) {
    const std::optional<Vector> x = Solve(a, b, used);
    if (!x || std::any_of(x->begin(), x->end(), [](double c) { return !(c >= 0); })) continue;
    double error = 0;
    for (const Summary& s : known) {
      const double predicted = (*x)[0] + (*x)[1] * s.rows + (*x)[2] * s.attended;
      error += std::pow(predicted / s.seconds - 1, 2);
    }
    if (error >= best - kBetter) continue;
    best = error;
    cost_ = *x;
  }
}

void CostModel::Restart() {
  Summary widest;
  for (const Summary& summary : summaries_) {
    if (summary.rows > widest.rows) widest = summary;
  }
  *this = CostModel();
  bound_ = widest;
  Fit();
}

void CostModel::ObservePlanned(const StepWork& work, double seconds) {
  if (const double foretold = Seconds(work); foretold > 0 && seconds > 0)
    overruns_[planned_++ % overruns_.size()] = static_cast<float>(seconds / foretold);
  Observe(work, seconds);
}

// Steps that were interrupted must not count: shorter plans would not have prevented that, and they
// cost throughput for as long as they are remembered. So the longest is left out even of a few.
double CostModel::Overrun() const {
  // The largest of the last `count` but for so many.
  const auto last = [&](size_t count, size_t beyond) {
    auto values = overruns_;
    for (size_t i = 0; i < count; ++i) values[i] = overruns_[(planned_ - 1 - i) % overruns_.size()];
    const auto nth = values.begin() + static_cast<ptrdiff_t>(beyond);
    std::nth_element(values.begin(), nth, values.begin() + static_cast<ptrdiff_t>(count),
                     std::greater<>());
    return *nth;
  };
  const size_t known = std::min(planned_, overruns_.size());
  if (known < 2) return 1;
  double overrun = last(known, std::max<size_t>(1, known / 16));
  // When the machine has become slower, the fit follows within some ten steps; this within three.
  if (known >= 8) overrun = std::max<double>(overrun, last(8, 2));
  return std::clamp<double>(overrun, 1, kMostOverrun);
}

double CostModel::Seconds(const StepWork& work) const {
  return cost_[0] + cost_[1] * static_cast<double>(work.rows) + cost_[2] * work.attended;
}

int64_t CostModel::RowsWithin(double seconds, const StepWork& work, int64_t wanted,
                              int64_t depth) const {
  int64_t low = 0, high = std::max<int64_t>(0, wanted);
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (Seconds(work.Plus(middle, depth)) <= seconds) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace puna::engine
