// Almost all conversions only move rows: heads are turned by reordering rows, fused matrices are
// taken apart by rows, experts are stacked. So a tensor is described by where row r comes from, and
// pieces are read without ever holding a tensor. The exceptions are columns that count as rows
// (gpt-oss in BF16), four-bit blocks that are packed in another order, and norms that need a 1
// added.
#include "store/convert/gather.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/rounding.h"
#include "store/file_type.h"

namespace puna::store {
namespace {

using quant::TensorType;

std::string Filled(std::string_view pattern, int64_t layer, int64_t expert) {
  std::string out(pattern);
  const auto put = [&](std::string_view mark, int64_t number) {
    if (const size_t at = out.find(mark); at != std::string::npos)
      out.replace(at, mark.size(), std::to_string(number));
  };
  put("{}", layer);
  put("{e}", expert);
  return out;
}

// FP8 weights with their scales: one for all, one per row, or one per block.
struct Scales {
  std::vector<float> values;  // [block_rows, block_columns]
  int64_t block_columns = 1;
  int64_t rows_per_block = 1, columns_per_block = 1;
};

// One GGUF tensor, read from `parts` (more than one: experts, stacked).
struct Gather {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::vector<CheckpointTensor> parts;
  std::vector<Scales> scales;  // empty, or one for each part
  Transform transform = Transform::kNone;
  int64_t columns = 0;
  int64_t matrix_rows = 0;         // of the GGUF tensor, per expert
  int64_t stored_matrix_rows = 0;  // of the stored one
  int64_t heads = 1;
  int64_t skipped = 0;
  bool transposed = false;  // stored [columns, rows]

  ElementType type() const { return parts[0].stored->type; }
  int64_t element_bytes() const { return parts[0].stored->element_bytes; }

  struct Place {
    size_t part;
    int64_t row;
  };
  Place PlaceOf(int64_t row) const;
  int64_t StoredRow(int64_t row) const;
  Status ReadBytes(int64_t first, int64_t rows, uint8_t* out) const;
  Status ReadTransposed(int64_t first, int64_t rows, uint8_t* out) const;
  Status ReadFloats(int64_t first, int64_t rows, float* out) const;
};

int64_t Gather::StoredRow(int64_t row) const {
  switch (transform) {
    case Transform::kQueryPairs:
    case Transform::kKeyPairs: {
      const int64_t head_rows = matrix_rows / heads, half = head_rows / 2;
      const int64_t within = row % head_rows;
      return row - within + within % 2 * half + within / 2;
    }
    case Transform::kSecondHalf:
      return row + matrix_rows;
    case Transform::kEvenRows:
      return 2 * row;
    case Transform::kOddRows:
      return 2 * row + 1;
    case Transform::kPositions:
      return row + skipped;
    default:
      return row;
  }
}

Gather::Place Gather::PlaceOf(int64_t row) const {
  const int64_t expert = row / matrix_rows, stored = StoredRow(row % matrix_rows);
  if (parts.size() > 1) return {static_cast<size_t>(expert), stored};
  return {0, expert * stored_matrix_rows + stored};
}

// Rows that lie behind each other are read at once.
Status Gather::ReadBytes(int64_t first, int64_t rows, uint8_t* out) const {
  if (transposed) return ReadTransposed(first, rows, out);
  const int64_t row_bytes = columns * element_bytes();
  for (int64_t i = 0; i < rows;) {
    const Place place = PlaceOf(first + i);
    int64_t run = 1;
    while (i + run < rows) {
      const Place next = PlaceOf(first + i + run);
      if (next.part != place.part || next.row != place.row + run) break;
      ++run;
    }
    const CheckpointTensor& part = parts[place.part];
    PUNA_RETURN_IF_ERROR(
        part.file->Read(*part.stored, static_cast<uint64_t>(place.row * row_bytes),
                        std::span(out + i * row_bytes, static_cast<size_t>(run * row_bytes))));
    i += run;
  }
  return {};
}

// Columns of the stored matrix are rows here: the part of every stored row that holds them is read.
Status Gather::ReadTransposed(int64_t first, int64_t rows, uint8_t* out) const {
  const int64_t size = element_bytes();
  std::vector<uint8_t> strip;
  for (int64_t i = 0; i < rows;) {
    const int64_t expert = (first + i) / matrix_rows, row = (first + i) % matrix_rows;
    const int64_t run = std::min(rows - i, matrix_rows - row);
    const int64_t begin = StoredRow(row), end = StoredRow(row + run - 1) + 1;
    strip.resize(static_cast<size_t>((end - begin) * size));
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t at = (expert * columns + column) * stored_matrix_rows + begin;
      PUNA_RETURN_IF_ERROR(
          parts[0].file->Read(*parts[0].stored, static_cast<uint64_t>(at * size), strip));
      for (int64_t r = 0; r < run; ++r) {
        std::memcpy(out + ((i + r) * columns + column) * size,
                    strip.data() + (StoredRow(row + r) - begin) * size, static_cast<size_t>(size));
      }
    }
    i += run;
  }
  return {};
}

Status Gather::ReadFloats(int64_t first, int64_t rows, float* out) const {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * columns * element_bytes()));
  PUNA_RETURN_IF_ERROR(ReadBytes(first, rows, bytes.data()));
  DecodeElements(type(), bytes.data(), rows * columns, out);
  if (transform == Transform::kAddOne) {
    for (int64_t i = 0; i < rows * columns; ++i) out[i] += 1;
  }
  for (int64_t i = 0; i < rows && !scales.empty(); ++i) {
    const Place place = PlaceOf(first + i);
    const Scales& of = scales[place.part];
    const float* row_scales = of.values.data() + place.row / of.rows_per_block * of.block_columns;
    for (int64_t column = 0; column < columns; ++column)
      out[i * columns + column] *= row_scales[column / of.columns_per_block];
  }
  return {};
}

