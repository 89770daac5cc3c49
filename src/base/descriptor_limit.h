// How many files and connections this process may have open.
#ifndef PUNA_BASE_DESCRIPTOR_LIMIT_H_
#define PUNA_BASE_DESCRIPTOR_LIMIT_H_

namespace puna {

// Takes 65,536, or as many as the process may, if it has fewer. Shells and systemd give 1024 at
// first, for the sake of programs that use select(2), and let a program have more that can do with
// them.
void RaiseDescriptorLimit();

}  // namespace puna

#endif  // PUNA_BASE_DESCRIPTOR_LIMIT_H_
