// The row operations of VectorOps over simd_inl.h's vectors, which is included before; see there
// for the rules of such units.

// Calls body(offset, load, store) for every vector of n values, the last one partial.
template <typename Body>
PUNA_INLINE void Map(const float* x, int64_t n, float* out, Body&& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(out + i, body(Load(x + i)));
  if (i < n) StorePart(out + i, body(LoadPart(x + i, n - i)), n - i);
}
template <typename Body>
PUNA_INLINE void Map2(const float* x, const float* y, int64_t n, float* out, Body&& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(out + i, body(Load(x + i), Load(y + i)));
  if (i < n) StorePart(out + i, body(LoadPart(x + i, n - i), LoadPart(y + i, n - i)), n - i);
}

PUNA_INLINE float SumOf(const float* x, int64_t n) {
  F32 sum0{}, sum1{};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sum0 += Load(x + i);
    sum1 += Load(x + i + kLanes);
  }
  for (; i + kLanes <= n; i += kLanes) sum0 += Load(x + i);
  if (i < n) sum1 += LoadPart(x + i, n - i);
  return Sum(sum0 + sum1);
}
// Sum of (x - center)^2.
PUNA_INLINE float SumOfSquares(const float* x, int64_t n, float center) {
  const F32 c = Set(center);
  F32 sum0{}, sum1{};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const F32 a = Load(x + i) - c, b = Load(x + i + kLanes) - c;
    sum0 = Fma(a, a, sum0);
    sum1 = Fma(b, b, sum1);
  }
  for (; i + kLanes <= n; i += kLanes) {
    const F32 a = Load(x + i) - c;
    sum0 = Fma(a, a, sum0);
  }
  float sum = Sum(sum0 + sum1);
  for (; i < n; ++i) sum += (x[i] - center) * (x[i] - center);
  return sum;
}

static void Norm(NormKind kind, const float* x, int64_t n, float epsilon, const float* weight,
                 const float* bias, float* out) {
  float mean = 0, factor = 0;
  switch (kind) {
    case NormKind::kRms:
      factor = 1.0f / __builtin_sqrtf(SumOfSquares(x, n, 0) / static_cast<float>(n) + epsilon);
      break;
    case NormKind::kLayer:
      mean = SumOf(x, n) / static_cast<float>(n);
      factor = 1.0f / __builtin_sqrtf(SumOfSquares(x, n, mean) / static_cast<float>(n) + epsilon);
      break;
    case NormKind::kL2: {
      const float length = __builtin_sqrtf(SumOfSquares(x, n, 0));
      factor = 1.0f / (length > epsilon ? length : epsilon);
      break;
    }
  }
  const F32 m = Set(mean), f = Set(factor);
  if (weight == nullptr && bias == nullptr) {
    Map(x, n, out, [&](F32 v) { return (v - m) * f; });
  } else if (bias == nullptr) {
    Map2(x, weight, n, out, [&](F32 v, F32 w) { return (v - m) * f * w; });
  } else {
    for (int64_t i = 0; i < n; ++i) {
      out[i] = (x[i] - mean) * factor * (weight == nullptr ? 1.0f : weight[i]) + bias[i];
    }
  }
}

static void Rope(RopeKind kind, float* x, int64_t pairs, const float* cos, const float* sin) {
  if (kind == RopeKind::kInterleaved) {
    for (int64_t i = 0; i < pairs; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cos[i] - b * sin[i];
      x[2 * i + 1] = a * sin[i] + b * cos[i];
    }
    return;
  }
  int64_t i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    const F32 a = Load(x + i), b = Load(x + pairs + i), c = Load(cos + i), s = Load(sin + i);
    Store(x + i, a * c - b * s);
    Store(x + pairs + i, a * s + b * c);
  }
  for (; i < pairs; ++i) {
    const float a = x[i], b = x[pairs + i];
    x[i] = a * cos[i] - b * sin[i];
    x[pairs + i] = a * sin[i] + b * cos[i];
  }
}

// max(x, 0) + log(1 + t) for t = e^-|x| <= 1. log(1 + t) = 2 atanh(s) for s = t / (2 + t) <= 1 / 3,
// whose series is cut after s^15: 3e-9 of the value at most.
PUNA_INLINE F32 Softplus(F32 x) {
  const F32 t = Exp(-Max(x, -x));
  const F32 s = t * Reciprocal(t + 2.0f);
  const F32 z = s * s;
  F32 q = Set(1.0f / 15);
  q = Fma(q, z, Set(1.0f / 13));
  q = Fma(q, z, Set(1.0f / 11));
  q = Fma(q, z, Set(1.0f / 9));
  q = Fma(q, z, Set(1.0f / 7));
  q = Fma(q, z, Set(1.0f / 5));
  q = Fma(q, z, Set(1.0f / 3));
  q = Fma(q, z, Set(1.0f));
  return Fma(s + s, q, Max(x, F32{}));
}

