// The one thing of EXIF that matters for pixels: which way up they are.
#ifndef PUNA_IMAGE_EXIF_H_
#define PUNA_IMAGE_EXIF_H_

#include <string_view>

#include "image/image.h"

namespace puna::image {

// 1 to 8; 1 where the file says nothing that makes sense.
int ExifOrientation(std::string_view file, Format format);

}  // namespace puna::image

#endif  // PUNA_IMAGE_EXIF_H_
