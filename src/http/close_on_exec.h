// Sockets are not for the programs that puna starts, such as editors and coding agents: one that
// goes on when puna has ended would keep its port and connections open, with nobody to answer.
#ifndef PUNA_HTTP_CLOSE_ON_EXEC_H_
#define PUNA_HTTP_CLOSE_ON_EXEC_H_

#include <fcntl.h>

namespace puna::http {

inline void CloseOnExec(int descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

}  // namespace puna::http

#endif  // PUNA_HTTP_CLOSE_ON_EXEC_H_
