// Sums and maxima over a workgroup, for subgroups of any size.
shared float reduce_partial[128];

float GroupSum(float value) {
  const float part = subgroupAdd(value);
  barrier();
  if (subgroupElect()) reduce_partial[gl_SubgroupID] = part;
  barrier();
  float sum = 0;
  for (uint i = 0; i < gl_NumSubgroups; ++i) sum += reduce_partial[i];
  return sum;
}

float GroupMax(float value) {
  const float part = subgroupMax(value);
  barrier();
  if (subgroupElect()) reduce_partial[gl_SubgroupID] = part;
  barrier();
  float largest = reduce_partial[0];
  for (uint i = 1; i < gl_NumSubgroups; ++i) largest = max(largest, reduce_partial[i]);
  return largest;
}
