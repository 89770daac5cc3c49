#include "base/exception.h"

#include <exception>
#include <new>

namespace puna {

// What it says where memory is short is so short that a string needs no memory for it.
Error CurrentException() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kResourceExhausted, "out of memory"};
  } catch (const std::exception& exception) {
    try {
      return {ErrorCode::kInternal, exception.what()};
    } catch (...) {
      return {ErrorCode::kInternal, "an exception"};
    }
  } catch (...) {
    return {ErrorCode::kInternal, "unknown"};
  }
}

}  // namespace puna
