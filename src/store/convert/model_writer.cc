#include "store/convert/model_writer.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/exception.h"
#include "base/rounding.h"
#include "base/thread.h"
#include "store/disk_space.h"

namespace puna::store {
namespace {

// Values of a piece: its floats stay in a core's second-level cache, and a call of write is large
// enough not to matter.
constexpr int64_t kPieceValues = 64 * 1024;

struct Piece {
  size_t tensor;
  int64_t first, rows;
};

// One run of WriteModel; Work is run by every thread.
class Run {
 public:
  Run(const gguf::Layout& layout, std::span<const TensorSource> sources,
      std::span<const TensorTarget> targets, AtomicFile* out)
      : layout_(layout), sources_(sources), targets_(targets), out_(out) {
    first_piece_.push_back(0);
    for (const TensorSource& source : sources) {
      const int64_t step = RowsPerPiece(source);
      first_piece_.push_back(first_piece_.back() + DivideUp(source.rows(), step));
    }
  }

  // `progress` may be null. Memory that is not there fails the run, and not the process.
  void Work(const WriteProgress& progress) {
    try {
      WritePieces(progress);
    } catch (...) {
      Fail(CurrentException());
    }
  }

  uint64_t written() const { return written_; }
  Status status() const { return status_; }
  void Fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (status_) status_ = tl::unexpected(std::move(error));
    stop_ = true;
  }

 private:
  void WritePieces(const WriteProgress& progress) {
    std::vector<float> values;
    std::vector<uint8_t> bytes;
    while (!stop_) {
      const int64_t i = next_.fetch_add(1);
      if (i >= first_piece_.back()) return;
      const Status done = WritePiece(PieceAt(i), &values, &bytes);
      if (!done) return Fail(done.error());
      if (progress && !progress(written_, layout_.file_bytes))
        return Fail({ErrorCode::kCancelled, "cancelled"});
    }
  }

  static int64_t RowsPerPiece(const TensorSource& source) {
    return std::max<int64_t>(1, kPieceValues / source.columns());
  }

  Piece PieceAt(int64_t i) const {
    const auto after = std::upper_bound(first_piece_.begin(), first_piece_.end(), i);
    const auto tensor = static_cast<size_t>(after - first_piece_.begin() - 1);
    const int64_t step = RowsPerPiece(sources_[tensor]);
    const int64_t first = (i - first_piece_[tensor]) * step;
    return {tensor, first, std::min(step, sources_[tensor].rows() - first)};
  }

  Status WritePiece(const Piece& piece, std::vector<float>* values, std::vector<uint8_t>* bytes) {
    const TensorSource& source = sources_[piece.tensor];
    const TensorTarget& target = targets_[piece.tensor];
    const int64_t row_bytes = quant::BytesFor(target.type, source.columns());
    bytes->resize(static_cast<size_t>(piece.rows * row_bytes));
    Status made = target.type == source.type && source.copy
                      ? source.copy(piece.first, piece.rows, *bytes)
                      : Encode(piece, values, bytes->data());
    if (!made) return WithContext(std::move(made).error(), "tensor '" + source.name + "'");
    PUNA_RETURN_IF_ERROR(out_->WriteAt(
        layout_.offsets_bytes[piece.tensor] + static_cast<uint64_t>(piece.first * row_bytes),
        *bytes));
    written_ += bytes->size();
    return {};
  }

  Status Encode(const Piece& piece, std::vector<float>* values, uint8_t* out) const {
    const TensorSource& source = sources_[piece.tensor];
    const TensorTarget& target = targets_[piece.tensor];
    const quant::TypeTraits& traits = quant::TraitsOf(target.type);
    if (!source.read || traits.encode == nullptr) {
      return MakeError(ErrorCode::kUnsupported, "type {} cannot become {}",
                       quant::TraitsOf(source.type).name, traits.name);
    }
    const int64_t columns = source.columns();
    values->resize(static_cast<size_t>(piece.rows * columns));
    PUNA_RETURN_IF_ERROR(source.read(piece.first, piece.rows, values->data()));
    if (target.importance.empty()) {
      traits.encode(values->data(), piece.rows * columns, nullptr, out);
      return {};
    }
    const int64_t row_bytes = quant::BytesFor(target.type, columns);
    const int64_t matrix_rows = source.dims.size() > 1 ? source.dims[1] : 1;
    for (int64_t row = 0; row < piece.rows; ++row) {
      const auto matrix = static_cast<size_t>((piece.first + row) / matrix_rows);
      traits.encode(values->data() + row * columns, columns,
                    target.importance.data() + matrix * static_cast<size_t>(columns),
                    out + row * row_bytes);
    }
    return {};
  }

  const gguf::Layout& layout_;
  std::span<const TensorSource> sources_;
  std::span<const TensorTarget> targets_;
  AtomicFile* out_;
  std::vector<int64_t> first_piece_;  // of each tensor; and the number of all
  std::atomic<int64_t> next_ = 0;
  std::atomic<uint64_t> written_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  Status status_;
};

}  // namespace

int64_t TensorSource::rows() const {
  int64_t rows = 1;
  for (size_t i = 1; i < dims.size(); ++i) rows *= dims[i];
  return rows;
}

Status WriteModel(gguf::StreamWriter* metadata, std::span<const TensorSource> sources,
                  std::span<const TensorTarget> targets, int threads, const WriteProgress& progress,
                  AtomicFile* out) {
  CHECK(sources.size() == targets.size());
  for (size_t i = 0; i < sources.size(); ++i)
    metadata->AddTensor(sources[i].name, targets[i].type, sources[i].dims);
  PUNA_ASSIGN_OR_RETURN(const gguf::Layout layout, metadata->Plan());
  // A full disk is an error now and not after hours.
  PUNA_RETURN_IF_ERROR(ReserveDiskSpace(out->temporary_path(), layout.file_bytes));
  PUNA_RETURN_IF_ERROR(out->WriteAt(
      0, std::span(reinterpret_cast<const uint8_t*>(layout.header.data()), layout.header.size())));
  if (!sources.empty()) {  // the last tensor is padded too; the gaps before it read as zeros anyway
    const uint64_t end = layout.offsets_bytes.back() + layout.sizes_bytes.back();
    const std::vector<uint8_t> padding(layout.file_bytes - end);
    PUNA_RETURN_IF_ERROR(out->WriteAt(end, padding));
  }
  Run run(layout, sources, targets, out);
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) {
    auto other = StartThread("puna-convert", [&run] { run.Work(nullptr); });
    if (!other) break;  // fewer do the same
    others.push_back(*std::move(other));
  }
  run.Work(progress);
  for (std::thread& thread : others) thread.join();
  PUNA_RETURN_IF_ERROR(run.status());
  if (progress) progress(layout.file_bytes, layout.file_bytes);
  return {};
}

}  // namespace puna::store
