// How requests end, for the metrics: each is counted once, where whoever asked is told.
#ifndef PUNA_ENGINE_REQUEST_END_H_
#define PUNA_ENGINE_REQUEST_END_H_

#include "base/result.h"

namespace puna::engine {

enum class RequestEnd { kFinished, kFailed, kCancelled, kTimedOut };

void CountEnd(RequestEnd end);
// Of a request that ends with this error: kCancelled or kFailed.
RequestEnd EndWith(const Error& error);
// What a request is told whose time is over: kUnavailable.
Error TimeIsOver();

}  // namespace puna::engine

#endif  // PUNA_ENGINE_REQUEST_END_H_
