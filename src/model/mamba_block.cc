// A convolution, then a selective state space over its result, gated by a second half of the input
// projection.
#include "model/recurrent_block.h"

namespace puna::model {
namespace {

void Silu(PlanBuilder* plan, View inout) {
  plan->Add(backend::UnaryOp{.activation = Activation::kSilu, .in = inout, .out = inout});
}

// out = silu(z) * out
void Gate(PlanBuilder* plan, View z, View out) {
  plan->Add(backend::GatedOp{.activation = Activation::kSilu, .gate = z, .up = out, .out = out});
}

// An RMS norm of a small vector, whose tensor is called with or without ".weight", or has none.
void StepNorm(PlanBuilder* plan, const std::string& name, View inout) {
  backend::NormOp op{.in = inout, .out = inout, .group = inout.width};
  op.epsilon = static_cast<float>(plan->config().norm_epsilon);
  op.weight = plan->OptionalVector(plan->FirstOf({name + ".weight", name}), inout.width);
  plan->Add(op);
}

bool HasStepNorms(PlanBuilder* plan, int64_t layer) {
  for (const char* name : {"ssm_dt_norm", "ssm_b_norm", "ssm_c_norm"}) {
    const std::string tensor = plan->Name(layer, name);
    if (!plan->Has(tensor) && !plan->Has(tensor + ".weight")) return false;
  }
  return true;
}

struct Halves {
  View x, z;
};

Halves Project(PlanBuilder* plan, int64_t layer, const MambaConfig& config, View in) {
  const View both = plan->Scratch("mamba_in", 2 * config.inner);
  plan->Linear(plan->Name(layer, "ssm_in"), in, both);
  if (!config.plamo)
    return {{both.buffer, 0, config.inner}, {both.buffer, config.inner, config.inner}};
  // Of each head first z, then x.
  const Halves halves{plan->Scratch("mamba_x_in", config.inner),
                      plan->Scratch("mamba_z", config.inner)};
  const int64_t size = config.inner / config.heads;
  for (const View& out : {halves.z, halves.x}) {
    const int64_t first = out.buffer == halves.z.buffer ? 0 : size;
    plan->Add(backend::CopyHeadsOp{.in = {both.buffer, first, (2 * config.heads - 1) * size},
                                   .out = out,
                                   .heads = config.heads,
                                   .size = size,
                                   .in_stride = 2 * size,
                                   .out_stride = size});
  }
  return halves;
}

struct Small {
  View rank, b, c;
};

// What time steps are made of, b and c: all from x.
Small ProjectSmall(PlanBuilder* plan, int64_t layer, const MambaConfig& config, View x) {
  const int64_t rank =
      config.rank > 0 ? config.rank : plan->ColsOf(plan->Name(layer, "ssm_dt.weight"));
  const int64_t state = config.state;
  const View all = plan->Scratch("mamba_small", rank + 2 * state);
  plan->Linear(plan->Name(layer, "ssm_x"), x, all);
  const int buffer = all.buffer;
  if (config.plamo) return {{buffer, 2 * state, rank}, {buffer, 0, state}, {buffer, state, state}};
  return {{buffer, 0, rank}, {buffer, rank, state}, {buffer, rank + state, state}};
}

}  // namespace

View MambaBlock(PlanBuilder* plan, int64_t layer, const MambaConfig& config, View in) {
  const auto [x_in, z] = Project(plan, layer, config, in);
  const View x = plan->Scratch("mamba_x", config.inner);
  Convolve(plan, plan->Name(layer, "ssm_conv1d"), {config.kernel, config.inner}, config.kernel,
           x_in, x);
  Silu(plan, x);

  const auto [rank, b, c] = ProjectSmall(plan, layer, config, x);
  if (config.step_norms || HasStepNorms(plan, layer)) {
    StepNorm(plan, plan->Name(layer, "ssm_dt_norm"), rank);
    StepNorm(plan, plan->Name(layer, "ssm_b_norm"), b);
    StepNorm(plan, plan->Name(layer, "ssm_c_norm"), c);
  }
  backend::ScanOp scan{.x = x, .b = b, .c = c};
  scan.dt = plan->Scratch("mamba_dt", config.heads);
  plan->Linear(plan->Name(layer, "ssm_dt"), rank, scan.dt);
  scan.out = plan->Scratch("mamba_out", config.inner);
  scan.heads = config.heads;
  scan.head_size = config.inner / config.heads;
  scan.state_size = config.state;
  scan.state = plan->AddStateLayer(config.inner * config.state);
  const std::string decay = plan->Name(layer, "ssm_a");
  scan.decay = config.plamo ? plan->Vector(decay, config.heads)
                            : plan->FlatMatrix(decay, config.state, config.heads);
  scan.skip = plan->Vector(plan->Name(layer, "ssm_d"), config.heads);
  plan->Add(scan);
  Gate(plan, z, scan.out);
  return scan.out;
}

View Mamba2Block(PlanBuilder* plan, int64_t layer, const Mamba2Config& config, View in) {
  const int64_t shared = config.groups * config.state, mixed = config.inner + 2 * shared;
  const View all = plan->Scratch("mamba_in", config.inner + mixed + config.heads);
  plan->Linear(plan->Name(layer, "ssm_in"), in, all);
  const View z{all.buffer, 0, config.inner};
  const View xbc_in{all.buffer, config.inner, mixed};
  const View dt{all.buffer, config.inner + mixed, config.heads};

  const View xbc = plan->Scratch("mamba_x", mixed);
  Convolve(plan, plan->Name(layer, "ssm_conv1d"), {config.kernel, mixed}, config.kernel, xbc_in,
           xbc);
  Silu(plan, xbc);
  plan->Add(backend::AffineOp{
      .in = dt, .out = dt, .bias = plan->Vector(plan->Name(layer, "ssm_dt.bias"), config.heads)});

  backend::ScanOp scan;
  scan.x = {xbc.buffer, 0, config.inner};
  scan.dt = dt;
  scan.b = {xbc.buffer, config.inner, shared};
  scan.c = {xbc.buffer, config.inner + shared, shared};
  scan.out = plan->Scratch("mamba_out", config.inner);
  scan.heads = config.heads;
  scan.head_size = config.inner / config.heads;
  scan.state_size = config.state;
  scan.groups = config.groups;
  scan.state = plan->AddStateLayer(config.inner * config.state);
  scan.decay = plan->FlatMatrix(plan->Name(layer, "ssm_a"), 1, config.heads);
  scan.skip = plan->FlatMatrix(plan->Name(layer, "ssm_d"), 1, config.heads);
  plan->Add(scan);
  Gate(plan, z, scan.out);

  const std::string norm = plan->Name(layer, "ssm_norm.weight");
  if (plan->Has(norm)) {
    backend::NormOp op{.in = scan.out, .out = scan.out, .group = config.inner / config.groups};
    op.epsilon = static_cast<float>(plan->config().norm_epsilon);
    op.weight = plan->FlatMatrix(norm, op.group, config.groups);
    plan->Add(op);
  }
  return scan.out;
}

}  // namespace puna::model
