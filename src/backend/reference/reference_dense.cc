// Ops that look at one row at a time: embedding, norms, matrix products, rope, element-wise
// functions, row selection.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/reference/reference_ops.h"
#include "base/check.h"

namespace puna::backend::reference {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Normalizes one group in place, in double.
void Normalize(NormKind kind, double epsilon, std::span<double> x) {
  const double n = static_cast<double>(x.size());
  double sum = 0, squares = 0;
  for (const double value : x) sum += value;
  const double mean = kind == NormKind::kLayer ? sum / n : 0;
  for (const double value : x) squares += (value - mean) * (value - mean);
  const double divisor = kind == NormKind::kL2 ? std::max(std::sqrt(squares), epsilon)
                                               : std::sqrt(squares / n + epsilon);
  for (double& value : x) value = (value - mean) / divisor;
}

// out += what the adapters of row `row` add to row `weight_row` of the weight.
void AddLowRankOfRow(const Pass& pass, WeightId weight, int64_t weight_row, int64_t row,
                     std::span<float> out) {
  for (const AppliedAdapter& applied : pass.AdaptersOf(row)) {
    const LowRankChange* change = applied.adapter->Find(weight);
    if (change == nullptr) continue;
    for (size_t i = 0; i < out.size(); ++i) {
      double sum = 0;
      for (int64_t r = 0; r < change->rank; ++r)
        sum += static_cast<double>(change->B(0, r)[weight_row]) * change->A(0, r)[i];
      out[i] = static_cast<float>(out[i] + applied.scale * sum);
    }
  }
}

}  // namespace

void AddLowRank(const Pass& pass, WeightId weight, int64_t expert, int64_t row,
                std::span<const float> in, std::span<float> out) {
  for (const AppliedAdapter& applied : pass.AdaptersOf(row)) {
    const LowRankChange* change = applied.adapter->Find(weight);
    if (change == nullptr) continue;
    std::vector<double> sums(out.size(), 0);
    for (int64_t r = 0; r < change->rank; ++r) {
      double dot = 0;
      for (size_t i = 0; i < in.size(); ++i)
        dot += static_cast<double>(change->A(expert, r)[i]) * in[i];
      for (size_t i = 0; i < out.size(); ++i) sums[i] += dot * change->B(expert, r)[i];
    }
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(out[i] + applied.scale * sums[i]);
  }
}

float Activate(Activation activation, double x) {
  constexpr double kPi = 3.14159265358979323846;
  switch (activation) {
    case Activation::kIdentity:
      return static_cast<float>(x);
    case Activation::kSilu:
      return static_cast<float>(x * Sigmoid(x));
    case Activation::kGeluTanh:
      return static_cast<float>(0.5 * x *
                                (1 + std::tanh(std::sqrt(2 / kPi) * (x + 0.044715 * x * x * x))));
    case Activation::kGeluErf:
      return static_cast<float>(0.5 * x * (1 + std::erf(x / std::sqrt(2.0))));
    case Activation::kGeluQuick:
      return static_cast<float>(x * Sigmoid(1.702 * x));
    case Activation::kRelu:
      return static_cast<float>(std::max(x, 0.0));
    case Activation::kReluSquared:
      return static_cast<float>(std::max(x, 0.0) * std::max(x, 0.0));
    case Activation::kSigmoid:
      return static_cast<float>(Sigmoid(x));
    case Activation::kTanh:
      return static_cast<float>(std::tanh(x));
    case Activation::kExp:
      return static_cast<float>(std::exp(x));
    case Activation::kSoftplus:
      return static_cast<float>(x > 20 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)));
  }
  CHECK(false) << "activation " << static_cast<int>(activation);
  return 0;
}

void Execute(const EmbedOp& op, Pass* pass) {
  for (int64_t token = 0; token < pass->rows; ++token) {
    const std::span<const float> row =
        pass->weights->Row(op.table, 0, pass->batch.tokens[static_cast<size_t>(token)]);
    const std::span<float> out = pass->At(op.out, token);
    std::copy(row.begin(), row.end(), out.begin());
    AddLowRankOfRow(*pass, op.table, pass->batch.tokens[static_cast<size_t>(token)], token, out);
    for (float& value : out) value *= op.scale;
  }
}

void Execute(const AddRowOp& op, Pass* pass) {
  for (int64_t token = 0; token < pass->rows; ++token) {
    const int64_t index = op.fixed_row >= 0 ? op.fixed_row : pass->position(token);
    const std::span<const float> row = pass->weights->Row(op.table, 0, index);
    const std::span<float> inout = pass->At(op.inout, token);
    for (size_t i = 0; i < inout.size(); ++i) inout[i] += row[i];
  }
}

