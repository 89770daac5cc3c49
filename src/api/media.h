// Pictures as they travel in requests: base64, bare or in a data URL. What is no PNG, JPEG, WebP or
// GIF file within the limits of image/image.h is kInvalidArgument.
#ifndef PUNA_API_MEDIA_H_
#define PUNA_API_MEDIA_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::api {

// The bytes of "data:image/png;base64,..." (also of a URL that names no type). Web addresses are
// kInvalidArgument: the server fetches nothing.
Result<std::string> DecodeImageUrl(std::string_view url);

// Base64 with or without the head of a data URL before it.
Result<std::string> DecodeImageText(std::string_view text);

}  // namespace puna::api

#endif  // PUNA_API_MEDIA_H_
