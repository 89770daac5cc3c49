// Matrix products, and mixtures of experts.
#include <algorithm>
#include <bit>
#include <utility>

#include "backend/plan_access.h"
#include "backend/vulkan/plan_compiler.h"

namespace puna::backend::vulkan {
namespace {

// As in matvec.comp and matmul.comp.
enum ProductKind : uint32_t { kPlain, kHeads, kChosen };
constexpr uint32_t kVectorThreads = 128, kVectorRows = 2, kMostVectorTokens = 8;
// Of most devices; a workgroup with other subgroups takes more or fewer rows.
constexpr uint32_t kUsualSubgroup = 32;
// Of workgroups that round a row, which many should share, and of those for several rows that are
// there. On an H100 one user of llama-8b (Q4_K_M) got 323 tokens a second, more than in all other
// settings that were tried, and eight got 1,038 (903 with 128).
constexpr uint32_t kOwnRowThreads = 512, kRoundedThreads = 256;
// What units of a matrix come in (UnitAt in decode.glsl).
constexpr uint32_t kUnitColumns = 128;
// Of an input row that workgroups round for themselves: with its scales and maxima 26 KiB of shared
// memory.
constexpr uint32_t kMostOwnColumns = 16384;
constexpr uint32_t kTileThreads = 128, kTileRows = 64, kTileTokens = 32;
// What every device allows in each direction of a grid.
constexpr uint32_t kMostGroups = 65535;
constexpr uint32_t kThreads = 128, kLowRankThreads = 64, kRoundThreads = 64;
constexpr uint32_t kMostHalveThreads = 512, kMostHeldUnits = 8;

}  // namespace

// What the commands of a product depend on beside its record.
struct PlanCompiler::Product {
  uint32_t record = 0;
  uint32_t type = 0;
  uint32_t kind = kPlain;
  bool aligned = false;  // input rows begin at multiples of 16 bytes
  bool units = false;    // HasUnits
  bool halves = false;   // the source is there as float16, too, on a device with matrices
  bool int8 = false;     // likewise as int8, on one with dot products of int8
  std::optional<View> norm_source;  // of a source that is a norm, which one row can do without
  bool int8_vectors = false;        // and in the order of units, or workgroups can round one row
  uint32_t rows = 0, cols = 0, heads = 1, per_row = 1;
  uint64_t partial_floats = 0;  // of the slot for sums of shares of the columns
  int partial_slot = -1;
};

namespace {

using Product = PlanCompiler::Product;

// Whether products of so many input rows are vectors of int8, if they can be.
bool UsesInt8Vectors(const Recorder& to, uint32_t tokens) {
  return to.matrices().int8_vectors && tokens <= kMostVectorTokens;
}

// Likewise with workgroups that round the one input row they have.
bool RoundsItself(const Product& product, uint32_t tokens) {
  return (tokens == 1 || product.kind == kChosen) && product.cols <= kMostOwnColumns;
}

Status RecordInt8Vector(Recorder* to, const Product& product, uint32_t tokens, bool adapted,
                        const GatedOp* pair) {
  uint32_t at_once = 1;
  while (product.kind != kChosen && at_once < tokens) at_once *= 2;
  const bool own = RoundsItself(product, tokens);
  const uint32_t threads = own ? kOwnRowThreads : kRoundedThreads;
  const uint32_t rows = pair != nullptr ? kVectorRows / 2 : kVectorRows;
  const uint32_t constants[] = {
      threads,
      product.type,
      at_once,
      product.kind,
      rows,
      pair != nullptr ? 1u : 0u,
      pair != nullptr ? static_cast<uint32_t>(pair->activation) : 0u,
      pair != nullptr && pair->clamp_activated ? 1u : 0u,
      own ? product.cols : 0u,
      product.norm_source && own && !adapted ? 1u : 0u,
  };
  return to->Dispatch("matvec_int8", constants, product.record,
                      {std::min(Groups(product.rows, rows * threads / kUsualSubgroup), kMostGroups),
                       Groups(tokens, at_once), product.heads},
                      tokens);
}

// Few rows: each weight is decoded once and meets them in registers. A gated pair has half the
// rows of each matrix, and then an activation.
Status RecordVector(Recorder* to, const Product& product, uint32_t tokens, bool adapted,
                    const GatedOp* pair = nullptr) {
  if (product.int8_vectors && UsesInt8Vectors(*to, product.kind == kChosen ? 1 : tokens))
    return RecordInt8Vector(to, product, tokens, adapted, pair);
  uint32_t at_once = 1;
  while (product.kind != kChosen && at_once < tokens) at_once *= 2;
  const uint32_t rows = pair != nullptr ? kVectorRows / 2 : kVectorRows;
  const uint32_t of_group = rows * kVectorThreads / kUsualSubgroup;
  const uint32_t constants[] = {
      kVectorThreads,
      product.type,
      at_once,
      product.kind,
      product.aligned ? 1u : 0u,
      product.units ? 1u : 0u,
      rows,
      pair != nullptr ? 1u : 0u,
      pair != nullptr ? static_cast<uint32_t>(pair->activation) : 0u,
      pair != nullptr && pair->clamp_activated ? 1u : 0u,
      at_once == 1 ? 2u : 1u,
  };
  return to->Dispatch("matvec", constants, product.record,
                      {std::min(Groups(product.rows, of_group), kMostGroups),
                       Groups(tokens, at_once), product.heads},
                      tokens);
}

// Whether products of so many input rows run on matrix units, if it can be.
bool UsesMatrices(const Recorder& to, uint32_t tokens) {
  return to.matrices() && tokens > kMostVectorTokens;
}

// Whether products of so many input rows are dot products of int8, if it can be.
bool UsesInt8(const Recorder& to, uint32_t tokens) {
  return to.matrices().make == MatrixUnit::Make::kInt8 && tokens > kMostVectorTokens;
}

Status RecordInt8Product(Recorder* to, const Product& product, uint32_t tokens) {
  const uint32_t tile_tokens = tokens > kTileTokens ? 2 * kTileTokens : kTileTokens;
  const uint32_t constants[] = {kTileThreads, product.type, tile_tokens, product.kind};
  return to->Dispatch("matmul_int8", constants, product.record,
                      {Groups(product.rows, kTileRows), Groups(tokens, tile_tokens), product.heads},
                      tokens);
}

Status RecordMatrixProduct(Recorder* to, const Product& product, uint32_t tokens) {
  const MatrixUnit& unit = to->matrices();
  const TileShape tile =
      *TileFor(unit, {product.rows, tokens, product.cols, product.partial_floats});
  PUNA_RETURN_IF_ERROR(to->Dispatch(
      unit.shader(tile), MatrixConstants(unit, tile, product.type, product.kind), product.record,
      {Groups(product.rows, tile.rows), Groups(tokens, tile.tokens), product.heads * tile.splits},
      tokens));
  if (tile.splits == 1) return {};
  // Other products can run beside this one before their shares are added up.
  const uint32_t constants[] = {kThreads, tile.splits};
  return to->DispatchLater("matmul_merge", constants, product.record,
                           {Groups(product.rows, kThreads), tokens}, tokens);
}

// Many rows: tiles in shared memory. `adapted`: adapters read the source afterwards.
Status RecordProduct(Recorder* to, const Product& product, uint32_t tokens, bool adapted) {
  if (tokens == 0) return {};
  if (product.kind == kChosen || tokens <= kMostVectorTokens)
    return RecordVector(to, product, tokens, adapted);
  if (product.halves && UsesMatrices(*to, tokens)) return RecordMatrixProduct(to, product, tokens);
  if (product.int8 && UsesInt8(*to, tokens)) return RecordInt8Product(to, product, tokens);
  const uint32_t constants[] = {kTileThreads, product.type, 0, product.kind};
  return to->Dispatch("matmul", constants, product.record,
                      {Groups(product.rows, kTileRows), Groups(tokens, kTileTokens), product.heads},
                      tokens);
}

// What the adapters of the rows add to a product that was just recorded.
Status RecordAdapters(Recorder* to, const PassShape& shape, const Product& product, RowKind rows,
                      uint32_t count) {
  if (count == 0) return {};
  const uint32_t record = product.record, heads = product.heads;
  const uint32_t constants[] = {kLowRankThreads, static_cast<uint32_t>(rows), product.kind};
  for (uint32_t i = 0; i < shape.adapters; ++i) {
    to->Barrier();
    PUNA_RETURN_IF_ERROR(
        to->Dispatch("low_rank_in", constants, record, {shape.most_rank, count, heads}, i));
    to->Barrier();
    PUNA_RETURN_IF_ERROR(to->Dispatch("low_rank_out", constants, record,
                                      {Groups(product.rows, kLowRankThreads), count, heads}, i));
  }
  return {};
}

// Whether its values are levels times scales.
bool HasBlocks(quant::TensorType type) { return quant::TraitsOf(type).block_elements > 1; }

bool Aligned(const Matrix& m) { return m.address % 16 == 0 && m.stride % 4 == 0; }

// Whether the matrix can be read a unit at a time (decode.glsl).
bool HasUnits(const DeviceMatrix& matrix, const Weight& shape, const Matrix& source) {
  return Aligned(source) && shape.cols % kUnitColumns == 0 && matrix.row_bytes % 16 == 0;
}

// How halve.comp reads rows: units of eight values that an invocation holds, 0: value by value.
struct HeldUnits {
  uint32_t threads = kThreads;
  uint32_t units = 0;
};

HeldUnits HoldUnits(const Matrix& source, uint32_t row_bytes) {
  if (!Aligned(source) || source.width % 8 != 0) return {};
  const uint32_t units = row_bytes / 16;  // the header is one more
  const uint32_t threads = std::clamp<uint32_t>(std::bit_ceil(units / 4), 32, kMostHalveThreads);
  const uint32_t held = Groups(units, threads);
  return held <= kMostHeldUnits ? HeldUnits{threads, held} : HeldUnits{};
}

}  // namespace

bool PlanCompiler::WrittenSince(size_t first, const View& view) const {
  const auto overlaps = [&](const View& other) { return Overlap(other, view); };
  return std::ranges::any_of(std::span(compiled_.steps).subspan(first), [&](const Step& step) {
    return std::ranges::any_of(step.writes, overlaps);
  });
}

int PlanCompiler::Rounded(const View& source, InputForm form) {
  if (rounded_slot_ < 0 || WrittenSince(rounded_.step, source) || !Same(rounded_.source, source) ||
      rounded_.rows != rows_ || rounded_.step < compiled_.encoder_steps) {
    rounded_ = {source, rows_, compiled_.steps.size(), {}};
  }
  if (std::exchange(rounded_.forms[static_cast<size_t>(form)], true)) return rounded_slot_;
  if (rounded_slot_ < 0) rounded_slot_ = NewSlot({});
  const RoundParams params{.source = MatrixOf(source),
                           .rounded_slot = static_cast<uint>(rounded_slot_),
                           .row_bytes = RoundedBytes(static_cast<uint32_t>(source.width)),
                           .int8_blocks = Int8Blocks(static_cast<uint32_t>(source.width))};
  Slot& slot = compiled_.slots[static_cast<size_t>(rounded_slot_)];
  slot.row_floats = std::max<int64_t>(slot.row_floats, params.row_bytes / sizeof(float));
  const RowKind rows = rows_;
  const uint32_t record = Record(params);
  const HeldUnits held = HoldUnits(params.source, params.row_bytes);
  const uint32_t groups = Groups(params.int8_blocks, kRoundThreads);
  const bool long_row = source.width > kMostOwnColumns;
  const uint32_t whole = Aligned(params.source) && params.source.width % 32 == 0 ? 1 : 0;
  compiled_.steps.push_back(
      {.record = [=](Recorder* to, const PassShape& shape) -> Status {
         const uint32_t halve[] = {held.threads, 0, held.units};
         const uint32_t round[] = {kRoundThreads, whole, form == InputForm::kInt8OfUnits ? 1u : 0u};
         return form == InputForm::kHalves
                    ? to->Dispatch("halve", halve, record, {shape.rows(rows)}, 0)
                    : to->Dispatch("round_int8", round, record, {groups, shape.rows(rows)}, 0);
       },
       .reads = {source},
       .writes = {SlotView(rounded_slot_, 1)},
       .needed =
           [=](const Recorder& to, const PassShape& shape) {
             const uint32_t count = shape.rows(rows);
             if (form == InputForm::kHalves) return UsesMatrices(to, count);
             if (form == InputForm::kInt8) return UsesInt8(to, count);
             return UsesInt8Vectors(to, count) && (count > 1 || long_row);
           }});
  return rounded_slot_;
}

// Products that do not wait for each other have slots of their own: a layer has up to three at a
// time.
int PlanCompiler::PartialSums(int64_t floats) {
  int& slot = partial_slots_[next_partial_slot_];
  next_partial_slot_ = (next_partial_slot_ + 1) % partial_slots_.size();
  if (slot < 0) slot = NewSlot({.row_floats = 1});
  int64_t& bytes = compiled_.slots[static_cast<size_t>(slot)].fixed_bytes;
  bytes = std::max(bytes, floats * int64_t{sizeof(float)});
  return slot;
}

bool PlanCompiler::FitsInt8Vectors(const DeviceMatrix& matrix, const Weight& shape,
                                   const View& source) const {
  return !exact_ && HasBlocks(matrix.type) && source.width % kUnitColumns == 0 &&
         HasUnits(matrix, shape, MatrixOf(source));
}

// A norm that only products read need not be there for one row.
Result<bool> PlanCompiler::AddNormOfProducts(size_t first) {
  const auto* norm = std::get_if<NormOp>(&plan_->ops[first]);
  if (norm == nullptr || norm->kind != NormKind::kRms || norm->bias != kNoWeight ||
      norm->group != norm->in.width || norm->group > kMostOwnColumns ||
      Overlap(norm->in, norm->out) || Overlap(norm->out, plan_->output) ||
      !Aligned(MatrixOf(norm->in)))
    return false;
  const auto touches = [](const std::vector<View>& views, const View& view) {
    return std::ranges::any_of(views, [&](const View& other) { return Overlap(other, view); });
  };
  // A product and what is joined to it are one step, in which workgroups write while others read.
  constexpr size_t kMostJoined = 3;
  const auto lives_behind = [&](size_t op) {
    const std::span<const Op> all(plan_->ops);
    return std::ranges::none_of(
        all.subspan(op, std::min(kMostJoined, all.size() - op)),
        [&](const Op& joined) { return touches(AccessOf(joined).writes, norm->in); });
  };
  bool source_lives = true;
  for (size_t i = first + 1; i < plan_->ops.size(); ++i) {
    const OpAccess access = AccessOf(plan_->ops[i]);
    if (touches(access.reads, norm->out)) {
      const auto* product = std::get_if<MatMulOp>(&plan_->ops[i]);
      if (product == nullptr || !source_lives || !lives_behind(i) || !Same(product->in, norm->out))
        return false;
      PUNA_ASSIGN_OR_RETURN(const DeviceMatrix matrix, weights_->Matrix(product->weight));
      if (!FitsInt8Vectors(matrix, plan_->weights[static_cast<size_t>(product->weight)], norm->out))
        return false;
    }
    if (touches(access.writes, norm->in)) source_lives = false;
    if (touches(access.writes, norm->out)) break;
  }
  PUNA_RETURN_IF_ERROR(Add(*norm));
  const RowKind rows = rows_;
  compiled_.steps.back().needed = [=](const Recorder& to, const PassShape& shape) {
    return shape.rows(rows) != 1 || shape.adapters > 0 || !UsesInt8Vectors(to, 1);
  };
  shared_norm_ = {*norm, rows, compiled_.steps.size()};
  return true;
}

Result<PlanCompiler::Product> PlanCompiler::MakeProduct(WeightId weight, WeightId bias,
                                                        uint32_t kind, ProductParams params,
                                                        const View& source, const View& result) {
  const Weight& shape = plan_->weights[static_cast<size_t>(weight)];
  PUNA_ASSIGN_OR_RETURN(const DeviceMatrix matrix, weights_->Matrix(weight));
  PUNA_ASSIGN_OR_RETURN(params.bias, weights_->Floats(bias));
  params.source = MatrixOf(source);
  params.result = MatrixOf(result);
  params.weight = matrix.address;
  params.expert_bytes = matrix.expert_bytes;
  params.cols = static_cast<uint>(shape.cols);
  params.rows = static_cast<uint>(shape.rows);
  params.row_bytes = matrix.row_bytes;
  params.weight_id = static_cast<uint>(weight);
  Product product;
  product.type = static_cast<uint32_t>(matrix.type);
  product.kind = kind;
  product.aligned = Aligned(params.source) && params.in_stride % 4 == 0;
  product.units = product.aligned && HasUnits(matrix, shape, params.source);
  product.rows = params.rows;
  product.cols = params.cols;
  product.heads = kind == kHeads ? static_cast<uint32_t>(shape.experts) : 1;
  product.per_row = kind == kChosen ? params.used : 1;
  // Weights of float32 keep their precision; units of eight values must begin at the heads.
  product.halves =
      kind != kChosen && matrix.type != quant::TensorType::kF32 && params.in_stride % 8 == 0;
  product.int8 = !exact_ && HasBlocks(matrix.type) && params.in_stride % 32 == 0;
  if (product.halves) params.rounded_slot = static_cast<uint>(Rounded(source, InputForm::kHalves));
  product.int8_vectors = FitsInt8Vectors(matrix, shape, source) &&
                         params.in_stride % kUnitColumns == 0 &&
                         (kind != kChosen || product.cols <= kMostOwnColumns);
  if (kind == kPlain && product.int8_vectors && shared_norm_ && shared_norm_->rows == rows_ &&
      Same(shared_norm_->op.out, source) && !WrittenSince(shared_norm_->step, source)) {
    product.norm_source = shared_norm_->op.in;
    params.norm_source = MatrixOf(shared_norm_->op.in);
    params.norm_epsilon = shared_norm_->op.epsilon;
    PUNA_ASSIGN_OR_RETURN(params.norm_weight, weights_->Floats(shared_norm_->op.weight));
  }
  if (product.int8 && kind != kChosen)
    params.rounded_slot = static_cast<uint>(Rounded(source, InputForm::kInt8));
  if (product.int8_vectors && kind != kChosen)
    params.rounded_slot = static_cast<uint>(Rounded(source, InputForm::kInt8OfUnits));
  params.rounded_bytes = RoundedBytes(params.source.width);
  params.int8_blocks = Int8Blocks(params.source.width);
  if (product.halves && kind == kPlain) {
    product.partial_floats =
        static_cast<uint64_t>(MostPartialFloats(shape.rows, options_.max_batch_tokens));
    product.partial_slot = PartialSums(static_cast<int64_t>(product.partial_floats));
    params.partial_slot = static_cast<uint>(product.partial_slot);
  }
  product.record = Record(params);
  compiled_.narrow_per_token =
      std::max<int64_t>(compiled_.narrow_per_token, int64_t{product.per_row} * product.heads);
  return product;
}

Status PlanCompiler::AddProduct(WeightId weight, WeightId bias, uint32_t kind, ProductParams params,
                                const View& source, const View& result,
                                std::initializer_list<View> also_read) {
  PUNA_ASSIGN_OR_RETURN(const Product product,
                        MakeProduct(weight, bias, kind, params, source, result));
  const RowKind rows = rows_;
  Step step{.record = [=](Recorder* to, const PassShape& shape) -> Status {
              const uint32_t count = shape.rows(rows) * product.per_row;
              PUNA_RETURN_IF_ERROR(RecordProduct(to, product, count, shape.adapters > 0));
              return RecordAdapters(to, shape, product, rows, count);
            },
            .reads = {source},
            .writes = {result},
            .hidden = kind == kChosen,
            .narrow = true};
  if (product.halves || (product.int8 && kind != kChosen))
    step.reads.push_back(SlotView(rounded_slot_, 1));
  if (product.partial_slot >= 0) step.writes.push_back(SlotView(product.partial_slot, 1));
  step.reads.insert(step.reads.end(), also_read);
  compiled_.steps.push_back(std::move(step));
  return {};
}

bool PlanCompiler::DeadBehind(size_t op, const View& view) const {
  for (size_t i = op + 1; i < plan_->ops.size(); ++i) {
    const OpAccess access = AccessOf(plan_->ops[i]);
    const auto overlaps = [&](const View& other) { return Overlap(other, view); };
    if (std::ranges::any_of(access.reads, overlaps)) return false;
    for (const View& written : access.writes) {
      if (written.buffer == view.buffer && written.offset <= view.offset &&
          written.offset + written.width >= view.offset + view.width)
        return true;
    }
  }
  return !Overlap(plan_->output, view);
}

// out = a + product, where the product is used for nothing else.
Result<bool> PlanCompiler::AddSumOfProduct(size_t first) {
  const auto* product = std::get_if<MatMulOp>(&plan_->ops[first]);
  const auto* sum =
      first + 1 < plan_->ops.size() ? std::get_if<AddOp>(&plan_->ops[first + 1]) : nullptr;
  if (product == nullptr || sum == nullptr || sum->scale != 1) return false;
  View other = sum->a;
  if (Same(sum->a, product->out)) {
    other = sum->b;
  } else if (!Same(sum->b, product->out)) {
    return false;
  }
  // What a workgroup reads of `in` another must not have written.
  if (Overlap(other, product->out) || Overlap(sum->out, product->in)) return false;
  if (!Same(sum->out, other) && Overlap(sum->out, other)) return false;
  if (!Same(sum->out, product->out) &&
      (Overlap(sum->out, product->out) || !DeadBehind(first + 1, product->out)))
    return false;
  ProductParams params{.residual = MatrixOf(other)};
  PUNA_RETURN_IF_ERROR(
      AddProduct(product->weight, product->bias, kPlain, params, product->in, sum->out, {other}));
  return true;
}

// out = f(gate) * up, where gate and up are products of the same rows and used for nothing else.
Result<bool> PlanCompiler::AddGatedPair(size_t first) {
  if (first + 2 >= plan_->ops.size()) return false;
  const auto* one = std::get_if<MatMulOp>(&plan_->ops[first]);
  const auto* two = std::get_if<MatMulOp>(&plan_->ops[first + 1]);
  const auto* gated = std::get_if<GatedOp>(&plan_->ops[first + 2]);
  if (one == nullptr || two == nullptr || gated == nullptr || !Same(one->in, two->in)) return false;
  if (Same(gated->gate, two->out)) std::swap(one, two);
  if (!Same(gated->gate, one->out) || !Same(gated->up, two->out)) return false;
  if (Overlap(one->out, two->out) || Overlap(gated->out, one->in)) return false;
  for (const View* part : {&one->out, &two->out}) {
    if (Overlap(*part, one->in)) return false;
    if (!Same(*part, gated->out) && (Overlap(*part, gated->out) || !DeadBehind(first + 2, *part)))
      return false;
  }
  PUNA_ASSIGN_OR_RETURN(const DeviceMatrix gate_matrix, weights_->Matrix(one->weight));
  PUNA_ASSIGN_OR_RETURN(const DeviceMatrix up_matrix, weights_->Matrix(two->weight));
  if (gate_matrix.type != up_matrix.type) return false;

  PUNA_ASSIGN_OR_RETURN(const Product gate,
                        MakeProduct(one->weight, one->bias, kPlain, {}, one->in, one->out));
  PUNA_ASSIGN_OR_RETURN(const Product up,
                        MakeProduct(two->weight, two->bias, kPlain, {}, two->in, two->out));
  ProductParams params{
      .up_weight = up_matrix.address, .limit = gated->limit, .alpha = gated->alpha};
  PUNA_ASSIGN_OR_RETURN(params.up_bias, weights_->Floats(two->bias));
  PUNA_ASSIGN_OR_RETURN(const Product pair,
                        MakeProduct(one->weight, one->bias, kPlain, params, one->in, gated->out));
  // The three ops one after the other, for many rows and with adapters.
  const size_t apart = compiled_.steps.size();
  PUNA_RETURN_IF_ERROR(Add(*gated));
  const auto activate = std::move(compiled_.steps.back().record);
  compiled_.steps.resize(apart);
  const RowKind rows = rows_;
  compiled_.steps.push_back(
      {.record = [=, gated = *gated](Recorder* to, const PassShape& shape) -> Status {
         const uint32_t count = shape.rows(rows);
         if (count == 0) return {};
         if (count <= kMostVectorTokens && shape.adapters == 0)
           return RecordVector(to, pair, count, /*adapted=*/false, &gated);
         for (const Product& product : {gate, up}) {
           PUNA_RETURN_IF_ERROR(RecordProduct(to, product, count, shape.adapters > 0));
           PUNA_RETURN_IF_ERROR(RecordAdapters(to, shape, product, rows, count));
           if (shape.adapters > 0) to->Barrier();  // both use the same memory for narrow products
         }
         to->Barrier();
         return activate(to, shape);
       },
       .reads = {one->in},
       .writes = {one->out, two->out, gated->out},
       .narrow = true});
  if (pair.norm_source) compiled_.steps.back().reads.push_back(*pair.norm_source);
  if (gate.halves || gate.int8) compiled_.steps.back().reads.push_back(SlotView(rounded_slot_, 1));
  for (const Product& product : {gate, up}) {
    if (product.partial_slot >= 0)
      compiled_.steps.back().writes.push_back(SlotView(product.partial_slot, 1));
  }
  return true;
}

Result<size_t> PlanCompiler::AddJoined(size_t first) {
  PUNA_ASSIGN_OR_RETURN(const bool pair, AddGatedPair(first));
  if (pair) return 3;
  PUNA_ASSIGN_OR_RETURN(const bool sum, AddSumOfProduct(first));
  if (sum) return 2;
  PUNA_ASSIGN_OR_RETURN(const bool norm, AddNormOfProducts(first));
  if (norm) return 1;
  PUNA_ASSIGN_OR_RETURN(const bool rotated, AddRotatedKeys(first));
  return rotated ? 2 : 0;
}

Status PlanCompiler::Add(const MatMulOp& op) {
  return AddProduct(op.weight, op.bias, kPlain, {}, op.in, op.out);
}

Status PlanCompiler::Add(const HeadMatMulOp& op) {
  ProductParams params{};
  params.in_stride = static_cast<uint>(op.in_stride);
  params.out_stride = static_cast<uint>(op.out_stride);
  return AddProduct(op.weight, kNoWeight, kHeads, params, op.in, op.out);
}

Status PlanCompiler::Add(const RouteOp& op) {
  const auto route = static_cast<size_t>(op.route);
  if (chosen_slots_[route] < 0 || route_used_[route] < op.used) {
    const Slot slot{.row_floats = op.used};
    chosen_slots_[route] = NewSlot(slot);
    weight_slots_[route] = NewSlot(slot);
  }
  route_used_[route] = op.used;
  RouteParams params{.logits = MatrixOf(op.logits),
                     .chosen_slot = static_cast<uint>(chosen_slots_[route]),
                     .weight_slot = static_cast<uint>(weight_slots_[route]),
                     .score = static_cast<uint>(op.score),
                     .experts = static_cast<uint>(op.experts),
                     .used = static_cast<uint>(op.used),
                     .groups = static_cast<uint>(op.groups),
                     .groups_used = static_cast<uint>(op.groups_used),
                     .normalize = op.normalize ? 1u : 0u,
                     .fold = static_cast<uint>(op.fold),
                     .scale = op.scale};
  PUNA_ASSIGN_OR_RETURN(params.selection_bias, weights_->Floats(op.selection_bias));
  PUNA_ASSIGN_OR_RETURN(params.expert_scale, weights_->Floats(op.expert_scale));
  const RowKind rows = rows_;
  const uint32_t record = Record(params), experts = params.experts;
  compiled_.steps.push_back({.record = [=](Recorder* to, const PassShape& shape) -> Status {
                               if (shape.rows(rows) == 0) return {};
                               const uint32_t constants[] = {64, experts};
                               return to->Dispatch("route", constants, record, {shape.rows(rows)},
                                                   0);
                             },
                             .reads = {op.logits},
                             .hidden = true});
  return {};
}

// Every pair of a row and an expert is a row of its own, from the first product to the last.
Status PlanCompiler::Add(const ExpertsOp& op) {
  const auto route = static_cast<size_t>(op.route);
  const int64_t used = route_used_[route];
  const int64_t hidden = plan_->weights[static_cast<size_t>(op.up)].rows;
  if (options_.max_batch_tokens * used > kMostGroups) {
    return MakeError(ErrorCode::kUnsupported,
                     "{} tokens with {} experts each are more than {} rows",
                     options_.max_batch_tokens, used, kMostGroups);
  }
  const auto pair_slot = [&](int64_t width) {
    return SlotView(
        NewSlot({.row_floats = (width + 3) / 4 * 4, .kind = rows_, .rows_per_row = used}), width);
  };
  const View up = pair_slot(hidden), down = pair_slot(op.out.width);
  ProductParams params{};
  params.chosen_slot = static_cast<uint>(chosen_slots_[route]);
  params.weight_slot = static_cast<uint>(weight_slots_[route]);
  params.used = static_cast<uint>(used);
  params.shared_input = 1;
  params.weigh = op.weigh_input ? 1 : 0;
  PUNA_RETURN_IF_ERROR(AddProduct(op.up, op.up_bias, kChosen, params, op.in, up));
  View gate = up;
  if (op.gate != kNoWeight) {
    gate = pair_slot(hidden);
    PUNA_RETURN_IF_ERROR(AddProduct(op.gate, op.gate_bias, kChosen, params, op.in, gate));
  }
  // A gated unit, or a plain one.
  const uint32_t kind = op.gate != kNoWeight ? 2 : 0;
  const uint32_t record = Record(ElementParams{.a = MatrixOf(gate),
                                               .b = MatrixOf(up),
                                               .result = MatrixOf(up),
                                               .limit = op.limit,
                                               .alpha = op.alpha});
  const RowKind rows = rows_;
  const uint32_t activation = static_cast<uint32_t>(op.activation), pairs = params.used;
  const uint32_t clamps = op.clamp_activated ? 1 : 0;
  compiled_.steps.push_back({.record = [=](Recorder* to, const PassShape& shape) -> Status {
                               if (shape.rows(rows) == 0) return {};
                               const uint32_t constants[] = {kThreads, kind, activation, clamps};
                               return to->Dispatch(
                                   "element", constants, record,
                                   {Groups(hidden, kThreads), shape.rows(rows) * pairs}, 0);
                             },
                             .reads = {gate, up},
                             .writes = {up}});
  params.shared_input = 0;
  params.weigh = 0;
  PUNA_RETURN_IF_ERROR(AddProduct(op.down, op.down_bias, kChosen, params, up, down));
  const uint32_t combine = Record(CombineParams{.source = MatrixOf(down),
                                                .result = MatrixOf(op.out),
                                                .weight_slot = params.weight_slot,
                                                .used = pairs,
                                                .weighed = op.weigh_input ? 0u : 1u});
  AddColumns("combine", {kThreads}, combine, op.out.width, {down}, {op.out}, true);
  return {};
}

}  // namespace puna::backend::vulkan