void Execute(const NormOp& op, Pass* pass) {
  const std::vector<float> weight = pass->weights->Vector(op.weight);
  const std::vector<float> bias = pass->weights->Vector(op.bias);
  const size_t group = static_cast<size_t>(op.group);
  std::vector<double> x(group);
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> in = pass->At(op.in, row);
    const std::span<float> out = pass->At(op.out, row);
    for (size_t begin = 0; begin < in.size(); begin += group) {
      std::copy_n(in.begin() + static_cast<ptrdiff_t>(begin), group, x.begin());
      Normalize(op.kind, op.epsilon, x);
      for (size_t i = 0; i < group; ++i) {
        double value = x[i];
        if (!weight.empty()) value *= weight[(begin + i) % weight.size()];
        if (!bias.empty()) value += bias[(begin + i) % bias.size()];
        out[begin + i] = static_cast<float>(value);
      }
    }
  }
}

void Execute(const MatMulOp& op, Pass* pass) {
  const std::vector<float> bias = pass->weights->Vector(op.bias);
  for (int64_t r = 0; r < op.out.width; ++r) {
    const std::span<const float> weight = pass->weights->Row(op.weight, 0, r);
    for (int64_t row = 0; row < pass->rows; ++row) {
      const std::span<const float> in = pass->At(op.in, row);
      double sum = bias.empty() ? 0 : bias[static_cast<size_t>(r)];
      for (size_t i = 0; i < in.size(); ++i) sum += static_cast<double>(weight[i]) * in[i];
      pass->At(op.out, row)[static_cast<size_t>(r)] = static_cast<float>(sum);
    }
  }
  for (int64_t row = 0; row < pass->rows; ++row) {
    pass->Tell(op.weight, 0, pass->At(op.in, row));
    AddLowRank(*pass, op.weight, 0, row, pass->At(op.in, row), pass->At(op.out, row));
  }
}

void Execute(const RopeOp& op, Pass* pass) {
  const size_t pairs = op.inverse_frequency.size();
  for (int64_t token = 0; token < pass->rows; ++token) {
    const std::span<float> row = pass->At(op.inout, token);
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(pass->position(token)) * op.inverse_frequency[i];
      const double cosine = std::cos(angle) * op.magnitude, sine = std::sin(angle) * op.magnitude;
      const size_t first = op.kind == RopeKind::kInterleaved ? 2 * i : i;
      const size_t second = op.kind == RopeKind::kInterleaved ? 2 * i + 1 : i + pairs;
      for (size_t head = static_cast<size_t>(op.head_offset); head < row.size();
           head += static_cast<size_t>(op.head_size)) {
        const double a = row[head + first], b = row[head + second];
        row[head + first] = static_cast<float>(a * cosine - b * sine);
        row[head + second] = static_cast<float>(a * sine + b * cosine);
      }
    }
  }
}

void Execute(const HeadMatMulOp& op, Pass* pass) {
  const Weight& weight = pass->weights->at(op.weight);
  for (int64_t h = 0; h < weight.experts; ++h) {
    for (int64_t r = 0; r < weight.rows; ++r) {
      const std::span<const float> values = pass->weights->Row(op.weight, h, r);
      for (int64_t row = 0; row < pass->rows; ++row) {
        const float* in = pass->At(op.in, row).data() + h * op.in_stride;
        double sum = 0;
        for (size_t i = 0; i < values.size(); ++i) sum += static_cast<double>(values[i]) * in[i];
        pass->At(op.out, row)[static_cast<size_t>(h * op.out_stride + r)] = static_cast<float>(sum);
      }
    }
    for (int64_t row = 0; row < pass->rows; ++row) {
      const std::span<const float> in =
          pass->At(op.in, row)
              .subspan(static_cast<size_t>(h * op.in_stride), static_cast<size_t>(weight.cols));
      pass->Tell(op.weight, h, in);
      AddLowRank(
          *pass, op.weight, h, row, in,
          pass->At(op.out, row)
              .subspan(static_cast<size_t>(h * op.out_stride), static_cast<size_t>(weight.rows)));
    }
  }
}

void Execute(const CopyHeadsOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    for (int64_t h = 0; h < op.heads; ++h) {
      std::copy_n(pass->At(op.in, row).begin() + h * op.in_stride, op.size,
                  pass->At(op.out, row).begin() + h * op.out_stride);
    }
  }
}

