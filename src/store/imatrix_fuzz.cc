// Any bytes: an error, or whole entries whose weights are finite.
#include <cstdint>

#include "base/check.h"
#include "store/imatrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto matrix = puna::store::ParseImatrix({data, size});
  if (!matrix) {
    CHECK(!matrix.error().message.empty());
    return 0;
  }
  CHECK(!matrix->entries.empty());
  for (const auto& [name, entry] : matrix->entries) {
    CHECK(entry.sums.size() % entry.counts.size() == 0);
    for (const float weight : puna::store::ImportanceOf(entry)) CHECK(weight >= 0);
  }
  return 0;
}
