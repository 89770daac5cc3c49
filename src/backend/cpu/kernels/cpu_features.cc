// CPUID says what the processor can decode; XCR0 says which registers the operating system saves at
// a task switch. Both are needed: a system that does not save zmm registers would corrupt them
// silently.
#include "backend/cpu/kernels/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace puna::backend::cpu {
namespace {

#if defined(__x86_64__)
struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers Cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool Has(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

CpuFeatures Detect() {
  CpuFeatures features;
  const Registers basic = Cpuid(1, 0);
  constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kF16c = 1u << 29;
  if (!Has(basic.c, kFma | kOsxsave | kAvx | kF16c)) return features;
  unsigned xcr0 = 0, high = 0;
  asm volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  constexpr unsigned kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000;
  const Registers wide = Cpuid(7, 0);
  const Registers wide1 = Cpuid(7, 1);
  constexpr unsigned kAvx2 = 1u << 5, kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;
  constexpr unsigned kVbmi = 1u << 1, kVnni = 1u << 11, kAvxVnni = 1u << 4, kBf16 = 1u << 5,
                     kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  features.avx2 = Has(xcr0, kYmm) && Has(wide.b, kAvx2);
  features.avx_vnni = features.avx2 && Has(wide1.a, kAvxVnni);
  features.avx512_vnni =
      features.avx2 && Has(xcr0, kZmm) && Has(wide.b, kF | kDq | kBw | kVl) && Has(wide.c, kVnni);
  features.avx512_vbmi = features.avx512_vnni && Has(wide.c, kVbmi);
  features.avx512_bf16 = features.avx512_vnni && Has(wide1.a, kBf16);
  features.amx_int8 = features.avx512_bf16 && Has(xcr0, kTiles) && Has(wide.d, kAmxTile | kAmxInt8);
  return features;
}
#elif defined(__aarch64__) && defined(__linux__)
CpuFeatures Detect() {
  constexpr unsigned long kAsimdDp = 1ul << 20;  // HWCAP_ASIMDDP
  CpuFeatures features;
  constexpr unsigned long kI8mm = 1ul << 13;  // HWCAP2_I8MM
  features.dotprod = (getauxval(AT_HWCAP) & kAsimdDp) != 0;
  features.i8mm = features.dotprod && (getauxval(AT_HWCAP2) & kI8mm) != 0;
  return features;
}
#elif defined(__aarch64__) && defined(__APPLE__)
CpuFeatures Detect() {
  CpuFeatures features;
  features.dotprod = true;  // from the first of them on
  int i8mm = 0;
  size_t size = sizeof(i8mm);
  features.i8mm =
      sysctlbyname("hw.optional.arm.FEAT_I8MM", &i8mm, &size, nullptr, 0) == 0 && i8mm != 0;
  return features;
}
#else
CpuFeatures Detect() { return {}; }
#endif

}  // namespace

const CpuFeatures& GetCpuFeatures() {
  static const CpuFeatures features = Detect();
  return features;
}

bool RequestTiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // the state component of the tiles
  static const bool granted =
      GetCpuFeatures().amx_int8 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

}  // namespace puna::backend::cpu
