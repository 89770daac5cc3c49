// From a plan to steps. A step records one op's dispatches into a command buffer; what it needs to
// know of the op is in a record that the shader reads (op_params.h).
#ifndef PUNA_BACKEND_VULKAN_PLAN_COMPILER_H_
#define PUNA_BACKEND_VULKAN_PLAN_COMPILER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/plan.h"
#include "backend/vulkan/attention_tiles.h"
#include "backend/vulkan/device.h"
#include "backend/vulkan/op_params.h"
#include "backend/vulkan/weight_upload.h"
#include "base/rounding.h"

namespace puna::backend::vulkan {

// Workgroups for n threads, rows or tokens, `size` of them in each.
inline uint32_t Groups(int64_t n, int64_t size) { return static_cast<uint32_t>(DivideUp(n, size)); }

enum class RowKind { kTokens, kOutputs, kSegments };

// All that the commands of a pass depend on.
struct PassShape {
  uint32_t tokens = 0, outputs = 0, segments = 0;
  uint32_t ranked = 0;          // of the outputs
  std::vector<uint32_t> whole;  // with ranked rows: the other outputs
  TileCounts tiles;             // of attention
  uint32_t most_keys = 0;       // of IndexOp, rounded up
  uint32_t pass_bytes = 0;      // of what is copied to the device first, rounded up
  uint32_t adapters = 0;        // the most of a segment
  uint32_t most_rank = 0;       // of them, rounded up
  bool encodes = false;
  auto operator<=>(const PassShape&) const = default;

  uint32_t rows(RowKind kind) const {
    return kind == RowKind::kTokens ? tokens : kind == RowKind::kOutputs ? outputs : segments;
  }
};

struct Grid {
  uint32_t x = 1, y = 1, z = 1;
};

// Where steps put their dispatches.
class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual Status Dispatch(std::string_view shader, std::span<const uint32_t> constants,
                          uint32_t record, Grid grid, uint32_t number) = 0;
  // Everything dispatched before is done before what is dispatched after.
  virtual void Barrier() = 0;
  // A dispatch that reads what others before it write, and that can wait until somebody needs a
  // barrier: the next one stands before it, and one more behind it.
  virtual Status DispatchLater(std::string_view shader, std::span<const uint32_t> constants,
                               uint32_t record, Grid grid, uint32_t number) = 0;
  // Of the device; without a make: none.
  virtual const MatrixUnit& matrices() const = 0;
};

struct Step {
  std::function<Status(Recorder*, const PassShape&)> record;
  // Beside what views say; two steps of which one touches hidden things wait for each other.
  std::vector<View> reads, writes;
  bool hidden = false;
  bool narrow = false;  // with adapters: uses the memory for narrow products
  // Whether this pass needs the step; null: every pass does.
  std::function<bool(const Recorder&, const PassShape&)> needed;
  // Instead of recording anything: the pause of this index.
  int pause = -1;
};

// Where the commands of a pass end, for the host to compute `detour` with so many rows, and others
// go on.
struct Pause {
  DetourOp detour;
  RowKind rows = RowKind::kTokens;
};

// A buffer of the plan, or one of this backend's own.
struct Slot {
  int64_t row_floats = 0;           // from one row to the next
  RowKind kind = RowKind::kTokens;  // how many rows it must have
  int64_t rows_per_row = 1;
  // Instead of rows: so many, or so many for each page of keys that are kept for one op.
  int64_t fixed_bytes = 0;
  int64_t scratch_page_bytes = 0;
};

// Cosines and sines of position * inverse_frequency[i], times magnitude.
struct RopeTable {
  std::vector<float> inverse_frequency;
  float magnitude = 1;
  uint32_t first = 0;  // value per token, among those of all tables
};

// Where a record holds the address of a slot.
struct Relocation {
  uint32_t at = 0;  // byte in CompiledPlan::records
  uint32_t slot = 0;
  uint64_t offset = 0;  // bytes from the start of the slot
};