template <Activation kActivation>
PUNA_INLINE F32 Activate(F32 x) {
  if constexpr (kActivation == Activation::kSilu) return x * Sigmoid(x);
  if constexpr (kActivation == Activation::kGeluTanh) {
    return 0.5f * x * (1.0f + Tanh(0.7978845608f * x * (1.0f + 0.044715f * x * x)));
  }
  if constexpr (kActivation == Activation::kGeluErf)
    return 0.5f * x * (1.0f + Erf(0.7071067812f * x));
  if constexpr (kActivation == Activation::kGeluQuick) return x * Sigmoid(1.702f * x);
  if constexpr (kActivation == Activation::kRelu) return Max(x, F32{});
  if constexpr (kActivation == Activation::kReluSquared) return Max(x, F32{}) * Max(x, F32{});
  if constexpr (kActivation == Activation::kSigmoid) return Sigmoid(x);
  if constexpr (kActivation == Activation::kTanh) return Tanh(x);
  if constexpr (kActivation == Activation::kSoftplus) return Softplus(x);
  if constexpr (kActivation == Activation::kExp) return Exp(x);
  return x;
}

// Calls body with the activation as a template argument, body.template operator()<a>().
template <typename Body>
PUNA_INLINE void WithActivation(Activation activation, Body&& body) {
  switch (activation) {
    case Activation::kIdentity:
      return body.template operator()<Activation::kIdentity>();
    case Activation::kSilu:
      return body.template operator()<Activation::kSilu>();
    case Activation::kGeluTanh:
      return body.template operator()<Activation::kGeluTanh>();
    case Activation::kGeluErf:
      return body.template operator()<Activation::kGeluErf>();
    case Activation::kGeluQuick:
      return body.template operator()<Activation::kGeluQuick>();
    case Activation::kRelu:
      return body.template operator()<Activation::kRelu>();
    case Activation::kReluSquared:
      return body.template operator()<Activation::kReluSquared>();
    case Activation::kSigmoid:
      return body.template operator()<Activation::kSigmoid>();
    case Activation::kTanh:
      return body.template operator()<Activation::kTanh>();
    case Activation::kSoftplus:
      return body.template operator()<Activation::kSoftplus>();
    case Activation::kExp:
      return body.template operator()<Activation::kExp>();
  }
}

static void Unary(Activation activation, const float* x, int64_t n, float* out) {
  WithActivation(activation, [&]<Activation kActivation>() {
    Map(x, n, out, [](F32 v) { return Activate<kActivation>(v); });
  });
}
static void Gated(Activation activation, const float* gate, const float* up, int64_t n,
                  float* out) {
  WithActivation(activation, [&]<Activation kActivation>() {
    Map2(gate, up, n, out, [](F32 g, F32 u) { return Activate<kActivation>(g) * u; });
  });
}
static void GatedClamped(const float* gate, const float* up, int64_t n, float limit, float alpha,
                         float* out) {
  Map2(gate, up, n, out, [&](F32 g, F32 u) {
    g = Min(g, Set(limit));
    u = Max(Min(u, Set(limit)), Set(-limit));
    return g * Sigmoid(alpha * g) * (u + 1.0f);
  });
}
static void GatedLimited(Activation activation, const float* gate, const float* up, int64_t n,
                         float limit, float* out) {
  WithActivation(activation, [&]<Activation kActivation>() {
    Map2(gate, up, n, out, [&](F32 g, F32 u) {
      u = Max(Min(u, Set(limit)), Set(-limit));
      return Min(Activate<kActivation>(g), Set(limit)) * u;
    });
  });
}
static void Xielu(float* x, int64_t n, float alpha_n, float alpha_p, float beta, float epsilon) {
  Map(x, n, x, [&](F32 v) {
    const F32 bent = alpha_n * (Exp(Min(v, Set(epsilon))) - 1.0f - v);
    return (v > F32{} ? alpha_p * v * v : bent) + beta * v;
  });
}
static void Add(const float* a, const float* b, float scale, int64_t n, float* out) {
  Map2(a, b, n, out, [&](F32 x, F32 y) { return Fma(Set(scale), y, x); });
}
static float Dot(const float* a, const float* b, int64_t n) {
  F32 sum0{}, sum1{};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sum0 = Fma(Load(a + i), Load(b + i), sum0);
    sum1 = Fma(Load(a + i + kLanes), Load(b + i + kLanes), sum1);
  }
  for (; i + kLanes <= n; i += kLanes) sum0 = Fma(Load(a + i), Load(b + i), sum0);
  if (i < n) sum1 = Fma(LoadPart(a + i, n - i), LoadPart(b + i, n - i), sum1);
  return Sum(sum0 + sum1);
}
static void Mul(const float* a, const float* b, int64_t n, float* out) {
  Map2(a, b, n, out, [](F32 x, F32 y) { return x * y; });
}
static void Scale(float* x, int64_t n, float scale) {
  Map(x, n, x, [&](F32 v) { return v * scale; });
}
static void Softcap(float* x, int64_t n, float scale, float cap) {
  const float inner = scale / cap;
  Map(x, n, x, [&](F32 v) { return cap * Tanh(v * inner); });
}

static void Softmax(float* x, int64_t n) {
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  Map(x, n, x, [&](F32 v) { return Exp(v - largest); });
  const float factor = 1.0f / SumOf(x, n);
  Scale(x, n, factor);
}