void Execute(const PositionScaleOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    const int64_t steps = (pass->position(row) + op.offset) / op.length;
    const double factor = 1 + op.scale * std::log1p(static_cast<double>(steps));
    for (float& value : pass->At(op.inout, row)) value = static_cast<float>(value * factor);
  }
}

void Execute(const UnaryOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> in = pass->At(op.in, row);
    const std::span<float> out = pass->At(op.out, row);
    for (size_t i = 0; i < out.size(); ++i) out[i] = Activate(op.activation, in[i]);
  }
}

void Execute(const GatedOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> gate = pass->At(op.gate, row), up = pass->At(op.up, row);
    const std::span<float> out = pass->At(op.out, row);
    for (size_t i = 0; i < out.size(); ++i) out[i] = Gate(op, gate[i], up[i]);
  }
}

void Execute(const AddOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> a = pass->At(op.a, row), b = pass->At(op.b, row);
    const std::span<float> out = pass->At(op.out, row);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(a[i] + static_cast<double>(op.scale) * b[i]);
  }
}

void Execute(const MulOp& op, Pass* pass) {
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> a = pass->At(op.a, row), b = pass->At(op.b, row);
    const std::span<float> out = pass->At(op.out, row);
    const bool whole_row = b.size() == 1;
    const float factor = b[0];
    for (size_t i = 0; i < out.size(); ++i) out[i] = a[i] * (whole_row ? factor : b[i]);
  }
}

void Execute(const AffineOp& op, Pass* pass) {
  const std::vector<float> weight = pass->weights->Vector(op.weight);
  const std::vector<float> bias = pass->weights->Vector(op.bias);
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> in = pass->At(op.in, row);
    const std::span<float> out = pass->At(op.out, row);
    for (size_t i = 0; i < out.size(); ++i) {
      const double scaled = static_cast<double>(in[i]) * (weight.empty() ? 1 : weight[i]);
      out[i] = static_cast<float>(scaled + (bias.empty() ? 0 : bias[i]));
    }
  }
}

void Execute(const ScaleOp& op, Pass* pass) {
  const std::vector<float> weight = pass->weights->Vector(op.weight);
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<float> values = pass->At(op.inout, row);
    for (size_t i = 0; i < values.size(); ++i) {
      float& value = values[i];
      double x = static_cast<double>(op.scale) * value;
      if (!weight.empty()) x *= weight[i];
      x += op.offset;
      if (op.softcap > 0) x = op.softcap * std::tanh(x / op.softcap);
      if (op.clamp > 0) x = std::clamp<double>(x, -op.clamp, op.clamp);
      value = static_cast<float>(x);
    }
  }
}

void Execute(const SelectRowsOp& op, Pass* pass) {
  // Output rows ascend, so a row is read before it can be overwritten in place.
  pass->rows = static_cast<int64_t>(pass->batch.output_rows.size());
  pass->row_segments.clear();
  for (const int32_t row : pass->batch.output_rows)
    pass->row_segments.push_back(pass->token_segments[static_cast<size_t>(row)]);
  for (int64_t row = 0; row < pass->rows; ++row) {
    const std::span<const float> in =
        pass->At(op.in, pass->batch.output_rows[static_cast<size_t>(row)]);
    std::copy(in.begin(), in.end(), pass->At(op.out, row).begin());
  }
}

void Execute(const PoolOp& op, Pass* pass) {
  std::vector<double> sum;
  for (size_t s = 0; s < pass->batch.segments.size(); ++s) {
    const Segment& segment = pass->batch.segments[s];
    const int64_t last = segment.first_row + segment.tokens - 1;
    const int64_t from = op.pooling == Pooling::kLast ? last : segment.first_row;
    const int64_t to = op.pooling == Pooling::kFirst ? segment.first_row : last;
    sum.assign(static_cast<size_t>(op.in.width), 0);
    for (int64_t row = from; row <= to; ++row) {
      const std::span<const float> in = pass->At(op.in, row);
      for (size_t i = 0; i < in.size(); ++i) sum[i] += in[i];
    }
    const std::span<float> out = pass->At(op.out, static_cast<int64_t>(s));
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(sum[i] / static_cast<double>(to - from + 1));
  }
  pass->rows = static_cast<int64_t>(pass->batch.segments.size());
  pass->row_segments.resize(pass->batch.segments.size());
  std::iota(pass->row_segments.begin(), pass->row_segments.end(), size_t{0});
}

}  // namespace puna::backend::reference
