// The numbers of a rotary embedding: one inverse frequency per pair and one magnitude, whatever
// stretches the context.
#ifndef PUNA_MODEL_ROPE_H_
#define PUNA_MODEL_ROPE_H_

#include <span>
#include <vector>

#include "model/config.h"

namespace puna::model {

struct RopeNumbers {
  std::vector<float> inverse_frequency;  // [dimensions / 2], radians per position
  float magnitude = 1;
  double score_factor = 1;  // of attention scores, for RopeConfig::scales_scores
};

// `factors` divides the frequencies pair by pair (llama 3, long-context phi); empty or [dimensions
// / 2]. YaRN as in Peng et al. 2023, with the attention factor that the file names or, without one,
// that which llama.cpp computes.
RopeNumbers ComputeRope(const RopeConfig& rope, std::span<const float> factors);

}  // namespace puna::model

#endif  // PUNA_MODEL_ROPE_H_
