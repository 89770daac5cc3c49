// Which instruction set to use. Availability is asked of the processor once, by the units
// themselves (their flags decide what they need); the order of kOrder is the order of preference,
// last is best.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {
namespace {

constexpr std::array kOrder = {Isa::kScalar,     Isa::kNeon,       Isa::kDotprod,
                               Isa::kI8mm,       Isa::kAvx2,       Isa::kAvxVnni,
                               Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kAmx};

std::string Choices() {
  std::string choices;
  for (const Isa isa : AvailableIsas()) {
    if (!choices.empty()) choices += ", ";
    choices += IsaName(isa);
  }
  return choices;
}

}  // namespace

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAmx:
      return "amx";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
    case Isa::kNeon:
      return "neon";
    case Isa::kDotprod:
      return "dotprod";
    case Isa::kI8mm:
      return "i8mm";
  }
  return "unknown";
}

bool IsaAvailable(Isa isa) {
  const IsaKernels& kernels = KernelsOf(isa);
  return kernels.isa == isa && kernels.available();
}

std::vector<Isa> AvailableIsas() {
  std::vector<Isa> available;
  std::copy_if(kOrder.begin(), kOrder.end(), std::back_inserter(available), &IsaAvailable);
  return available;
}

Result<Isa> ChooseIsa(std::string_view forced) {
  if (forced.empty()) return AvailableIsas().back();
  for (Isa isa : kOrder) {
    if (IsaName(isa) != forced) continue;
    if (IsaAvailable(isa)) return isa;
    return MakeError(ErrorCode::kInvalidArgument,
                     "instruction set \"{}\" is not available on this machine; it has {}", forced,
                     Choices());
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   "instruction set \"{}\" is unknown; this machine has {}", forced, Choices());
}

}  // namespace puna::backend::cpu