// The matrices of a record.
inline auto MatricesOf(RoundParams* p) { return std::array{&p->source}; }
inline auto MatricesOf(EmbedParams* p) { return std::array{&p->result}; }
inline auto MatricesOf(ReduceParams* p) { return std::array{&p->source, &p->result, &p->like}; }
inline auto MatricesOf(ElementParams* p) { return std::array{&p->a, &p->b, &p->result}; }
inline auto MatricesOf(RopeParams* p) { return std::array{&p->inout_rows}; }
inline auto MatricesOf(ProductParams* p) {
  return std::array{&p->source, &p->result, &p->residual, &p->norm_source};
}
inline auto MatricesOf(RouteParams* p) { return std::array{&p->logits}; }
inline auto MatricesOf(CombineParams* p) { return std::array{&p->source, &p->result}; }
inline auto MatricesOf(SelectParams* p) { return std::array{&p->source, &p->result}; }
inline auto MatricesOf(StoreParams* p) { return std::array{&p->k, &p->v}; }
inline auto MatricesOf(AttentionParams* p) { return std::array{&p->q, &p->result}; }
inline auto MatricesOf(RankParams* p) { return std::array{&p->source}; }
inline auto MatricesOf(IndexParams* p) { return std::array{&p->q, &p->weights}; }
inline auto MatricesOf(RecurrentParams* p) {
  return std::array{&p->a, &p->b, &p->c, &p->d, &p->e, &p->f, &p->result};
}

// A plan without memory, but for that of the weights.
struct CompiledPlan {
  std::vector<Step> steps;
  size_t encoder_steps = 0;
  std::vector<Pause> pauses;
  std::vector<uint8_t> records;
  std::vector<Relocation> relocations;
  std::vector<Slot> slots;  // those of the plan first
  std::vector<RopeTable> ropes;
  uint32_t rope_values = 0;                           // of all tables, per token
  std::vector<int64_t> cache_offsets, state_offsets;  // bytes in a page, floats in a slot
  int64_t page_bytes = 0, state_bytes = 0;
  RowKind output_rows = RowKind::kTokens;
  bool ranks = false;  // the largest outputs of a row can be had
  bool selects_keys = false;
  AttentionNeeds attention;
  int64_t narrow_per_token = 0;  // the most values of a rank that a step needs for a token
};

class PlanCompiler {
 public:
  PlanCompiler(const Plan* plan, const CompileOptions& options, WeightUpload* weights,
               const AttentionTuning& tuning);
  Result<CompiledPlan> Compile();

  struct Product;  // one product of a step

 private:
  // One per op kind; a kind without one does not compile.
  Status Add(const EmbedOp& op);
  Status Add(const AddRowOp& op);
  Status Add(const NormOp& op);
  Status Add(const MatMulOp& op);
  Status Add(const RopeOp& op);
  // `rope`: of the keys, done where they are stored.
  Status Add(const AttentionOp& op, const RopeOp* rope = nullptr);
  Status Add(const UnaryOp& op);
  Status Add(const GatedOp& op);
  Status Add(const AddOp& op);
  Status Add(const MulOp& op);
  Status Add(const ScaleOp& op);
  Status Add(const RouteOp& op);
  Status Add(const ExpertsOp& op);
  Status Add(const SelectRowsOp& op);
  Status Add(const PoolOp& op);
  Status Add(const HeadMatMulOp& op);
  Status Add(const CopyHeadsOp& op);
  Status Add(const PositionScaleOp& op);
  Status Add(const IndexOp& op);
  Status Add(const XieluOp& op);
  Status Add(const MixOp& op);
  Status Add(const MatchLengthOp& op);
  Status Add(const CutBelowOp& op);
  Status Add(const SoftmaxOp& op);
  Status Add(const AffineOp& op);
  Status Add(const ConvolutionOp& op);
  Status Add(const ScanOp& op);
  Status Add(const DeltaOp& op);
  Status Add(const WkvOp& op);
  Status Add(const StoreOp& op);
  Status Add(const DetourOp& op);

  void LayOut();
  void AddInput();
  void LayOutAttention();
  void AddOutput();
  void AddRanking();
  // Its address is the slot, and below bit 40 the offset in it.
  Matrix MatrixOf(const View& view) const;
  int NewSlot(Slot slot);
  View SlotView(int slot, int64_t width) const { return {slot, 0, width}; }
  // The place of a copy of `params`, whose matrices get their addresses when slots have some.
  template <typename Params>
  uint32_t Record(Params params) {
    std::vector<Relocation> relocations;
    for (Matrix* matrix : MatricesOf(&params)) {
      if (matrix->width == 0) continue;
      const auto at = reinterpret_cast<uint8_t*>(matrix) - reinterpret_cast<uint8_t*>(&params);
      relocations.push_back({static_cast<uint32_t>(at + offsetof(Matrix, address)),
                             static_cast<uint32_t>(matrix->address >> 40),
                             matrix->address & ((uint64_t{1} << 40) - 1)});
    }
    const uint32_t record = RecordBytes(&params, sizeof(params));
    for (Relocation& relocation : relocations) {
      relocation.at += record;
      compiled_.relocations.push_back(relocation);
    }
    return record;
  }
  uint32_t RecordBytes(const void* bytes, size_t size);

