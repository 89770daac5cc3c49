// The last step of every product.

// Adds the bias and what the product is added to, and writes value `row` of output row `token`.
void PutProduct(ProductParams p, uint token, uint offset, uint expert, uint row, float sum) {
  if (p.bias != 0) sum += Floats(p.bias).v[expert * p.rows + row];
  if (p.residual.width != 0) sum += Floats(RowAddress(p.residual, token)).v[row];
  Floats(RowAddress(p.result, token)).v[offset + row] = sum;
}