// gpt-oss's experts: `blocks` [experts, rows, columns / 32, 16] hold two neighbours a byte,
// `scales` [experts, rows, columns / 32] the exponents. A GGUF block has its scale first and value
// i beside value i + 16.
struct FourBitGather {
  Gather blocks, scales;

  Status Copy(int64_t first, int64_t rows, std::span<uint8_t> out) const {
    const int64_t groups = scales.columns;
    std::vector<uint8_t> packed(static_cast<size_t>(rows * groups * 16));
    std::vector<uint8_t> exponents(static_cast<size_t>(rows * groups));
    PUNA_RETURN_IF_ERROR(blocks.ReadBytes(first, rows, packed.data()));
    PUNA_RETURN_IF_ERROR(scales.ReadBytes(first, rows, exponents.data()));
    for (size_t block = 0; block < exponents.size(); ++block) {
      const uint8_t* from = packed.data() + block * 16;
      uint8_t* to = out.data() + block * 17;
      const auto value = [&](int i) { return from[i / 2] >> (i % 2 * 4) & 15; };
      *to++ = exponents[block];
      for (int i = 0; i < 16; ++i) *to++ = static_cast<uint8_t>(value(i) | value(i + 16) << 4);
    }
    return {};
  }
};

// Collects what the rules of one family find.
class Gatherer {
 public:
  Gatherer(std::shared_ptr<const Checkpoint> checkpoint, const GatherShape& shape)
      : checkpoint_(std::move(checkpoint)), shape_(shape) {}

  Status Apply(const TensorRule& rule);
  Status CheckAllTaken() const;
  std::vector<TensorSource> sources() && { return std::move(sources_); }

 private:
  Status ApplyToLayer(const TensorRule& rule, int64_t layer);
  Status AddFloats(const TensorRule& rule, std::string name, const std::string& stored,
                   int64_t layer, bool bias);
  Status AddFourBits(const TensorRule& rule, std::string name, const std::string& stored);
  Result<Gather> MakeGather(const TensorRule& rule, std::vector<std::string> names);
  Status SetShape(const TensorRule& rule, const std::string& name, Gather* gather,
                  std::vector<int64_t>* dims) const;
  Result<Scales> ReadScales(const std::string& name, const StoredTensor& weight);

  std::shared_ptr<const Checkpoint> checkpoint_;
  const GatherShape& shape_;
  std::set<std::string, std::less<>> taken_;
  std::vector<TensorSource> sources_;
};

Status Gatherer::Apply(const TensorRule& rule) {
  if (rule.gguf.find("{}") == std::string_view::npos) return ApplyToLayer(rule, 0);
  for (int64_t layer = 0; layer < shape_.layers; ++layer)
    PUNA_RETURN_IF_ERROR(ApplyToLayer(rule, layer));
  return {};
}

