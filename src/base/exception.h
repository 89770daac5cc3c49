// Exceptions of libraries, where they end: at the borders that ARCHITECTURE.md names, and in
// threads, of which one that ends by an exception ends the process.
#ifndef PUNA_BASE_EXCEPTION_H_
#define PUNA_BASE_EXCEPTION_H_

#include "base/result.h"

namespace puna {

// The exception that is being handled, as an error: kResourceExhausted for memory that is not
// there, else kInternal. REQUIRES: the caller is in a catch block.
Error CurrentException() noexcept;

}  // namespace puna

#endif  // PUNA_BASE_EXCEPTION_H_
