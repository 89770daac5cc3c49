// GGUF tensors from stored ones: rows are taken where a rule says, in pieces, from one tensor or
// from one per expert.
#ifndef PUNA_STORE_CONVERT_GATHER_H_
#define PUNA_STORE_CONVERT_GATHER_H_

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "store/convert/checkpoint.h"
#include "store/convert/families.h"
#include "store/convert/model_writer.h"

namespace puna::store {

// What transforms ask of a model.
struct GatherShape {
  int64_t layers = 0, experts = 0, heads = 0, kv_heads = 0;
  int64_t skipped_positions = 0;
  // Values for which FP8 weights share a scale, down and across.
  int64_t scale_rows = 128, scale_columns = 128;
};

// The tensors that `rules` make of `checkpoint`; each holds on to it. A stored tensor that no rule
// takes is kUnsupported: without it the model would not be what it was.
Result<std::vector<TensorSource>> GatherTensors(const std::shared_ptr<const Checkpoint>& checkpoint,
                                                std::span<const TensorRule> rules,
                                                const GatherShape& shape);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_GATHER_H_