Status Gatherer::ApplyToLayer(const TensorRule& rule, int64_t layer) {
  const std::string name = Filled(rule.gguf, layer, 0), stem = Filled(rule.stored, layer, 0);
  if (checkpoint_->Find(stem + "_blocks") != nullptr)
    PUNA_RETURN_IF_ERROR(AddFourBits(rule, name + ".weight", stem));
  for (const char* suffix : {".weight", ""}) {
    if (checkpoint_->Find(stem + suffix) != nullptr)
      PUNA_RETURN_IF_ERROR(AddFloats(rule, name + ".weight", suffix, layer, false));
  }
  for (const char* suffix : {".bias", "_bias"}) {
    if (checkpoint_->Find(stem + suffix) != nullptr)
      PUNA_RETURN_IF_ERROR(AddFloats(rule, name + ".bias", suffix, layer, true));
  }
  return {};
}

Result<Scales> Gatherer::ReadScales(const std::string& name, const StoredTensor& weight) {
  Scales scales;
  const CheckpointTensor* found = nullptr;
  bool blocks = false;
  for (const char* suffix : {"_scale_inv", "_scale"}) {
    if (found != nullptr) break;
    found = checkpoint_->Find(name + suffix);
    blocks = std::string_view(suffix) == "_scale_inv";
    if (found != nullptr) taken_.insert(name + suffix);
  }
  const int64_t columns = weight.shape.back(), rows = weight.elements() / columns;
  if (found == nullptr) {
    return MakeError(ErrorCode::kInvalidArgument, "tensor '{}' is {} and has no scales", name,
                     ElementTypeName(weight.type));
  }
  const StoredTensor& stored = *found->stored;
  scales.rows_per_block = rows;
  scales.columns_per_block = columns;
  if (blocks && stored.elements() > 1 && weight.shape.size() == 2) {
    scales.rows_per_block = shape_.scale_rows;
    scales.columns_per_block = shape_.scale_columns;
  } else if (stored.elements() == rows) {
    scales.rows_per_block = 1;
  }
  scales.block_columns = DivideUp(columns, scales.columns_per_block);
  const int64_t expected = DivideUp(rows, scales.rows_per_block) * scales.block_columns;
  const bool is_float = stored.type == ElementType::kF32 || stored.type == ElementType::kBF16 ||
                        stored.type == ElementType::kF16;
  if (stored.elements() != expected || !is_float) {
    return MakeError(ErrorCode::kUnsupported,
                     "the scales of '{}' are {} values of type {}, expected {} floats", name,
                     stored.elements(), ElementTypeName(stored.type), expected);
  }
  std::vector<uint8_t> bytes(stored.size_bytes);
  PUNA_RETURN_IF_ERROR(found->file->Read(stored, 0, bytes));
  scales.values.resize(static_cast<size_t>(expected));
  DecodeElements(stored.type, bytes.data(), expected, scales.values.data());
  return scales;
}

Result<Gather> Gatherer::MakeGather(const TensorRule& rule, std::vector<std::string> names) {
  Gather gather;
  gather.checkpoint = checkpoint_;
  gather.transform = rule.transform;
  gather.heads =
      std::max<int64_t>(1, rule.transform == Transform::kKeyPairs ? shape_.kv_heads : shape_.heads);
  gather.skipped = shape_.skipped_positions;
  for (const std::string& name : names) {
    const CheckpointTensor* part = checkpoint_->Find(name);
    if (part == nullptr)
      return MakeError(ErrorCode::kInvalidArgument, "tensor '{}' is missing", name);
    const StoredTensor &stored = *part->stored, &first = *checkpoint_->Find(names[0])->stored;
    if (stored.shape != first.shape || stored.type != first.type) {
      return MakeError(ErrorCode::kInvalidArgument, "tensors '{}' and '{}' differ in shape or type",
                       names[0], name);
    }
    if (stored.shape.empty() || stored.shape.size() > 4 || stored.size_bytes == 0)
      return MakeError(ErrorCode::kUnsupported, "tensor '{}' has {} dimensions, expected 1 to 4",
                       name, stored.shape.size());
    gather.parts.push_back(*part);
    taken_.insert(name);
    const bool eight_bits =
        stored.type == ElementType::kF8E4M3 || stored.type == ElementType::kF8E5M2;
    if (!eight_bits) continue;
    PUNA_ASSIGN_OR_RETURN(Scales scales, ReadScales(name, stored));
    gather.scales.push_back(std::move(scales));
  }
  return gather;
}

