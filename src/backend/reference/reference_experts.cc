// Mixture of experts: the router's choice per row, and the chosen experts' feed-forward.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "backend/reference/reference_ops.h"
#include "base/check.h"

namespace puna::backend::reference {
namespace {

// The smallest sum that weights are divided by: the smallest normal number of float16.
constexpr double kSmallestWeightSum = 6.103515625e-5;

void SoftmaxInPlace(std::span<double> values) {
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
}

// Indices of the `count` largest values, largest first, ties by lower index.
std::vector<int64_t> Largest(std::span<const double> values, int64_t count) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(count));
  return order;
}

// Puts the experts of all but the best groups out of the race.
void KeepBestGroups(const RouteOp& op, std::span<double> selection) {
  const size_t size = static_cast<size_t>(op.experts / op.groups);
  std::vector<double> scores;
  for (int64_t g = 0; g < op.groups; ++g) {
    const std::span<const double> group = selection.subspan(static_cast<size_t>(g) * size, size);
    double score = 0;
    for (const int64_t i : Largest(group, std::min<int64_t>(2, static_cast<int64_t>(size)))) {
      score += group[static_cast<size_t>(i)];
    }
    scores.push_back(score);
  }
  const std::vector<int64_t> best = Largest(scores, op.groups_used);
  for (int64_t g = 0; g < op.groups; ++g) {
    if (std::find(best.begin(), best.end(), g) != best.end()) continue;
    const std::span<double> group = selection.subspan(static_cast<size_t>(g) * size, size);
    std::fill(group.begin(), group.end(), -std::numeric_limits<double>::infinity());
  }
}

void RouteRow(const RouteOp& op, std::span<const float> logits,
              std::span<const float> selection_bias, std::span<const float> expert_scale,
              Route* route) {
  std::vector<double> probability(logits.begin(), logits.end());
  if (op.score == RouterScore::kSoftmax) SoftmaxInPlace(probability);
  if (op.score == RouterScore::kSigmoid) {
    for (double& p : probability) p = 1 / (1 + std::exp(-p));
  }
  std::vector<double> selection = probability;
  for (size_t i = 0; i < selection_bias.size(); ++i) selection[i] += selection_bias[i];
  if (op.groups > 1) KeepBestGroups(op, selection);

  std::vector<int64_t> chosen = Largest(selection, op.used);
  for (int64_t& expert : chosen) expert /= op.fold;
  std::vector<double> weights;
  for (const int64_t expert : chosen) weights.push_back(probability[static_cast<size_t>(expert)]);
  if (op.score == RouterScore::kSoftmaxOfSelected) SoftmaxInPlace(weights);
  if (op.normalize) {
    const double sum =
        std::max(std::accumulate(weights.begin(), weights.end(), 0.0), kSmallestWeightSum);
    for (double& weight : weights) weight /= sum;
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    const size_t expert = static_cast<size_t>(chosen[i]);
    const double own = expert_scale.empty() ? 1 : expert_scale[expert];
    route->experts.push_back(chosen[i]);
    route->weights.push_back(static_cast<float>(weights[i] * op.scale * own));
  }
}

// out = weight * in + bias for one expert and row.
void Product(Pass* pass, WeightId id, WeightId bias_id, int64_t expert, int64_t token,
             std::span<const float> in, std::vector<float>* out) {
  WeightTable* weights = pass->weights;
  const std::vector<float> bias = weights->Vector(bias_id, expert);
  out->resize(static_cast<size_t>(weights->at(id).rows));
  for (size_t r = 0; r < out->size(); ++r) {
    const std::span<const float> row = weights->Row(id, expert, static_cast<int64_t>(r));
    double sum = bias.empty() ? 0 : bias[r];
    for (size_t i = 0; i < in.size(); ++i) sum += static_cast<double>(row[i]) * in[i];
    (*out)[r] = static_cast<float>(sum);
  }
  pass->Tell(id, expert, in);
  AddLowRank(*pass, id, expert, token, in, *out);
}

// result += weight * expert(in)
void AddExpert(const ExpertsOp& op, Pass* pass, int64_t token, int64_t expert, float weight,
               std::span<double> result) {
  const std::span<const float> in = pass->At(op.in, token);
  std::vector<float> input(in.begin(), in.end()), gate, up, down;
  if (op.weigh_input) {
    for (float& value : input) value *= weight;
  }
  Product(pass, op.up, op.up_bias, expert, token, input, &up);
  if (op.gate != kNoWeight) {
    Product(pass, op.gate, op.gate_bias, expert, token, input, &gate);
    for (size_t i = 0; i < up.size(); ++i) up[i] = Gate(op, gate[i], up[i]);
  } else {
    for (float& value : up) value = Activate(op.activation, value);
  }
  Product(pass, op.down, op.down_bias, expert, token, up, &down);
  for (size_t i = 0; i < down.size(); ++i) result[i] += (op.weigh_input ? 1.0 : weight) * down[i];
}

}  // namespace

void Execute(const RouteOp& op, Pass* pass) {
  const std::vector<float> selection_bias = pass->weights->Vector(op.selection_bias);
  const std::vector<float> expert_scale = pass->weights->Vector(op.expert_scale);
  Route& route = pass->routes[static_cast<size_t>(op.route)];
  route = Route{.used = op.used};
  for (int64_t row = 0; row < pass->rows; ++row)
    RouteRow(op, pass->At(op.logits, row), selection_bias, expert_scale, &route);
}

void Execute(const ExpertsOp& op, Pass* pass) {
  const Route& route = pass->routes[static_cast<size_t>(op.route)];
  std::vector<double> result;
  for (int64_t row = 0; row < pass->rows; ++row) {
    result.assign(static_cast<size_t>(op.out.width), 0);
    for (int64_t i = row * route.used; i < (row + 1) * route.used; ++i) {
      AddExpert(op, pass, row, route.experts[static_cast<size_t>(i)],
                route.weights[static_cast<size_t>(i)], result);
    }
    const std::span<float> out = pass->At(op.out, row);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(result[i]);
  }
}

void Execute(const DetourOp& op, Pass* pass) {
  CHECK(*pass->detour) << "a detour that nobody computes";
  std::vector<float> in, out(static_cast<size_t>(pass->rows * op.out.width));
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> values = pass->At(op.in, row);
    in.insert(in.end(), values.begin(), values.end());
  }
  pass->failure = (*pass->detour)(op.detour, in, out);
  for (int64_t row = 0; row < pass->rows; ++row)
    std::copy_n(out.begin() + row * op.out.width, op.out.width, pass->At(op.out, row).begin());
}

}  // namespace puna::backend::reference
