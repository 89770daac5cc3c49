// The inner loops of quant_fit.cc: sixteen candidates are tried at once, each in a lane of its own.
// Nothing is summed across lanes, so every instruction set gives the same bits, and any number of
// values will do. Internal to quant; thread safe.
#ifndef PUNA_QUANT_QUANT_FIT_LANES_H_
#define PUNA_QUANT_QUANT_FIT_LANES_H_

namespace puna::quant {

inline constexpr int kCandidates = 16;

// Sums for candidate c, whose levels are the values times inverse[c], rounded.
struct ScaleCandidates {
  float inverse[kCandidates];
  float xl[kCandidates];    // of weight * value * level
  float ll[kCandidates];    // of weight * level * level
  float gain[kCandidates];  // xl^2 / ll: how much the error of zeros is lowered; 0 if ll is
};

// Levels are the values less offset[c], times inverse[c]; then scale and offset are the best for
// these levels.
struct LineCandidates {
  float inverse[kCandidates];
  float offset[kCandidates];  // replaced by the best one
  float scale[kCandidates];
  float gain[kCandidates];  // how much the error of zeros is lowered; 0 if there is no best one
};

struct ErrorCandidates {
  float scale[kCandidates];
  float inverse[kCandidates];
  float offset[kCandidates];
  float error[kCandidates];  // of weight * (value - offset - scale * level)^2
};

struct FitLoops {
  // Levels in [low, high].
  void (*scales)(const float* x, const float* w, int n, int low, int high, ScaleCandidates* c);
  // Levels of IQ4_NL; xl and ll with them.
  void (*iq4_scales)(const float* x, const float* w, int n, ScaleCandidates* c);
  // Levels in [0, max_level], offsets of at most `max_offset`.
  void (*lines)(const float* x, const float* w, int n, int max_level, float max_offset,
                LineCandidates* c);
  void (*errors)(const float* x, const float* w, int n, int max_level, ErrorCandidates* c);
};

// The fastest that this processor runs.
const FitLoops& BestFitLoops();
// All that it runs, for tests.
struct NamedFitLoops {
  const char* name;
  const FitLoops* loops;  // null if the processor lacks something
};
const NamedFitLoops (&AllFitLoops())[3];

}  // namespace puna::quant

#endif  // PUNA_QUANT_QUANT_FIT_LANES_H_
