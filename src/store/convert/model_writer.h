// Writing a model file tensor by tensor from sources that are read in pieces: whatever the size of
// the model, memory holds a few pieces per thread. All threads take pieces in file order, decode,
// encode, and write them to their place, so that reading, computing and writing overlap and nothing
// waits for a tensor to end.
#ifndef PUNA_STORE_CONVERT_MODEL_WRITER_H_
#define PUNA_STORE_CONVERT_MODEL_WRITER_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "gguf/gguf_stream.h"
#include "quant/quant.h"

namespace puna::store {

struct TensorSource {
  std::string name;
  std::vector<int64_t> dims;  // as in GGUF: dims[0] is the length of a row
  quant::TensorType type = quant::TensorType::kF32;
  // Fills `out` with `rows` rows from row `first` on, as float32. Null for types that are no
  // weights. Both functions are called from several threads at once.
  std::function<Status(int64_t first, int64_t rows, float* out)> read;
  // The same rows in `type`, byte for byte.
  std::function<Status(int64_t first, int64_t rows, std::span<uint8_t> out)> copy;

  int64_t columns() const { return dims[0]; }
  int64_t rows() const;
};

struct TensorTarget {
  quant::TensorType type = quant::TensorType::kF32;  // another than the source's: read and encoded
  // How much the error of each column weighs; dims[0] values for each matrix of dims[2], or empty.
  std::span<const float> importance;
};

// Bytes written and bytes in all; false cancels. Called from the thread that called WriteModel.
using WriteProgress = std::function<bool(uint64_t done, uint64_t total)>;

// Adds the tensors to `metadata` and writes the whole file, without committing it.
Status WriteModel(gguf::StreamWriter* metadata, std::span<const TensorSource> sources,
                  std::span<const TensorTarget> targets, int threads, const WriteProgress& progress,
                  AtomicFile* out);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_MODEL_WRITER_H_
