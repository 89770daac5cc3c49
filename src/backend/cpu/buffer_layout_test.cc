#include "backend/cpu/buffer_layout.h"

#include <gtest/gtest.h>

#include <memory>

#include "backend/cpu/test_plans.h"

namespace puna::backend::cpu {
namespace {

// x -> a -> b -> c -> y, and x is added at the end.
class BufferLayoutTest : public testing::Test {
 protected:
  BufferLayoutTest() {
    PlanBuilder builder(1);
    x_ = builder.Buffer(64), a_ = builder.Buffer(256), b_ = builder.Buffer(100);
    c_ = builder.Buffer(200), y_ = builder.Buffer(64);
    builder.plan().vocabulary = 10;
    builder.Do(EmbedOp{.table = builder.Matrix(10, 64), .out = x_});
    builder.Do(MatMulOp{x_, a_, builder.Matrix(256, 64)});
    builder.Do(MatMulOp{a_, b_, builder.Matrix(100, 256)});
    builder.Do(MatMulOp{b_, c_, builder.Matrix(200, 100)});
    builder.Do(MatMulOp{c_, y_, builder.Matrix(64, 200)});
    builder.Do(AddOp{x_, y_, y_});
    plan_ = builder.Finish(y_);
  }

  bool Share(const BufferLayout& layout, View a, View b) const {
    const auto i = static_cast<size_t>(a.buffer), k = static_cast<size_t>(b.buffer);
    return layout.offsets[i] < layout.offsets[k] + layout.strides[k] &&
           layout.offsets[k] < layout.offsets[i] + layout.strides[i];
  }

  View x_, a_, b_, c_, y_;
  std::shared_ptr<const Plan> plan_;
};

TEST_F(BufferLayoutTest, SharesWhatIsNeverNeededAtTheSameTime) {
  const BufferLayout layout = LayOutBuffers(*plan_, {{0}, {1}, {2}, {3}, {4}, {5}}, -1);
  EXPECT_TRUE(Share(layout, a_, c_));
  EXPECT_TRUE(Share(layout, b_, y_));
  for (const View other : {a_, b_, c_, y_}) EXPECT_FALSE(Share(layout, x_, other)) << other.buffer;
  EXPECT_FALSE(Share(layout, a_, b_));
  EXPECT_FALSE(Share(layout, b_, c_));
  EXPECT_FALSE(Share(layout, c_, y_));
  EXPECT_EQ(layout.row, layout.strides[0] + layout.strides[1] + layout.strides[2]);
  for (const int64_t offset : layout.offsets) EXPECT_EQ(offset % 16, 0);
}

TEST_F(BufferLayoutTest, KeepsApartWhatOneTurnTouches) {
  const BufferLayout layout = LayOutBuffers(*plan_, {{0}, {1}, {3, 2}, {4, 5}}, -1);
  EXPECT_FALSE(Share(layout, a_, c_));
  EXPECT_TRUE(Share(layout, a_, y_));
}

TEST_F(BufferLayoutTest, GivesNoRoomToTheOneThatIsApart) {
  const BufferLayout layout = LayOutBuffers(*plan_, {{0, 1, 2, 3, 4, 5}}, y_.buffer);
  EXPECT_EQ(layout.row,
            layout.strides[0] + layout.strides[1] + layout.strides[2] + layout.strides[3]);
}

}  // namespace
}  // namespace puna::backend::cpu
