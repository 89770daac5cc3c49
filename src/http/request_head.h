// What the head of a request must and may say beyond its syntax. `version`: 10 or 11.
#ifndef PUNA_HTTP_REQUEST_HEAD_H_
#define PUNA_HTTP_REQUEST_HEAD_H_

#include "http/server.h"

namespace puna::http {

// The status for a body in a coding other than chunked; 0: it is in none. Where chunked is not the
// last, nobody knows where the body ends and a request begins (RFC 9112, 6.1 and 6.3).
int StatusOfCoding(const Request& request, unsigned version);

// RFC 9112, 3.2.
bool NamesOneHost(const Request& request, unsigned version);

// Sets the path from the target; and the host, where the target names it as for a proxy: that goes
// before the header (RFC 9112, 3.2.2).
void ReadTarget(Request* request);

}  // namespace puna::http

#endif  // PUNA_HTTP_REQUEST_HEAD_H_
