// LFM 2: of three parts b, c, x of the input projection, c * convolution(b * x).
#include "model/recurrent_block.h"

namespace puna::model {

View ShortConvolutionBlock(PlanBuilder* plan, int64_t layer, const ShortConvolutionConfig& config,
                           View in) {
  const int64_t width = plan->config().width;
  const View all = plan->Scratch("short_convolution_in", 3 * width);
  plan->Linear(plan->Name(layer, "shortconv.in_proj"), in, all);
  const View b{all.buffer, 0, width}, c{all.buffer, width, width}, x{all.buffer, 2 * width, width};
  plan->Add(backend::MulOp{.a = x, .b = b, .out = x});
  const View out = plan->Scratch("short_convolution_out", width);
  Convolve(plan, plan->Name(layer, "shortconv.conv"), {config.kernel, width}, config.kernel, x,
           out);
  plan->Add(backend::MulOp{.a = out, .b = c, .out = out});
  return out;
}

}  // namespace puna::model
