// What matvec.comp and matvec_int8.comp have in common: a subgroup has the sums of kRows output values (of both
// matrices of a gated pair) with kTokens input rows. Who includes this defines before: kTokens, kKind, kRows, kPair,
// kActivation, kClampActivated.
const uint kPlain = 0, kHeads = 1, kChosen = 2;
const uint kMatrixRows = kPair ? 2 * kRows : kRows;  // of both matrices

OP_RECORD(ProductParams);

// Puts a sum where it belongs; `up`: that of the other matrix of a pair.
void Finish(ProductParams p, uint row, uint token, uint head, uint expert, float sum, float up) {
  if (kPair) {
    if (p.bias != 0) sum += Floats(p.bias).v[row];
    if (p.up_bias != 0) up += Floats(p.up_bias).v[row];
    Row(p.result, token).v[row] = Gate(kActivation, kClampActivated, p.limit, p.alpha, sum, up);
    return;
  }
  if (kKind == kChosen && p.weigh != 0) sum *= Floats(BufferAt(p.weight_slot)).v[token];
  PutProduct(p, token, kKind == kHeads ? head * p.out_stride : 0, expert, row, sum);
}

// Adds up what the invocations of a subgroup have, from output value `first` on.
void PutSums(ProductParams p, uint first, uint first_token, uint head, uint expert, float sums[kMatrixRows][kTokens]) {
  const uint lane = gl_SubgroupInvocationID, tokens = push.number;
  // All invocations get all sums, and each puts away its share of them.
  [[unroll]] for (uint r = 0; r < kMatrixRows; ++r) {
    [[unroll]] for (uint t = 0; t < kTokens; ++t) sums[r][t] = subgroupAdd(sums[r][t]);
  }
  for (uint i = lane; i < kRows * kTokens; i += gl_SubgroupSize) {
    float sum = 0, up = 0;
    [[unroll]] for (uint r = 0; r < kRows; ++r) {
      [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        if (i != r * kTokens + t) continue;
        sum = sums[r][t];
        if (kPair) up = sums[r + kMatrixRows - kRows][t];
      }
    }
    const uint row = first + i / kTokens, token = first_token + i % kTokens;
    if (row < p.rows && token < tokens) Finish(p, row, token, head, expert, sum, up);
  }
}
