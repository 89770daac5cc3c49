// For those who go on reading a model's file for long: others may cut it short meanwhile, or its
// disk may fail, and that is to be an error of this model alone (base/mapping_guard.h). Any thread.
#ifndef PUNA_GGUF_GGUF_GUARD_H_
#define PUNA_GGUF_GGUF_GUARD_H_

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::gguf {

// What cannot be read reads as zeros from now on. REQUIRES: whoever uses what was read asks
// CheckReadable() before.
void Guard(const File& file);
// kCorrupt if something that was read since Guard() could not be.
Status CheckReadable(const File& file);

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_GUARD_H_
