// Who computes. A Backend compiles a plan (backend/plan.h) into a Program: weights in the layout it
// likes, activation buffers, and the memory of the key/value cache. Three exist: `reference`
// (scalar, double accumulators; the oracle of the others), `cpu` (packed weights, SIMD, threads)
// and `vulkan` (shaders). What CreateBackend makes of devices shares the layers of a plan between
// them and the CPU (split_backend.h).
//
// The key/value cache is a pool of pages of kPageTokens tokens, each holding all layers. Who owns
// which page is the caller's business (model/kv_cache.h); a Program only reads and writes the pages
// that a batch names.
//
// What recurrent layers know of a sequence is one state of fixed size, for all of them together. A
// state slot holds it as of one position. A pass reads a sequence's state from one slot and writes
// it, as of one or more of the positions that it computes, to others; so a slot that is not written
// again is a checkpoint that cost no copy.
#ifndef PUNA_BACKEND_BACKEND_H_
#define PUNA_BACKEND_BACKEND_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/adapter.h"
#include "backend/plan.h"
#include "base/result.h"

namespace puna::backend {

inline constexpr int64_t kPageTokens = 16;

enum class KvType { kF32, kF16, kQ8_0 };
Result<KvType> ParseKvType(std::string_view name);  // "f32", "f16", "q8_0"
std::string_view KvTypeName(KvType type);

// The state after the first `tokens` tokens of a segment goes to `slot`.
struct StateWrite {
  int64_t tokens = 0;
  int32_t slot = 0;
};

// Consecutive tokens of one sequence within a batch.
struct Segment {
  int64_t first_row = 0;       // index of its first token in Batch::tokens
  int64_t tokens = 0;          // > 0
  int64_t start_position = 0;  // position of its first token in the sequence; see Plan::positions
  // pages[i] holds positions [16 i, 16 i + 16) of the sequence; it must cover start_position +
  // tokens. Positions before start_position must have been computed into these pages before. Empty
  // if the plan has no cache layers.
  std::span<const int32_t> pages;
  // Changes of the weights for this segment alone, applied together; made for this plan.
  std::span<const AppliedAdapter> adapters;
  // The slot with the state as of start_position (not read if that is 0), and where to write states
  // to, tokens ascending up to `tokens`. Ignored if the plan has no state layers. The slot that is
  // read may be written.
  int32_t state = -1;
  std::span<const StateWrite> state_writes;
  // Of plans with an encoder: so many positions at the beginning of the sequence belong to the text
  // that it read. In the pass that reads them not used; in all others above 0.
  int64_t encoded = 0;
};

// An output row of which the largest values are enough: Run writes as many as there is room for,
// the largest first and equal ones by column, with the columns they are in. What is not finite is
// left out; where fewer are left, -infinity and column -1 follow.
struct RankedRow {
  int32_t row = 0;
  std::span<float> values;     // at least one
  std::span<int32_t> columns;  // of the same size
};

// One pass. Segments are disjoint, in row order, and cover all tokens. Two segments may share pages
// that neither writes, and read the same state slot; a slot that one writes no other may touch.
struct Batch {
  std::span<const int32_t> tokens;  // ids in [0, Plan::vocabulary)
  std::span<const Segment> segments;
  std::span<const int32_t>
      output_rows;  // rows to compute outputs for, ascending; ignored by pooled plans
  // More rows to compute outputs for, ascending, none of them in output_rows; with no more values
  // each than Program::most_ranked.
  std::span<const RankedRow> ranked_rows;
  std::span<const float> input;  // [tokens, width of Plan::input]
  // Runs the encoder of the plan: each segment is a whole text and starts its sequence. There are
  // no outputs.
  bool encodes = false;
};

// What of a plan goes to devices, if the backend has any. Less of it does where it does not fit.
struct DeviceShare {
  int64_t layers = -1;  // most layers; -1: as many as fit
  int device = -1;      // the only one to use, an index into Backend::devices(); -1: all of them
  // So much of what is free on the devices is promised to others, pages that are not written yet.
  int64_t promised_bytes = 0;
  // What programs may take of the system's memory now, asked before it is taken for what is not on
  // devices; null: whatever it takes. More is kResourceExhausted.
  std::function<int64_t()> system_bytes;
};

// Computes a DetourOp of a plan by its number: `in` and `out` are [rows, width], the rows being
// those of the batch's tokens or, where there are fewer, its output rows and ranked rows.
using Detour = std::function<Status(int detour, std::span<const float> in, std::span<float> out)>;

class Program;

struct CompileOptions {
  KvType kv_type = KvType::kF16;
  int64_t kv_pages =
      0;  // size of the pool; memory is taken from the system as pages are first written
  int64_t state_slots = 0;         // slots for states; memory is taken as with pages
  int64_t max_batch_tokens = 512;  // rows a batch may have
  DeviceShare share;
  // Plans whose weights are smaller than this are computed with float32 activations and weights:
  // the rounding of int8 activations buys nothing where everything fits into a cache, and tiny
  // models have the least room for it.
  int64_t exact_below_bytes = int64_t{32} << 20;
  // Called with (weight bytes done, weight bytes in all) while weights are packed; returning false
  // cancels.
  std::function<bool(int64_t, int64_t)> progress;
  // Return before the weights are in place: passes can begin at once, slower at first and with the
  // same results, and Program::Settle brings the weights into place between them.
  bool settle_later = false;
  // Weights on the CPU stay where the plan has them, in the mapping of their file: they take no
  // memory that the system could not drop, and each product brings what it needs into place anew.
  // Slow, with the same results; for models that are larger than memory.
  bool weights_in_file = false;
  // Called by Run, for plans with DetourOps.
  Detour detour;
  // Takes the memory of activations of this program of the same backend, where that is enough:
  // the two never run at once. It may be gone before this one.
  Program* activations_of = nullptr;
};

// Memory of a program in bytes, known before it is taken (Backend::Predict) and exact afterwards.
struct MemoryUse {
  // How much of what follows is in the memory of devices.
  struct OnDevice {
    int64_t weights = 0, kv_page = 0, state_slot = 0, activations = 0;
    int64_t layers = 0;  // that devices compute

