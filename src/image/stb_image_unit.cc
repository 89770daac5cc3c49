// stb_image's own code, with only the formats that are wanted and with memory from a budget.
#include "image/stb_memory.h"

#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS (1 << 16)
#define STBI_MALLOC(bytes) puna::image::StbAllocate(bytes)
#define STBI_REALLOC(memory, bytes) puna::image::StbReallocate(memory, bytes)
#define STBI_FREE(memory) puna::image::StbFree(memory)
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