// Sets the shape of the GGUF tensor, and with it everything that PlaceOf divides by.
Status Gatherer::SetShape(const TensorRule& rule, const std::string& name, Gather* gather,
                          std::vector<int64_t>* dims) const {
  std::vector<int64_t> shape = gather->parts[0].stored->shape;
  const bool paired =
      rule.transform == Transform::kEvenRows || rule.transform == Transform::kOddRows;
  if (rule.transform == Transform::kVector) shape = {gather->parts[0].stored->elements()};
  const bool piled =
      rule.transform == Transform::kExpertRows || rule.transform == Transform::kExpertColumns;
  if (piled) {
    if (shape.size() != 2 || shape_.experts == 0 || shape[0] % shape_.experts != 0) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "tensor '{}' has {} dimensions and {} rows, expected 2 and a multiple of "
                       "the {} experts",
                       name, shape.size(), shape.empty() ? 0 : shape[0], shape_.experts);
    }
    shape = {shape_.experts, shape[0] / shape_.experts, shape[1]};
  }
  // A vector's rows are its values: all transforms but adding act on rows.
  const bool by_value = shape.size() == 1 && rule.transform != Transform::kNone &&
                        rule.transform != Transform::kVector &&
                        rule.transform != Transform::kAddOne;
  const bool biases = paired && shape.size() == 2;  // [experts, rows]
  if (by_value || biases) shape.push_back(1);
  gather->transposed = gather->transposed && shape.size() == 3 && !biases;
  if (gather->transposed) std::swap(shape[1], shape[2]);
  int64_t& rows = shape.size() > 1 ? shape[shape.size() - 2] : shape[0];
  gather->columns = shape.back();
  gather->stored_matrix_rows = shape.size() > 1 ? rows : 1;
  const bool turned =
      rule.transform == Transform::kQueryPairs || rule.transform == Transform::kKeyPairs;
  const bool halved =
      paired || rule.transform == Transform::kFirstHalf || rule.transform == Transform::kSecondHalf;
  const int64_t divisor = turned ? 2 * gather->heads : halved ? 2 : 1;
  if (rows % divisor != 0) {
    return MakeError(ErrorCode::kInvalidArgument, "tensor '{}': {} rows, expected a multiple of {}",
                     name, rows, divisor);
  }
  if (halved) rows /= 2;
  if (rule.transform == Transform::kPositions) rows -= gather->skipped;
  gather->matrix_rows = shape.size() > 1 ? rows : 1;
  if (gather->matrix_rows <= 0 || gather->columns <= 0)
    return MakeError(ErrorCode::kInvalidArgument, "tensor '{}' has no rows left", name);
  if (by_value || biases) shape.pop_back();
  dims->assign(shape.rbegin(), shape.rend());
  if (gather->parts.size() > 1) dims->push_back(static_cast<int64_t>(gather->parts.size()));
  return {};
}

Status Gatherer::AddFloats(const TensorRule& rule, std::string name, const std::string& suffix,
                           int64_t layer, bool bias) {
  std::vector<std::string> names;
  const bool stacked = rule.stored.find("{e}") != std::string_view::npos;
  for (int64_t e = 0; e < (stacked ? std::max<int64_t>(1, shape_.experts) : 1); ++e)
    names.push_back(Filled(rule.stored, layer, e) + suffix);
  PUNA_ASSIGN_OR_RETURN(Gather made, MakeGather(rule, names));
  auto gather = std::make_shared<Gather>(std::move(made));
  if (gather->type() == ElementType::kOther || gather->type() == ElementType::kU8) {
    return MakeError(ErrorCode::kUnsupported, "tensor '{}' has no float type", names[0]);
  }
  // Parameters of gpt-oss's experts have no ".weight" and are stored for products from the left.
  gather->transposed = suffix.empty() && !bias && rule.transform != Transform::kExpertRows &&
                       rule.stored.find(".experts.") != std::string_view::npos;
  TensorSource source;
  PUNA_RETURN_IF_ERROR(SetShape(rule, names[0], gather.get(), &source.dims));
  source.name = std::move(name);
  source.read = [gather](int64_t first, int64_t rows, float* out) {
    return gather->ReadFloats(first, rows, out);
  };
  constexpr std::pair<ElementType, TensorType> kSame[] = {{ElementType::kF32, TensorType::kF32},
                                                          {ElementType::kF16, TensorType::kF16},
                                                          {ElementType::kBF16, TensorType::kBF16}};
  source.type = TensorType::kBF16;
  for (const auto& [stored, type] : kSame) {
    if (gather->type() == stored) source.type = type;
  }
  if (gather->type() == ElementType::kF64) source.type = TensorType::kF32;
  const TensorShape shape{source.name, source.dims, source.type};
  const bool small = !MayChangeType(shape);
  const bool as_stored = gather->scales.empty() && rule.transform != Transform::kAddOne &&
                         gather->type() != ElementType::kF64;
  if (small) source.type = TensorType::kF32;  // engines expect norms, biases and routers so
  if (as_stored && (!small || gather->type() == ElementType::kF32)) {
    source.copy = [gather](int64_t first, int64_t rows, std::span<uint8_t> out) {
      return gather->ReadBytes(first, rows, out.data());
    };
  }
  // One row of a vector is all of it, whatever a row of the stored tensor is.
  if (source.dims[0] != gather->columns) {
    const int64_t scale = source.dims[0] / gather->columns;
    source.read = [gather, scale](int64_t first, int64_t rows, float* out) {
      return gather->ReadFloats(first * scale, rows * scale, out);
    };
    source.copy = nullptr;
  }
  sources_.push_back(std::move(source));
  return {};
}

