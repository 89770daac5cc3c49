// The bytes of the key/value cache of the reference backend.
#ifndef PUNA_BACKEND_REFERENCE_REFERENCE_KV_H_
#define PUNA_BACKEND_REFERENCE_REFERENCE_KV_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace puna::backend::reference {

// Pages of kPageTokens positions, each [layer][position][keys of all heads, then values of all
// heads]. A head's values are encoded by themselves: float32; float16; or int8 with one float32
// scale per 32 values (per head if its size is no multiple of 32), scale = largest magnitude / 127.
// Memory is taken when a page is first written.
class KvPages {
 public:
  KvPages(const Plan& plan, KvType type, int64_t pages);

  // k: [kv_heads * k_size], v: [kv_heads * v_size] of one position.
  void Write(int layer, int32_t page, int64_t slot, std::span<const float> k,
             std::span<const float> v);
  // One head of one position. REQUIRES: it was written.
  void ReadKey(int layer, int32_t page, int64_t slot, int64_t head, std::span<float> out) const;
  void ReadValue(int layer, int32_t page, int64_t slot, int64_t head, std::span<float> out) const;

  void Copy(int32_t from, int32_t to, int64_t tokens);
  void Release(int32_t page);
  int64_t page_bytes() const { return page_bytes_; }
  int64_t pages() const { return static_cast<int64_t>(pages_.size()); }

 private:
  struct Layer {
    CacheLayer shape;
    int64_t offset_bytes = 0;  // within a page
    int64_t key_bytes = 0;     // of one head
    int64_t value_bytes = 0;
    int64_t position_bytes = 0;  // all heads, keys and values
  };
  uint8_t* At(const Layer& layer, int32_t page, int64_t slot);
  const uint8_t* At(const Layer& layer, int32_t page, int64_t slot) const;

  KvType type_;
  std::vector<Layer> layers_;
  int64_t page_bytes_ = 0;
  std::vector<std::unique_ptr<uint8_t[]>> pages_;
};

}  // namespace puna::backend::reference

#endif  // PUNA_BACKEND_REFERENCE_REFERENCE_KV_H_
