// What the block builders share: finding and checking tensors, activation buffers, the op list.
// Internal to model/.
//
// The first problem sticks: later calls return placeholders, and BuildPlan asks status() after each
// layer. So a block reads as the list of ops that it is.
#ifndef PUNA_MODEL_PLAN_BUILDER_H_
#define PUNA_MODEL_PLAN_BUILDER_H_

#include <cstdint>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/plan.h"
#include "gguf/gguf.h"
#include "model/config.h"
#include "model/model.h"

namespace puna::model {

using backend::View;
using backend::WeightId;

// Part of the rows of a matrix: rows first, first + step, ... (count of them) of `total`.
struct RowSlice {
  int64_t first = 0;
  int64_t count = 0;
  int64_t total = 0;
  int64_t step = 1;
};

// The keys and values of a layer, for later layers that use them again.
struct KeysAndValues {
  int cache = -1;
  View k, v;  // without a cache
};

class PlanBuilder {
 public:
  // All of them outlive the builder.
  PlanBuilder(const ModelConfig& config, std::shared_ptr<const gguf::File> file,
              const PlanOptions& options);

  const ModelConfig& config() const { return config_; }
  const PlanOptions& options() const { return options_; }
  const Status& status() const { return status_; }
  bool ok() const { return status_.has_value(); }
  void Fail(ErrorCode code, std::string message);
  // Multiplies the product with a matrix "X.weight" by the number "X.scale" where the file has one
  // (NVFP4, BitNet); the bias comes afterwards. Call it when all ops are there.
  void ScaleProducts();
  // The finished plan; the builder is empty afterwards.
  backend::Plan Take();

  // "blk.<layer>.<name>"
  static std::string Name(int64_t layer, std::string_view name);
  // Tensors are looked for by their usual names, see model/ollama_names.h.
  bool Has(std::string_view tensor) const;
  // The first of `names` that exists; the first one if none does, so that an error names it.
  std::string FirstOf(std::initializer_list<std::string> names) const;
  // Rows of the tensor, or 0 if it does not exist.
  int64_t RowsOf(std::string_view tensor) const;
  // Length of its rows, or 0 if it does not exist.
  int64_t ColsOf(std::string_view tensor) const;

  // Weights. Missing, of another shape or of a type that holds no weights: an error that names the
  // tensor.
  WeightId Matrix(const std::string& tensor, int64_t in, int64_t out);
  WeightId MatrixRows(const std::string& tensor, int64_t in, RowSlice slice);
  // Rows of a tensor of shape `dims` taken as rows of `cols` values.
  WeightId Reshaped(const std::string& tensor, std::initializer_list<int64_t> dims, int64_t cols,
                    RowSlice rows);
  // A [cols, rows] tensor as one vector of cols * rows values.
  WeightId FlatMatrix(const std::string& tensor, int64_t cols, int64_t rows);
  WeightId Vector(const std::string& tensor, int64_t width);
  WeightId OptionalVector(const std::string& tensor, int64_t width);
  // One over each of its values.
  WeightId Reciprocals(const std::string& tensor, int64_t width);
  // Values [first, first + step, ...) of a vector as a weight of their own.
  WeightId OptionalVectorSlice(const std::string& tensor, RowSlice slice);
  WeightId Experts(const std::string& tensor, int64_t in, RowSlice slice, int64_t experts);
  WeightId OptionalExpertVectors(const std::string& tensor, RowSlice slice, int64_t experts);
  // The values of a small tensor, for numbers that go into ops; empty on an error.
  std::vector<float> Values(const std::string& tensor, int64_t count);

  // Embeddings are computed from the batch alone; text is generated with a cache.
  bool UsesCache() const { return !options_.embeddings; }
  // The tensor of the norm before the feed-forward; Ollama's gpt-oss files use the usual name.
  std::string FeedForwardNorm(int64_t layer) const;

  // A scratch buffer that blocks share by name; as wide as its widest use.
  View Scratch(std::string_view name, int64_t width);
  int AddCacheLayer(const backend::CacheLayer& layer);
  // What a recurrent op keeps between passes: the index of the state layer, or -1 without a cache.
  int AddStateLayer(int64_t values);
  void Keep(int64_t layer, KeysAndValues kept) { kept_[layer] = kept; }
  const KeysAndValues& Kept(int64_t layer) { return kept_[layer]; }
  void UseSelections(int selections) { plan_.selections = std::max(plan_.selections, selections); }
  void UseRoutes(int routes) { plan_.routes = std::max(plan_.routes, routes); }
  template <typename OpType>
  void Add(OpType op) {
    plan_.ops.emplace_back(std::move(op));
  }
  // The ops so far are the pass of an encoder.
  void EndEncoder() { plan_.encoder_ops = plan_.ops.size(); }
  void SetPositions(int64_t positions) { plan_.positions = positions; }
  void SetOutput(View output, bool pooled) {
    plan_.output = output;
    plan_.pooled = pooled;
  }

  // Ops that several blocks need.
  // out = weight * in + bias if "<name>.bias" exists; `name` without ".weight".
  void Linear(const std::string& name, View in, View out, bool with_bias = true);
  // The norm "<name>.weight" or "<name>" (required, unless the model's norms have no weights) with
  // "<name>.bias" if it exists.
  void Norm(const std::string& name, View in, View out);

 private:
  // Finds the tensor and checks dims; trailing dims of 1 may be left out by the file.
  const gguf::Tensor* Find(const std::string& tensor, std::initializer_list<int64_t> dims);
  // The slice of a vector per expert, decoded into memory of the plan. Null: kNoWeight.
  WeightId CopySlice(const gguf::Tensor* tensor, RowSlice slice, int64_t experts);
  WeightId AddWeight(const gguf::Tensor& tensor, int64_t cols, RowSlice slice, int64_t experts);
  // "X.scale" of a weight "X.weight"; null: there is none.
  const gguf::Tensor* ScaleOf(WeightId weight) const;

  const ModelConfig& config_;
  const PlanOptions& options_;
  // What the plan keeps alive: the file, and the few values that had to be rearranged.
  struct Owned {
    std::shared_ptr<const gguf::File> file;
    std::list<std::vector<float>> vectors;
  };
  std::shared_ptr<Owned> owned_;
  backend::Plan plan_;
  Status status_;
  std::map<std::string, int, std::less<>> buffers_;
  std::map<int64_t, KeysAndValues> kept_;  // by layer
  std::map<std::string, WeightId>
      whole_;  // tensors that are used as they are, so that a tied matrix is one weight
};

}  // namespace puna::model

#endif  // PUNA_MODEL_PLAN_BUILDER_H_
