// From a file to something a backend can run.
#ifndef PUNA_MODEL_MODEL_H_
#define PUNA_MODEL_MODEL_H_

#include <memory>

#include "backend/plan.h"
#include "base/result.h"
#include "gguf/gguf.h"
#include "model/config.h"

namespace puna::model {

struct PlanOptions {
  // The longest context that sequences will use, in tokens; some rope scalings depend on it. 0: the
  // trained length.
  int64_t context_length = 0;
  // Build the plan that returns pooled (or, with Pooling::kNone, all) hidden states instead of
  // logits.
  bool embeddings = false;
};

// Finds the tensors by their standard names, checks their shapes against the config, and lays out
// the ops. A bias or norm that is present is applied. Missing tensor, wrong shape, unusable type:
// kCorrupt naming the tensor, found and wanted. The plan keeps the file alive.
Result<std::shared_ptr<const backend::Plan>> BuildPlan(const ModelConfig& config,
                                                       std::shared_ptr<const gguf::File> file,
                                                       const PlanOptions& options);

}  // namespace puna::model

#endif  // PUNA_MODEL_MODEL_H_
