// The loops of quant_fit_lanes.h for the instruction set that the including file has switched on.
// No include guard: it is included once for each, inside a namespace of its own, and uses nothing
// that another file could define with other instructions.

using Lanes = float __attribute__((vector_size(64)));
using WholeLanes = int __attribute__((vector_size(64)));

static inline Lanes Load(const float* at) {
  Lanes lanes;
  __builtin_memcpy(&lanes, at, sizeof(lanes));
  return lanes;
}

static inline void Store(const Lanes& lanes, float* at) {
  __builtin_memcpy(at, &lanes, sizeof(lanes));
}

// The nearest whole number in [0, max].
static inline Lanes Rounded(const Lanes& exact, float max) {
  Lanes value = exact > 0.0f ? exact : 0.0f;
  value = value < max ? value : max;
  return __builtin_convertvector(__builtin_convertvector(value + 0.5f, WholeLanes), Lanes);
}

static inline void StoreSums(const Lanes& xl, const Lanes& ll, ScaleCandidates* c) {
  Store(xl, c->xl);
  Store(ll, c->ll);
  Store(ll > 0.0f ? xl * xl / ll : Lanes{}, c->gain);
}

static void Scales(const float* x, const float* w, int n, int low, int high, ScaleCandidates* c) {
  const Lanes inverse = Load(c->inverse);
  const float base = static_cast<float>(low), range = static_cast<float>(high - low);
  Lanes xl = {}, ll = {};
  for (int i = 0; i < n; ++i) {
    const Lanes level = Rounded(inverse * x[i] - base, range) + base;
    xl += level * (w[i] * x[i]);
    ll += level * level * w[i];
  }
  StoreSums(xl, ll, c);
}

// The level is the lowest one and what is added at each midpoint that the value has passed.
static void Iq4Scales(const float* x, const float* w, int n, ScaleCandidates* c) {
  const Lanes inverse = Load(c->inverse);
  Lanes xl = {}, ll = {};
  for (int i = 0; i < n; ++i) {
    const Lanes value = inverse * x[i];
    Lanes level = kIq4Levels[0] + Lanes{};
    for (int k = 1; k < 16; ++k) {
      const float midpoint = (kIq4Levels[k - 1] + kIq4Levels[k]) / 2;
      level += value > midpoint ? kIq4Levels[k] - kIq4Levels[k - 1] + Lanes{} : Lanes{};
    }
    xl += level * (w[i] * x[i]);
    ll += level * level * w[i];
  }
  StoreSums(xl, ll, c);
}

static void Lines(const float* x, const float* w, int n, int max_level, float max_offset,
                  LineCandidates* c) {
  const Lanes inverse = Load(c->inverse), from = Load(c->offset);
  const float max = static_cast<float>(max_level);
  Lanes l = {}, ll = {}, xl = {};
  float sum_w = 0, sum_x = 0;
  for (int i = 0; i < n; ++i) {
    const Lanes level = Rounded(inverse * (x[i] - from), max);
    const Lanes weighted = level * w[i];
    l += weighted;
    ll += weighted * level;
    xl += weighted * x[i];
    sum_w += w[i];
    sum_x += w[i] * x[i];
  }
  const Lanes determinant = ll * sum_w - l * l;
  Lanes scale = (xl * sum_w - l * sum_x) / determinant;
  Lanes offset = (ll * sum_x - l * xl) / determinant;
  const Lanes limit = max_offset + Lanes{};
  scale = offset > limit ? (xl - l * max_offset) / ll : scale;
  offset = offset > limit ? limit : offset;
  const Lanes gain = (scale * xl + offset * sum_x) * 2.0f - scale * scale * ll -
                     offset * (scale * l * 2.0f + offset * sum_w);
  Store(scale, c->scale);
  Store(offset, c->offset);
  Store((determinant > 0.0f) & (scale > 0.0f) ? gain : Lanes{}, c->gain);
}

static void Errors(const float* x, const float* w, int n, int max_level, ErrorCandidates* c) {
  const Lanes scale = Load(c->scale), inverse = Load(c->inverse), offset = Load(c->offset);
  const float max = static_cast<float>(max_level);
  Lanes error = {};
  for (int i = 0; i < n; ++i) {
    const Lanes above = x[i] - offset;
    const Lanes difference = above - scale * Rounded(above * inverse, max);
    error += difference * difference * w[i];
  }
  Store(error, c->error);
}

static const FitLoops kLoops = {Scales, Iq4Scales, Lines, Errors};