  // A step of one shader over the columns and rows of a view.
  void AddColumns(std::string_view shader, std::vector<uint32_t> constants, uint32_t record,
                  int64_t columns, std::initializer_list<View> reads,
                  std::initializer_list<View> writes, bool hidden = false);
  void AddElement(uint32_t kind, const ElementParams& params, int64_t columns,
                  std::initializer_list<View> reads, const View& result,
                  Activation activation = Activation::kIdentity, bool clamp_activated = false);
  void AddReduce(uint32_t kind, const ReduceParams& params, int64_t runs,
                 std::initializer_list<View> reads, const View& result);
  // The slot with the rows of a source as a kernel for many rows wants them. They are converted
  // once for all products that read the same values.
  enum class InputForm { kHalves, kInt8, kInt8OfUnits };
  int Rounded(const View& source, InputForm form);
  int PartialSums(int64_t floats);
  Result<Product> MakeProduct(WeightId weight, WeightId bias, uint32_t kind, ProductParams params,
                              const View& source, const View& result);
  Status AddProduct(WeightId weight, WeightId bias, uint32_t kind, ProductParams params,
                    const View& source, const View& result,
                    std::initializer_list<View> also_read = {});
  // Ops from `first` on that one step can do; how many it took, 0: none.
  Result<size_t> AddJoined(size_t first);
  Result<bool> AddSumOfProduct(size_t first);
  Result<bool> AddGatedPair(size_t first);
  Result<bool> AddRotatedKeys(size_t first);
  Result<bool> AddNormOfProducts(size_t first);
  // Whether the weight can be multiplied with few rows of int8 (matvec_int8.comp).
  bool FitsInt8Vectors(const DeviceMatrix& matrix, const Weight& shape, const View& source) const;
  // Whether a step from `first` on writes to the view.
  bool WrittenSince(size_t first, const View& view) const;
  // Whether what `op` leaves in a view is read by no later one.
  bool DeadBehind(size_t op, const View& view) const;
  void AddStore(const View& k, const View& v, const CacheParams& cache, int64_t kv_heads,
                int64_t k_size, int64_t v_size, bool half, const RopeOp* rope = nullptr);
  // First value of the table of a rope, among those of all tables.
  uint32_t RopeTableOf(const RopeOp& op);
  bool HalfOf(const AttentionOp& op) const;
  void AddAttention(const AttentionOp& op, uint32_t record, bool half);
  CacheParams CacheOf(int64_t offset, int64_t kv_heads, int64_t k_size, int64_t v_size,
                      bool half) const;
  // Of a cache layer, or of pages for the op alone.
  CacheParams CacheFor(int cache, int64_t kv_heads, int64_t k_size, int64_t v_size, bool* half);
  Status AddRecurrent(std::string_view shader, uint32_t size, RecurrentParams params, int state,
                      std::vector<View> reads, const View& result);
  Result<uint64_t> PositionBias(const AttentionOp& op, uint32_t* reach);
  Result<uint64_t> Slopes(const AttentionOp& op);

  const Plan* plan_;
  const CompileOptions& options_;
  const bool exact_;  // no inputs as int8
  WeightUpload* weights_;
  const AttentionTuning tuning_;
  RowKind rows_ = RowKind::kTokens;
  std::vector<int> chosen_slots_, weight_slots_;  // by route
  std::vector<int64_t> route_used_;
  int partial_slot_ = -1, scratch_slot_ = -1;
  int rounded_slot_ = -1;
  std::array<int, 4> partial_slots_ = {-1, -1, -1, -1};
  size_t next_partial_slot_ = 0;
  // What is in it, until a later step writes to the source. Which of the forms is there depends on
  // how many rows a pass has.
  struct RoundedRows {
    View source;
    RowKind rows = RowKind::kTokens;
    size_t step = 0;  // the first that is behind it
    std::array<bool, 3> forms{};
  } rounded_;
  // A norm that only products read, which compute it themselves where they round one row.
  struct SharedNorm {
    NormOp op;
    RowKind rows = RowKind::kTokens;
    size_t step = 0;  // the first that is behind it
  };
  std::optional<SharedNorm> shared_norm_;
  CompiledPlan compiled_;
};

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_PLAN_COMPILER_H_