Status Gatherer::AddFourBits(const TensorRule& rule, std::string name, const std::string& stem) {
  auto gather = std::make_shared<FourBitGather>();
  PUNA_ASSIGN_OR_RETURN(gather->blocks, MakeGather(rule, {stem + "_blocks"}));
  PUNA_ASSIGN_OR_RETURN(gather->scales, MakeGather(rule, {stem + "_scales"}));
  const std::vector<int64_t> blocks = gather->blocks.parts[0].stored->shape;
  const std::vector<int64_t> scales = gather->scales.parts[0].stored->shape;
  const bool fits = blocks.size() == 4 && scales.size() == 3 && blocks[3] == 16 &&
                    std::equal(scales.begin(), scales.end(), blocks.begin()) &&
                    gather->blocks.element_bytes() == 1 && gather->scales.element_bytes() == 1 &&
                    (rule.transform == Transform::kNone || blocks[1] % 2 == 0);
  if (!fits) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "tensor '{}_blocks' is no [experts, rows, groups, 16] with scales for it",
                     stem);
  }
  const int64_t rows = rule.transform == Transform::kNone ? blocks[1] : blocks[1] / 2;
  for (Gather* part : {&gather->blocks, &gather->scales}) {
    part->stored_matrix_rows = blocks[1];
    part->matrix_rows = rows;
    part->columns = part == &gather->scales ? blocks[2] : blocks[2] * 16;
  }
  TensorSource source;
  source.name = std::move(name);
  source.dims = {blocks[2] * 32, rows, blocks[0]};
  source.type = TensorType::kMXFP4;
  source.copy = [gather](int64_t first, int64_t n, std::span<uint8_t> out) {
    return gather->Copy(first, n, out);
  };
  source.read = [gather, columns = source.dims[0]](int64_t first, int64_t n, float* out) -> Status {
    std::vector<uint8_t> bytes(
        static_cast<size_t>(quant::BytesFor(TensorType::kMXFP4, n * columns)));
    PUNA_RETURN_IF_ERROR(gather->Copy(first, n, bytes));
    quant::TraitsOf(TensorType::kMXFP4).decode(bytes.data(), n * columns, out);
    return {};
  };
  sources_.push_back(std::move(source));
  return {};
}

Status Gatherer::CheckAllTaken() const {
  for (const auto& [name, tensor] : checkpoint_->tensors()) {
    if (!taken_.contains(name) && !IsIgnored(name)) {
      return MakeError(ErrorCode::kUnsupported,
                       "tensor '{}' is not known for this kind of model, or is of a layer that "
                       "config.json does not count",
                       name);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<TensorSource>> GatherTensors(const std::shared_ptr<const Checkpoint>& checkpoint,
                                                std::span<const TensorRule> rules,
                                                const GatherShape& shape) {
  Gatherer gatherer(checkpoint, shape);
  for (const TensorRule& rule : rules) PUNA_RETURN_IF_ERROR(gatherer.Apply(rule));
  PUNA_RETURN_IF_ERROR(gatherer.CheckAllTaken());
  return std::move(gatherer).sources();
}

}  // namespace puna::store
