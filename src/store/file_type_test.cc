// The expected types are what llama-quantize (commit d32676d7) prints with --dry-run for models of
// these shapes.
#include "store/file_type.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace puna::store {
namespace {

using quant::TensorType;

struct Model {
  ModelShape shape;
  int64_t width = 2048, hidden = 8192;
  bool tied = false;

  std::map<std::string, TensorType> Types(std::string_view type_name) const {
    std::vector<std::string> names;
    std::vector<std::vector<int64_t>> dims;
    const auto add = [&](std::string name, std::vector<int64_t> of) {
      names.push_back(std::move(name));
      dims.push_back(std::move(of));
    };
    // Not in the order of the layers: rules that count must not depend on the order of the file.
    for (int64_t layer = shape.layers - 1; layer >= 0; --layer) {
      const std::string prefix = fmt::format("blk.{}.", layer);
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
        add(prefix + name + ".weight", {width, width});
      add(prefix + "attn_norm.weight", {width});
      if (shape.experts > 0) {
        add(prefix + "ffn_gate_inp.weight", {width, shape.experts});
        add(prefix + "ffn_up_exps.weight", {width, hidden, shape.experts});
        add(prefix + "ffn_down_exps.weight", {hidden, width, shape.experts});
      } else {
        add(prefix + "ffn_up.weight", {width, hidden});
        add(prefix + "ffn_down.weight", {hidden, width});
      }
    }
    add("token_embd.weight", {width, 1000});
    if (!tied) add("output.weight", {width, 1000});
    std::vector<TensorShape> shapes;
    for (size_t i = 0; i < names.size(); ++i)
      shapes.push_back({names[i], dims[i], TensorType::kF32});
    const auto types = ChooseTypes(*FindFileType(type_name), shape, shapes);
    std::map<std::string, TensorType> out;
    for (size_t i = 0; i < names.size(); ++i) out[names[i]] = types[i];
    return out;
  }
};

Model Dense() { return {{"llama", 16, 0, 32, 8}}; }

TEST(FileTypeTest, Q4_K_M_GivesSensitiveTensorsMoreBits) {
  const auto types = Dense().Types("q4_k_m");
  // Of 16 layers: the first and last two, and every third between.
  const std::set<int64_t> better = {0, 1, 4, 7, 10, 13, 14, 15};
  for (int64_t layer = 0; layer < 16; ++layer) {
    const TensorType expected = better.contains(layer) ? TensorType::kQ6_K : TensorType::kQ4_K;
    EXPECT_EQ(types.at(fmt::format("blk.{}.ffn_down.weight", layer)), expected) << layer;
    EXPECT_EQ(types.at(fmt::format("blk.{}.attn_v.weight", layer)), expected) << layer;
    EXPECT_EQ(types.at(fmt::format("blk.{}.attn_q.weight", layer)), TensorType::kQ4_K);
    EXPECT_EQ(types.at(fmt::format("blk.{}.attn_norm.weight", layer)), TensorType::kF32);
  }
  EXPECT_EQ(types.at("token_embd.weight"), TensorType::kQ4_K);
  EXPECT_EQ(types.at("output.weight"), TensorType::kQ6_K);
  Model tied = Dense();
  tied.tied = true;
  EXPECT_EQ(tied.Types("Q4_K_M").at("token_embd.weight"), TensorType::kQ6_K);
}

TEST(FileTypeTest, SharedValueHeadsGetMoreBits) {
  Model narrow = Dense();
  narrow.shape.kv_heads = 16;
  EXPECT_EQ(Dense().Types("Q2_K").at("blk.3.attn_v.weight"), TensorType::kQ4_K);
  EXPECT_EQ(narrow.Types("Q2_K").at("blk.3.attn_v.weight"), TensorType::kQ3_K);
  EXPECT_EQ(Dense().Types("IQ4_XS").at("blk.3.attn_v.weight"), TensorType::kQ5_K);
  EXPECT_EQ(narrow.Types("IQ4_XS").at("blk.3.attn_v.weight"), TensorType::kIQ4_XS);
}

TEST(FileTypeTest, EightExpertsKeepTheirAttention) {
  const Model model = {{"llama", 32, 8, 32, 8}};
  const auto types = model.Types("Q4_K_S");
  EXPECT_EQ(types.at("blk.9.attn_v.weight"), TensorType::kQ8_0);
  EXPECT_EQ(types.at("blk.9.attn_k.weight"), TensorType::kQ8_0);
  EXPECT_EQ(types.at("blk.9.attn_output.weight"), TensorType::kQ5_K);
  EXPECT_EQ(types.at("blk.3.ffn_down_exps.weight"), TensorType::kQ5_K);
  EXPECT_EQ(types.at("blk.4.ffn_down_exps.weight"), TensorType::kQ4_K);
  EXPECT_EQ(types.at("blk.4.ffn_gate_inp.weight"), TensorType::kF32);
}

TEST(FileTypeTest, MXFP4IsForExperts) {
  const auto types = Model{{"gpt-oss", 24, 32, 64, 8}}.Types("MXFP4");
  EXPECT_EQ(types.at("blk.3.ffn_up_exps.weight"), TensorType::kMXFP4);
  EXPECT_EQ(types.at("blk.3.attn_q.weight"), TensorType::kQ8_0);
  EXPECT_EQ(types.at("token_embd.weight"), TensorType::kQ8_0);
}

TEST(FileTypeTest, RowsThatBlocksDoNotFillGetSmallerBlocks) {
  Model gemma = {{"gemma3", 26, 0, 4, 1}, 1152, 6912, true};
  const auto types = gemma.Types("Q4_K_M");
  EXPECT_EQ(types.at("blk.5.attn_q.weight"), TensorType::kQ5_0);
  EXPECT_EQ(types.at("blk.0.attn_v.weight"), TensorType::kQ8_0);
  EXPECT_EQ(types.at("token_embd.weight"), TensorType::kQ8_0);
  EXPECT_EQ(types.at("blk.3.ffn_down.weight"), TensorType::kQ4_K);
  Model odd = {{"llama", 4, 0, 4, 4}, 300, 272};
  EXPECT_EQ(odd.Types("Q4_K_M").at("blk.1.attn_q.weight"), TensorType::kF16);
  EXPECT_EQ(odd.Types("Q8_0").at("blk.1.ffn_down.weight"), TensorType::kF16);
}

TEST(FileTypeTest, ImportanceChangesTheFirstLayers) {
  Model model = Dense();
  EXPECT_EQ(model.Types("Q4_0").at("blk.1.ffn_down.weight"), TensorType::kQ4_0);
  EXPECT_EQ(model.Types("IQ4_NL").at("blk.1.ffn_down.weight"), TensorType::kQ5_K);
  model.shape.weighted = true;
  EXPECT_EQ(model.Types("Q4_0").at("blk.1.ffn_down.weight"), TensorType::kQ4_1);
  EXPECT_EQ(model.Types("IQ4_NL").at("blk.1.ffn_down.weight"), TensorType::kIQ4_NL);
}

TEST(FileTypeTest, FalconHasRulesOfItsOwn) {
  const Model falcon = {{"falcon", 32, 0, 71, 1}, 4544, 18176};
  const auto types = falcon.Types("Q4_K_M");
  EXPECT_EQ(types.at("output.weight"), TensorType::kQ8_0);
  EXPECT_EQ(types.at("blk.1.ffn_down.weight"), TensorType::kQ6_K);
  EXPECT_EQ(types.at("blk.2.ffn_down.weight"), TensorType::kQ5_K);
  EXPECT_EQ(types.at("blk.4.ffn_down.weight"), TensorType::kQ4_K);
}

TEST(FileTypeTest, UniformTypesAreTheSameEverywhere) {
  const FileType type = UniformFileType(TensorType::kQ8_0);
  const TensorShape shapes[] = {{"output.weight", {256, 10}}, {"blk.0.attn_v.weight", {256, 10}}};
  for (const TensorType chosen : ChooseTypes(type, {"llama", 1, 0, 4, 4}, shapes))
    EXPECT_EQ(chosen, TensorType::kQ8_0);
}

TEST(FileTypeTest, NamesAndAliases) {
  EXPECT_EQ(FindFileType("q4_k")->name, "Q4_K_M");
  EXPECT_EQ(FindFileType("mxfp4_moe")->number, 38u);
  EXPECT_EQ(FindFileType(int64_t{15})->name, "Q4_K_M");
  EXPECT_EQ(FindFileType("Q9_X"), nullptr);
  EXPECT_FALSE(FindFileType("IQ2_XS")->main);
}

}  // namespace
}  // namespace puna::store
