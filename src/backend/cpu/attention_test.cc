// Attention over 16-bit tiles beside a calculation in double precision from the same queries, keys
// and values, on every instruction set of the machine; and that a row's bits do not depend on the
// rows beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "backend/cpu/vector_ops.h"

namespace puna::backend::cpu {
namespace {

struct Shape {
  int64_t k_size, v_size, tokens, heads, keys, window;
};

struct Case {
  Shape shape;
  std::vector<float> q, k, v;  // [tokens][heads][k_size], [keys][k_size], [keys][v_size]
  float scale;

  Case(const Shape& s, uint32_t seed)
      : shape(s), scale(1 / std::sqrt(static_cast<float>(s.k_size))) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    auto fill = [&](std::vector<float>* x, int64_t n) {
      x->resize(static_cast<size_t>(n));
      for (float& value : *x) value = normal(random);
    };
    fill(&q, s.tokens * s.heads * s.k_size);
    fill(&k, s.keys * s.k_size);
    fill(&v, s.keys * s.v_size);
    // Heads of some models have a few dimensions far larger than the rest.
    for (int64_t key = 0; key < s.keys; ++key) k[static_cast<size_t>(key * s.k_size)] *= 20;
    for (int64_t row = 0; row < s.tokens * s.heads; ++row)
      q[static_cast<size_t>(row * s.k_size)] *= 0.2f;
  }

  int64_t first_key() const { return shape.keys - shape.tokens; }
  int64_t begin_of(int64_t token) const {
    return shape.window == 0 ? 0 : std::max<int64_t>(0, first_key() + token - shape.window + 1);
  }

  std::vector<double> Exact() const {
    std::vector<double> out;
    std::vector<double> weights(static_cast<size_t>(shape.keys));
    for (int64_t row = 0; row < shape.tokens * shape.heads; ++row) {
      const int64_t token = row / shape.heads, begin = begin_of(token);
      const int64_t end = first_key() + token + 1;
      double largest = -1e300, sum = 0;
      for (int64_t key = begin; key < end; ++key) {
        double score = 0;
        for (int64_t d = 0; d < shape.k_size; ++d) {
          score += static_cast<double>(q[static_cast<size_t>(row * shape.k_size + d)]) *
                   k[static_cast<size_t>(key * shape.k_size + d)];
        }
        weights[static_cast<size_t>(key)] = score * scale;
        largest = std::max(largest, score * scale);
      }
      for (int64_t key = begin; key < end; ++key) {
        double& weight = weights[static_cast<size_t>(key)];
        weight = std::exp(weight - largest);
        sum += weight;
      }
      for (int64_t d = 0; d < shape.v_size; ++d) {
        double value = 0;
        for (int64_t key = begin; key < end; ++key)
          value +=
              weights[static_cast<size_t>(key)] * v[static_cast<size_t>(key * shape.v_size + d)];
        out.push_back(value / sum);
      }
    }
    return out;
  }

