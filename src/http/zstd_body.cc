#include "http/zstd_body.h"

#include <zstd.h>

#include <memory>

namespace puna::http {

Result<std::string> DecompressZstd(std::string_view compressed, uint64_t limit_bytes) {
  constexpr int kWindowLog = 23;
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  if (context == nullptr ||
      ZSTD_isError(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kWindowLog))) {
    return MakeError(ErrorCode::kResourceExhausted, "no memory to decompress the request body");
  }
  ZSTD_inBuffer in = {compressed.data(), compressed.size(), 0};
  std::string text, piece(ZSTD_DStreamOutSize(), '\0');
  size_t missing = 1;  // of the frame under way; 0: it is over
  bool full = false;   // the last piece was, so there may be more without further input
  while (in.pos < in.size || full) {
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    missing = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(missing)) {
      return MakeError(ErrorCode::kInvalidArgument, "failed to decompress zstd body: {}",
                       ZSTD_getErrorName(missing));
    }
    if (out.pos > limit_bytes - text.size()) {
      return MakeError(ErrorCode::kResourceExhausted,
                       "the request body is larger than {} bytes when decompressed", limit_bytes);
    }
    text.append(piece, 0, out.pos);
    full = out.pos == out.size && missing != 0;
  }
  if (missing != 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "failed to decompress zstd body: it ends in the middle");
  }
  return text;
}

}  // namespace puna::http