    int64_t fixed() const { return weights + activations; }
  };
  int64_t weights = 0;
  int64_t kv_page = 0;      // of one page
  int64_t state_slot = 0;   // of one slot
  int64_t activations = 0;  // all buffers and scratch
  OnDevice on_device;

  int64_t fixed() const { return weights + activations; }
};

// What a device has for programs now.
struct DeviceMemory {
  int64_t available_bytes = 0;
  bool is_systems = false;  // it has none of its own
};

// A compiled plan. Run and CopyPage are called by one thread at a time.
class Program {
 public:
  virtual ~Program() = default;
  // Computes the batch and writes [output rows or segments, output width] float32 to `out`, whose
  // size must be exactly that. Appends to the cache pages. REQUIRES: the batch obeys the rules
  // above (a violation is a CHECK). Errors, of devices only: no memory (kResourceExhausted), a
  // device that is lost or hangs (kUnavailable). Pages, states and `out` then hold anything, and
  // the program is of no more use.
  virtual Status Run(const Batch& batch, std::span<float> out) = 0;
  // The most values of a ranked row; 0: this program has whole rows only.
  virtual int64_t most_ranked() const { return 0; }
  // Copies the first `tokens` positions of page `from` to page `to`, in all layers.
  virtual void CopyPage(int32_t from, int32_t to, int64_t tokens) = 0;
  // Gives the memory of an unused page back to the system; its content is lost.
  virtual void ReleasePage(int32_t page) = 0;
  // The bytes of a page, to be kept elsewhere and brought back; empty if this program's pages
  // cannot be. They mean the same in all programs of the same plan and PageFormat().
  virtual std::span<uint8_t> PageBytes(int32_t) { return {}; }
  virtual std::string PageFormat() const { return {}; }
  // Goes on for about so long with what CompileOptions::settle_later put off, between passes, on
  // the thread that calls Run. False if nothing is left.
  virtual bool Settle(double) { return false; }
  virtual MemoryUse memory_use() const = 0;
  // How much of memory_use().activations the system has not given yet: passes were not that wide.
  virtual int64_t untouched_bytes() const { return 0; }
  // Gives the memory of activations back to the system until the next pass.
  virtual void ReleaseActivations() {}
  // Which kernels run, for tests and logs: "reference", "cpu avx512vnni, 2 threads".
  virtual std::string Describe() const = 0;
};

// Thread safe. Must outlive its programs.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // Errors: a weight type that the backend cannot compute with (kUnsupported), no memory
  // (kResourceExhausted), cancelled.
  virtual Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                                   const CompileOptions& options) = 0;
  // With devices: as if all that the share asks for fitted into their memory.
  virtual MemoryUse Predict(const Plan& plan, const CompileOptions& options) const = 0;
  // As Compile would divide it by what is free on the devices now.
  virtual MemoryUse PredictNow(const Plan& plan, const CompileOptions& options) const {
    return Predict(plan, options);
  }
  // Of each device that its programs compute on; none: the CPU alone.
  virtual std::vector<DeviceMemory> devices() const { return {}; }
};

struct BackendOptions {
  // "cpu", "reference", "vulkan" (the first GPU), "vulkan:N", or several of these two with commas
  // between: their layers are divided by what is free on each. "auto": the discrete GPUs, which are
  // looked for when something is first asked of the backend; the CPU without them.
  std::string name = "cpu";
  int threads = 0;  // 0: the cores that this process may use (affinity and cgroup quota)
  std::string isa;  // "": the best; "scalar", "avx2", "avx512vnni", "neon" force one; unknown or
                    // missing: an error
  // Where a device's compiled shaders are kept; empty: nowhere.
  std::filesystem::path cache_folder;
};
Result<std::unique_ptr<Backend>> CreateBackend(const BackendOptions& options);

}  // namespace puna::backend

#endif  // PUNA_BACKEND_BACKEND_H_
