#include "api/version.h"

namespace puna::api {

const char kVersion[] = PUNA_VERSION;

}  // namespace puna::api
