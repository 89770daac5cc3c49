// Mappings of files that may become unreadable without ending the process. Whoever cuts a file
// short, and a disk or server that fails, makes reads of its mapping fault: SIGBUS, which ends the
// process and everybody's requests with it. In a guarded mapping zeros appear instead, from the
// page that cannot be read to the end, and it counts as unreadable from then on. So what was
// computed from one is worth something only if IsUnreadable() is false afterwards; who does not ask
// that must not guard. Faults anywhere else end the process as ever.
//
// Any thread, but a mapping is forgotten after its last use. Addresses of mappings that nobody
// guards, or no longer, are without effect and never unreadable.
#ifndef PUNA_BASE_MAPPING_GUARD_H_
#define PUNA_BASE_MAPPING_GUARD_H_

#include <cstdint>
#include <span>

namespace puna {

// `mapping` is what mmap returned, as long as it was asked for. More than a few thousand at once
// stay without a guard. Again: without effect.
void GuardMapping(std::span<const uint8_t> mapping);
// To be called before the mapping ends, guarded or not.
void ForgetMapping(std::span<const uint8_t> mapping);
// Of the mapping that `address` is in. The first is for those who read the file by other means and
// could not.
void MarkUnreadable(const uint8_t* address);
bool IsUnreadable(const uint8_t* address);

}  // namespace puna

#endif  // PUNA_BASE_MAPPING_GUARD_H_
