// Functions whose built-in forms lose too many digits, or none exist. The numbers of activations are
// those of backend::Activation.
float Log1p(float y) { return abs(y) < 1e-2 ? y * (1 - y * (0.5 - y * (1.0 / 3 - y * (0.25 - y * 0.2)))) : log(1 + y); }

float Expm1(float x) {
  return abs(x) < 0.1 ? x * (1 + x * (0.5 + x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120 + x / 720))))) : exp(x) - 1;
}

float Tanh(float x) {
  const float s = x * x;
  if (s < 0.04) return x * (1 - s * (1.0 / 3 - s * (2.0 / 15 - s * (17.0 / 315 - s * 62.0 / 2835))));
  return sign(x) * (1 - 2 / (exp(2 * min(abs(x), 20.0)) + 1));
}

float Sigmoid(float x) { return 1 / (1 + exp(-x)); }

float Softplus(float x) { return max(x, 0.0) + Log1p(exp(-abs(x))); }

// A series where it needs few terms; beyond, the continued fraction of the complement (Abramowitz and
// Stegun 7.1.5 and 7.1.14), evaluated from its end.
float Erf(float x) {
  const float a = abs(x);
  if (a < 2.0) {
    float term = a, sum = a;
    for (int n = 1; n < 26; ++n) {
      term *= -a * a / float(n);
      sum += term / float(2 * n + 1);
    }
    return sign(x) * 1.1283791671 * sum;
  }
  if (a > 5.0) return sign(x);
  float f = a;
  for (int n = 24; n > 0; --n) f = a + 0.5 * float(n) / f;
  return sign(x) * (1 - exp(-a * a) * 0.5641895835 / f);
}

float Activate(uint activation, float x) {
  switch (activation) {
    case 1: return x * Sigmoid(x);
    case 2: return 0.5 * x * (1 + Tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
    case 3: return 0.5 * x * (1 + Erf(x * 0.7071067812));
    case 4: return x * Sigmoid(1.702 * x);
    case 5: return max(x, 0.0);
    case 6: return max(x, 0.0) * max(x, 0.0);
    case 7: return Sigmoid(x);
    case 8: return Tanh(x);
    case 9: return Softplus(x);
    case 10: return exp(x);
    default: return x;
  }
}

// As GatedOp says.
float Gate(uint activation, bool clamp_activated, float limit, float alpha, float gate, float up) {
  if (limit <= 0) return Activate(activation, gate) * up;
  const float clamped_up = clamp(up, -limit, limit);
  if (clamp_activated) return min(Activate(activation, gate), limit) * clamped_up;
  const float clamped = min(gate, limit);
  return clamped * Sigmoid(alpha * clamped) * (clamped_up + 1);
}
