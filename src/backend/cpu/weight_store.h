// The weights of a program in the form that the steps use: packed matrices, and vectors as float32.
// Steps ask for them while the plan is compiled and keep the pointers; the bytes arrive later, when
// Load packs everything in parallel. So the memory of a program is known before any is taken.
#ifndef PUNA_BACKEND_CPU_WEIGHT_STORE_H_
#define PUNA_BACKEND_CPU_WEIGHT_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "backend/cpu/gemm.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/turn_mutex.h"
#include "backend/plan.h"
#include "base/result.h"

namespace puna::backend::cpu {

// Not thread safe. The pointers that it gives live as long as it does.
class WeightStore {
 public:
  // `exact_below_bytes` and `in_file` (weights_in_file) as in CompileOptions. What is packed from
  // decoded values has memory in any case.
  WeightStore(const Plan* plan, Isa isa, int64_t exact_below_bytes, bool in_file);

  // The packed form of one expert of a weight. Shape, format and tile size are valid at once,
  // `data` after Load. Two weights of the same bytes give the same matrix. kUnsupported if the type
  // cannot be computed with.
  Result<const PackedMatrix*> Matrix(WeightId id, int64_t expert = 0);
  // A matrix that Matrix has given out for the same bytes, or null.
  const PackedMatrix* FindMatrix(WeightId id) const;
  // All values of a weight as float32, filled by Load; null for kNoWeight.
  Result<const float*> Vector(WeightId id);

  const Weight& weight(WeightId id) const { return plan_->weights[static_cast<size_t>(id)]; }
  int64_t bytes() const { return bytes_; }

  // Packs everything. `progress` is called on the calling thread with (bytes done, bytes in all)
  // and cancels by false.
  // Takes `turns` for a few megabytes at a time, so that passes of other programs come in between.
  // `settle_later`: leaves to Settle what Multiply can do without.
  Status Load(ThreadPool* pool, TurnMutex* turns,
              const std::function<bool(int64_t, int64_t)>& progress, bool settle_later);
  // Goes on for about so long (0: only tells); false if nothing is left. Not while somebody
  // multiplies.
  bool Settle(ThreadPool* pool, TurnMutex* turns, double seconds);

 private:
  // Groups of a matrix that one worker packs at a time.
  struct Chunk {
    PackedMatrix* packed;
    Weight source;
    int64_t expert;
    int64_t begin, end;
  };
  struct MatrixEntry {
    const Weight* weight;
    int64_t expert;
    PackedMatrix packed;
    bool as_floats;  // packed from decoded values instead of the weight's blocks
  };
  struct VectorEntry {
    const Weight* weight;
    std::vector<float> values;
  };
  // First row, type, rows, cols, bytes from row to row, expert.
  using Key = std::tuple<const uint8_t*, quant::TensorType, int64_t, int64_t, int64_t, int64_t>;
  static Key KeyOf(const Weight& weight, int64_t expert);
  Result<PackedMatrix> Describe(const Weight& weight) const;
  // Whether `weight` is decoded before it is packed.
  Result<bool> PackedAsFloats(const Weight& weight) const;
  bool StaysInFile(const MatrixEntry& entry) const { return in_file_ && !entry.as_floats; }
  Status AllocateMatrices();
  void DecodeVectors();

  const Plan* plan_;
  Isa isa_;
  bool exact_;
  bool in_file_;
  int64_t bytes_ = 0;
  AlignedBytes block_;  // of all matrices
  std::map<Key, std::unique_ptr<MatrixEntry>> matrices_;
  std::map<Key, VectorEntry> vectors_;
  std::vector<Chunk> later_;  // what Settle has to do
  size_t settled_ = 0;        // of later_
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_WEIGHT_STORE_H_
