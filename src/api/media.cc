#include "api/media.h"

#include "base/base64.h"
#include "image/image.h"

namespace puna::api {
namespace {

// What is no picture, or one beyond the limits, is refused here; unpacking comes later, if the
// model can see.
Result<std::string> DecodeBytes(std::string_view base64) {
  PUNA_ASSIGN_OR_RETURN(std::string bytes, DecodeBase64(base64));
  PUNA_RETURN_IF_ERROR(image::Inspect(bytes));
  return bytes;
}

}  // namespace

Result<std::string> DecodeImageUrl(std::string_view url) {
  static constexpr std::string_view kTypes[] = {"",          "image/jpeg", "image/jpg",
                                                "image/png", "image/webp", "image/gif"};
  if (url.starts_with("http://") || url.starts_with("https://")) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        "image URLs are not currently supported, please use base64 encoded data instead");
  }
  for (const std::string_view type : kTypes) {
    const std::string head = fmt::format("data:{};base64,", type);
    if (url.starts_with(head)) return DecodeBytes(url.substr(head.size()));
  }
  return MakeError(
      ErrorCode::kInvalidArgument,
      "invalid image input: expected a data URL of a jpeg, png, webp or gif in base64");
}

Result<std::string> DecodeImageText(std::string_view text) {
  return text.starts_with("data:") ? DecodeImageUrl(text) : DecodeBytes(text);
}

}  // namespace puna::api
