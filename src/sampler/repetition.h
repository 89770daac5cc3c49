// Finds where a text is about to repeat itself, for the DRY penalty.
#ifndef PUNA_SAMPLER_REPETITION_H_
#define PUNA_SAMPLER_REPETITION_H_

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace puna::sampler {

// For each token that followed an earlier occurrence of the tokens at the end of `history`: how
// many tokens long the longest such occurrence is, if at least `min_length`. An occurrence holds no
// token of `breakers` (sorted). Linear in the history.
std::map<int32_t, int64_t> FindRepetitions(std::span<const int32_t> history, int64_t min_length,
                                           const std::vector<int32_t>& breakers);

}  // namespace puna::sampler

#endif  // PUNA_SAMPLER_REPETITION_H_
