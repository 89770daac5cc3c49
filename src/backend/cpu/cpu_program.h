// A compiled plan with its memory.
#ifndef PUNA_BACKEND_CPU_CPU_PROGRAM_H_
#define PUNA_BACKEND_CPU_CPU_PROGRAM_H_

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/compiler.h"
#include "backend/cpu/kv_pool.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/turn_mutex.h"
#include "backend/cpu/weight_store.h"
#include "backend/input_observer.h"

namespace puna::backend::cpu {

// What all programs of a backend share.
struct Machine {
  Machine(Isa isa, int threads, InputObserver* observer = nullptr)
      : isa(isa), observer(observer), pool(threads) {}
  const Isa isa;
  InputObserver* const observer;  // may be null
  TurnMutex mutex;                // held while the pool runs a job
  ThreadPool pool;
};

class CpuProgram final : public Program {
 public:
  // The program without weights and memory: enough for memory_use().
  static Result<std::unique_ptr<CpuProgram>> Outline(std::shared_ptr<const Plan> plan,
                                                     const CompileOptions& options,
                                                     Machine* machine);
  // Takes the memory and packs the weights.
  Status Load();

  Status Run(const Batch& batch, std::span<float> out) override;
  void CopyPage(int32_t from, int32_t to, int64_t tokens) override;
  void ReleasePage(int32_t page) override;
  std::span<uint8_t> PageBytes(int32_t page) override;
  std::string PageFormat() const override;
  bool Settle(double seconds) override;
  MemoryUse memory_use() const override;
  int64_t untouched_bytes() const override;
  void ReleaseActivations() override;
  std::string Describe() const override;

 private:
  CpuProgram(std::shared_ptr<const Plan> plan, const CompileOptions& options, Machine* machine);

  // Places what passes of `rows` rows need beside weights and cache from `base` on (null: only
  // measures); returns the bytes.
  int64_t LayOut(int64_t rows, uint8_t* base);
  void FillRows(const Batch& batch);
  // Adds a row behind those of the last block, or as the first of a new one.
  void AddToBlocks(const Batch& batch, int64_t row, int64_t most,
                   std::vector<QueryBlock>* blocks) const;
  void FillRopeTables(const Pass& pass, Worker& worker) const;

  std::shared_ptr<const Plan> plan_;
  CompileOptions options_;
  Machine* machine_;
  WeightStore weights_;
  CompiledPlan compiled_;
  std::shared_ptr<AlignedBytes> arena_;  // may be another program's too
  int64_t arena_bytes_ = 0;
  int64_t touched_bytes_ = 0;  // of the arena, by this program
  KvPool kv_pool_;
  std::vector<float> low_rank_;  // grows with the adapters of a batch
  KvPool state_pool_;            // slots in place of pages

  // Into the arena, laid out for passes of so many rows.
  int64_t laid_out_rows_ = 0;
  std::vector<float*> buffers_;
  std::vector<int64_t> buffer_strides_;
  std::span<int64_t> positions_;
  std::span<int32_t> segments_;
  std::span<int64_t> key_pages_;
  std::vector<uint64_t*> selections_;
  int64_t selection_words_ = 0;
  uint8_t* shared_scratch_ = nullptr;
  uint8_t* worker_scratch_ = nullptr;
  int64_t worker_scratch_bytes_ = 0;
  std::vector<std::vector<QueryBlock>> query_blocks_;
};

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_CPU_PROGRAM_H_
