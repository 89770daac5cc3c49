// The kernels of recurrent ops over simd_inl.h's vectors, which is included before; see there for
// the rules of such units. States are laid out so that a vector runs over values that do not
// depend on each other: nothing is summed across lanes.

static void Convolve(const float* const* rows, int64_t kernel, const float* weight,
                     const float* bias, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = n - i < kLanes ? n - i : kLanes;
    const auto load = [&](const float* p) {
      return count == kLanes ? Load(p + i) : LoadPart(p + i, count);
    };
    F32 sum = bias == nullptr ? F32{} : load(bias);
    for (int64_t j = 0; j < kernel; ++j) sum = Fma(load(weight + j * n), load(rows[j]), sum);
    if (count == kLanes) {
      Store(out + i, sum);
    } else {
      StorePart(out + i, sum, count);
    }
  }
}

static void ScanChannels(const float* x, const float* dt, const float* decay, const float* b,
                         const float* c, const float* skip, int64_t state_size, int64_t n,
                         float* state, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = n - i < kLanes ? n - i : kLanes;
    const auto load = [&](const float* p) {
      return count == kLanes ? Load(p + i) : LoadPart(p + i, count);
    };
    const F32 d = Softplus(load(dt)), value = load(x);
    const F32 added = d * value;
    F32 sum = load(skip) * value;
    for (int64_t s = 0; s < state_size; ++s) {
      float* at = state + s * n;
      const F32 next = Fma(Exp(d * load(decay + s * n)), load(at), added * b[s]);
      if (count == kLanes) {
        Store(at + i, next);
      } else {
        StorePart(at + i, next, count);
      }
      sum = Fma(Set(c[s]), next, sum);
    }
    if (count == kLanes) {
      Store(out + i, sum);
    } else {
      StorePart(out + i, sum, count);
    }
  }
}

static void Keep(const float* decay, float rate, int64_t n, float* keep) {
  Map(decay, n, keep, [&](F32 v) { return Exp(rate * Softplus(v)); });
}

// A column of the matrix is one lane; a block of columns is gone through twice, first for what the
// state knows of `erase`, then to change and read it.
static void Recur(const RecurArgs& args) {
  const int64_t n = args.v_size;
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = n - i < kLanes ? n - i : kLanes;
    const auto load = [&](const float* p) {
      return count == kLanes ? Load(p + i) : LoadPart(p + i, count);
    };
    F32 value = load(args.v), known{};
    if (args.erase != nullptr) {
      for (int64_t row = 0; row < args.k_size; ++row)
        known = Fma(Set(args.erase[row]), load(args.state + row * n), known);
    }
    if (args.beta != nullptr) value = *args.beta * (value - known);
    F32 sum{};
    for (int64_t row = 0; row < args.k_size; ++row) {
      float* at = args.state + row * n;
      const F32 before = load(at);
      const F32 added = args.k[row] * value;
      F32 next = Fma(Set(args.keep[row]), before, added);
      if (args.write != nullptr) next = Fma(Set(args.write[row]), known, next);
      if (count == kLanes) {
        Store(at + i, next);
      } else {
        StorePart(at + i, next, count);
      }
      const F32 seen = args.bonus == nullptr ? next : Fma(Set(args.bonus[row]), added, before);
      sum = Fma(Set(args.r[row]), seen, sum);
    }
    sum = sum * args.scale;
    if (count == kLanes) {
      Store(args.out + i, sum);
    } else {
      StorePart(args.out + i, sum, count);
    }
  }
}
