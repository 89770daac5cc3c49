// CHECK(condition) << "more"; ends the process with file, line and text when puna itself is wrong.
// It stays on in every build. Nothing that comes from a request or a file may ever reach one: that
// is what Result is for.
#ifndef PUNA_BASE_CHECK_H_
#define PUNA_BASE_CHECK_H_

#include <sstream>

namespace puna::internal {

// Collects the message and ends the process when it dies.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

// Makes both arms of the ternary in CHECK void; & binds weaker than <<.
struct Voidify {
  void operator&(std::ostream&) {}
};

}  // namespace puna::internal

#define CHECK(condition)                      \
  (condition) ? (void)0                       \
              : ::puna::internal::Voidify() & \
                    ::puna::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()

#endif  // PUNA_BASE_CHECK_H_
