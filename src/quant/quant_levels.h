// The uneven scales of levels that 4-bit formats share.
#ifndef PUNA_QUANT_QUANT_LEVELS_H_
#define PUNA_QUANT_QUANT_LEVELS_H_

namespace puna::quant {

// IQ4_NL and IQ4_XS. Dense around zero, where the weights are.
inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};

// MXFP4 and NVFP4: twice the value of the E2M1 float with these four bits (sign, 2 exponent, 1
// mantissa), so that all are whole. Minus zero reads as plus zero.
inline constexpr float kFp4Levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace puna::quant

#endif  // PUNA_QUANT_QUANT_LEVELS_H_