  // The tokens [first, first + tokens) only.
  std::vector<float> Attend(Isa isa, KvNumbers numbers, int64_t first, int64_t tokens) const {
    const VectorOps& ops = VectorOpsOf(isa);
    AttendArgs args;
    args.tile = {numbers, shape.k_size, shape.v_size, 0, KTileBytes(numbers, shape.k_size)};
    args.page_bytes = args.tile.v_offset + VTileBytes(numbers, shape.v_size);
    const int64_t pages = (shape.keys + kPageTokens - 1) / kPageTokens;
    // What nobody wrote is not to matter.
    std::vector<uint8_t> memory(static_cast<size_t>(pages * args.page_bytes + 64), 0xff);
    uint8_t* pool = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    // Pages in another order than their keys.
    std::vector<int32_t> order(static_cast<size_t>(pages));
    for (int64_t i = 0; i < pages; ++i)
      order[static_cast<size_t>(i)] = static_cast<int32_t>(pages - 1 - i);
    for (int64_t key = 0; key < first_key() + first + tokens; ++key) {
      ops.append(args.tile, pool + order[static_cast<size_t>(key / kPageTokens)] * args.page_bytes,
                 key % kPageTokens, k.data() + key * shape.k_size, v.data() + key * shape.v_size);
    }
    std::vector<float> out(static_cast<size_t>(tokens * shape.heads * shape.v_size));
    std::vector<float> scratch(
        static_cast<size_t>(AttendScratchFloats(tokens * shape.heads, shape.k_size, shape.v_size)));
    args.pool = pool;
    args.pages = order.data();
    args.q = q.data() + first * shape.heads * shape.k_size;
    args.q_stride = shape.heads * shape.k_size;
    args.out = out.data();
    args.out_stride = shape.heads * shape.v_size;
    args.tokens = tokens;
    args.heads = shape.heads;
    args.window = shape.window;
    args.key_begin = begin_of(first);
    args.key_end = first_key() + first + tokens;
    args.first_key = first_key() + first;
    args.scale = scale;
    args.scratch = scratch.data();
    ops.attend(args);
    return out;
  }
};

const Shape kShapes[] = {
    {64, 64, 1, 4, 300, 0},   {64, 64, 16, 4, 1100, 0}, {128, 128, 3, 2, 77, 0},
    {80, 80, 7, 1, 65, 0},    {5, 3, 2, 3, 40, 0},      {1, 1, 1, 1, 1, 0},
    {129, 33, 4, 5, 130, 0},  {256, 256, 5, 2, 200, 0}, {320, 96, 2, 1, 64, 0},
    {64, 64, 9, 4, 500, 100}, {96, 64, 70, 1, 90, 17}};

double RootMeanSquare(const std::vector<double>& exact, const std::vector<float>& out) {
  double sum = 0;
  for (size_t i = 0; i < exact.size(); ++i)
    sum += std::pow(exact[i] - static_cast<double>(out[i]), 2);
  return std::sqrt(sum / static_cast<double>(exact.size()));
}

// 16-bit integers are about as exact as float16.
TEST(Attention, SixteenBitIntegersAreAboutAsExactAsHalves) {
  uint32_t seed = 1;
  for (const Shape& shape : kShapes) {
    const Case c(shape, seed++);
    const std::vector<double> exact = c.Exact();
    for (const Isa isa : AvailableIsas()) {
      const double halves = RootMeanSquare(exact, c.Attend(isa, KvNumbers::kF16, 0, shape.tokens));
      const double pairs = RootMeanSquare(exact, c.Attend(isa, KvNumbers::kI16, 0, shape.tokens));
      EXPECT_LT(pairs, 2 * halves) << IsaName(isa) << ", heads of " << shape.k_size;
      EXPECT_GT(pairs, 0) << "nothing was rounded";
    }
  }
}

TEST(Attention, BitsDoNotDependOnTheRowsBeside) {
  uint32_t seed = 100;
  for (const Shape& shape : kShapes) {
    const Case c(shape, seed++);
    for (const Isa isa : AvailableIsas()) {
      for (const KvNumbers numbers :
           {KvNumbers::kF32, KvNumbers::kF16, KvNumbers::kI16, KvNumbers::kQ8_0}) {
        const std::vector<float> all = c.Attend(isa, numbers, 0, shape.tokens);
        const int64_t row = shape.heads * shape.v_size;
        for (int64_t token = 0; token < shape.tokens; ++token) {
          const std::vector<float> one = c.Attend(isa, numbers, token, 1);
          const std::vector<float> same(all.begin() + token * row, all.begin() + (token + 1) * row);
          EXPECT_EQ(one, same) << IsaName(isa) << ", heads of " << shape.k_size << ", token "
                               << token;
        }
      }
    }
  }
}

// Attended at once, several kv heads give what each gives by itself, whole and in parts.
TEST(Attention, KvHeadsTogetherGiveTheBitsOfEach) {
  constexpr int64_t kKvHeads = 3, kTokens = 2, kHeads = 5, kKeys = 1100, kKeySize = 40;
  constexpr int64_t kValueSize = 24, kQuery = kKvHeads * kHeads * kKeySize;
  constexpr int64_t kOut = kKvHeads * kHeads * kValueSize;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  auto numbers_of = [&](int64_t n) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& value : x) value = normal(random);
    return x;
  };
  const std::vector<float> q = numbers_of(kTokens * kQuery), sinks = numbers_of(kKvHeads * kHeads);
  const std::vector<float> slopes(kKvHeads * kHeads, 0.01f);
  const std::vector<float> noise = numbers_of(4096);
  for (const Isa isa : AvailableIsas()) {
    const VectorOps& ops = VectorOpsOf(isa);
    for (const KvNumbers numbers :
         {KvNumbers::kF32, KvNumbers::kF16, KvNumbers::kI16, KvNumbers::kQ8_0}) {
      AttendArgs all;
      all.head_bytes = KTileBytes(numbers, kKeySize) + VTileBytes(numbers, kValueSize);
      all.page_bytes = kKvHeads * all.head_bytes;
      std::vector<uint8_t> pool(static_cast<size_t>(kKeys / kPageTokens + 1) *
                                static_cast<size_t>(all.page_bytes));
      all.tile = {numbers, kKeySize, kValueSize, 0, KTileBytes(numbers, kKeySize)};
      for (int64_t head = 0; head < kKvHeads; ++head) {
        for (int64_t key = 0; key < kKeys; ++key) {
          const float* values = noise.data() + (head * 911 + key * 13) % 4000;
          ops.append(all.tile,
                     pool.data() + key / kPageTokens * all.page_bytes + head * all.head_bytes,
                     key % kPageTokens, values, values + 31);
        }
      }
      std::vector<float> scratch(static_cast<size_t>(
          kKvHeads * AttendScratchFloats(kTokens * kHeads, kKeySize, kValueSize)));
      std::vector<float> together(kTokens * kOut), merged = together, apart = together;
      all.pool = pool.data();
      all.q = q.data();
      all.q_stride = kQuery;
      all.out_stride = kOut;
      all.tokens = kTokens;
      all.heads = kHeads;
      all.kv_heads = kKvHeads;
      all.key_end = kKeys;
      all.first_key = kKeys - kTokens;
      all.slopes = slopes.data();
      all.sinks = sinks.data();
      all.scratch = scratch.data();
      all.out = together.data();
      ops.attend(all);

      const int64_t part = kKvHeads * AttendPartialFloats(kTokens * kHeads, kValueSize);
      std::vector<float> parts(static_cast<size_t>(2 * part));
      AttendArgs half = all;
      half.out = merged.data();
      half.partial = parts.data();
      half.key_end = kAttendRange;
      ops.attend(half);
      half.partial += part;
      half.key_begin = kAttendRange;
      half.key_end = kKeys;
      ops.attend(half);
      ops.attend_merge(half, parts.data(), 2, part);
      EXPECT_EQ(merged, together) << IsaName(isa);

      for (int64_t head = 0; head < kKvHeads; ++head) {
        AttendArgs one = all;
        one.kv_heads = 1;
        one.tile.k_offset += head * all.head_bytes;
        one.tile.v_offset += head * all.head_bytes;
        one.q += head * kHeads * kKeySize;
        one.out = apart.data() + head * kHeads * kValueSize;
        one.slopes += head * kHeads;
        one.sinks += head * kHeads;
        ops.attend(one);
      }
      EXPECT_EQ(apart, together) << IsaName(isa);
    }
  }
}

}  // namespace
}  // namespace puna::backend::cpu
