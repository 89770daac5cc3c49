// The same network written in other words: fused tensors and other names, as other converters make
// them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gguf/gguf.h"
#include "tests/support/editable_model.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"

namespace puna::testing {
namespace {

// Per expert the rows of a and b: in turn, or all of a and then all of b. `row_axis` 0 is for
// biases [rows, experts].
void Fuse(Tensors* tensors, const std::string& a_name, const std::string& b_name, size_t row_axis,
          bool in_turn, const std::string& to) {
  const Values a = Take(tensors, a_name), b = Take(tensors, b_name);
  const size_t experts = static_cast<size_t>(a.dims.back()),
               rows = static_cast<size_t>(a.dims[row_axis]);
  const size_t cols = row_axis == 0 ? 1 : static_cast<size_t>(a.dims[0]);
  Values out;
  out.dims = a.dims;
  out.dims[row_axis] *= 2;
  const auto row = [&](const Values& from, size_t expert, size_t r) {
    const auto begin = from.data.begin() + static_cast<ptrdiff_t>((expert * rows + r) * cols);
    out.data.insert(out.data.end(), begin, begin + static_cast<ptrdiff_t>(cols));
  };
  for (size_t e = 0; e < experts; ++e) {
    for (size_t r = 0; r < 2 * rows; ++r) {
      if (in_turn) {
        row(r % 2 == 0 ? a : b, e, r / 2);
      } else {
        row(r < rows ? a : b, e, r % rows);
      }
    }
  }
  (*tensors)[to] = std::move(out);
}

// The oracle's file with other tensors and, if `architecture` is not empty, under another name;
// then its NMSE.
double NmseRewritten(const Oracle& oracle, const gguf::File& file, const Tensors& tensors,
                     const std::string& architecture,
                     const std::function<void(gguf::Writer*)>& add_keys = {}) {
  gguf::Writer writer;
  CopyMetadata(file, architecture, &writer);
  if (add_keys) add_keys(&writer);
  AddTensors(tensors, &writer);
  const TemporaryDirectory folder;
  EXPECT_TRUE(writer.WriteFile(folder.path() / "rewritten.gguf").has_value());
  const auto backend = *backend::CreateBackend({.name = "reference"});
  const auto model =
      LoadModel(folder.path() / "rewritten.gguf", backend.get(), false, backend::KvType::kF32);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return INFINITY;
  }
  model::PagePool pool(16);
  model::PageTable pages(&pool);
  const Part part{&pages, oracle.tokens};
  return Nmse(RunPass(*model, {&part, 1}), oracle.expected);
}

Oracle Find(const std::string& name) {
  for (Oracle& oracle : LoadOracles(SourcePath("tests/data/oracles"))) {
    if (oracle.name == "oracles/" + name) return std::move(oracle);
  }
  ADD_FAILURE() << "no oracle " << name;
  return {};
}

TEST(Fused, GptOssInOllamasWords) {
  const Oracle oracle = Find("gpt-oss-moe-yarn");
  const auto file = *gguf::File::Open(oracle.gguf);
  Tensors tensors = ReadTensors(*file);
  for (const std::string blk : {"blk.0.", "blk.1."}) {
    for (const std::string kind : {".weight", ".bias"}) {
      Stack(&tensors, {blk + "attn_q" + kind, blk + "attn_k" + kind, blk + "attn_v" + kind},
            blk + "attn_qkv" + kind);
      Rename(&tensors, blk + "attn_output" + kind, blk + "attn_out" + kind);
    }
    Fuse(&tensors, blk + "ffn_gate_exps.weight", blk + "ffn_up_exps.weight", 1, true,
         blk + "ffn_gate_up_exps.weight");
    Fuse(&tensors, blk + "ffn_gate_exps.bias", blk + "ffn_up_exps.bias", 0, true,
         blk + "ffn_gate_up_exps.bias");
    Rename(&tensors, blk + "attn_sinks.weight", blk + "attn_sinks");
    Rename(&tensors, blk + "post_attention_norm.weight", blk + "ffn_norm.weight");
  }
  EXPECT_LT(NmseRewritten(oracle, *file, tensors, "gptoss"), 1e-9);
}

TEST(Fused, ExpertsInHalves) {
  const Oracle oracle = Find("llama-moe");
  const auto file = *gguf::File::Open(oracle.gguf);
  Tensors tensors = ReadTensors(*file);
  for (const std::string blk : {"blk.0.", "blk.1."}) {
    Fuse(&tensors, blk + "ffn_gate_exps.weight", blk + "ffn_up_exps.weight", 1, false,
         blk + "ffn_gate_up_exps.weight");
  }
  EXPECT_LT(NmseRewritten(oracle, *file, tensors, ""), 1e-9);
}

TEST(Fused, GateAndUpOfADenseBlock) {
  const Oracle oracle = Find("qwen3-dense");
  const auto file = *gguf::File::Open(oracle.gguf);
  Tensors tensors = ReadTensors(*file);
  for (const std::string blk : {"blk.0.", "blk.1."}) {
    Stack(&tensors, {blk + "ffn_gate.weight", blk + "ffn_up.weight"}, blk + "ffn_up_both.weight");
    Rename(&tensors, blk + "ffn_up_both.weight", blk + "ffn_up.weight");
    Stack(&tensors, {blk + "attn_q.weight", blk + "attn_k.weight", blk + "attn_v.weight"},
          blk + "attn_qkv.weight");
  }
  EXPECT_LT(NmseRewritten(oracle, *file, tensors, ""), 1e-9);
}

// A matrix of a quarter of its values beside the number that makes up for it.
void Split(Tensors* tensors, const std::string& name) {
  for (float& value : tensors->at(name + ".weight").data) value /= 4;
  (*tensors)[name + ".scale"] = {.dims = {1}, .data = {4}};
}

TEST(Fused, MatricesWithAScale) {
  for (const std::string name : {"gpt-oss-moe-yarn", "phi3-dense"}) {
    const Oracle oracle = Find(name);
    const auto file = *gguf::File::Open(oracle.gguf);
    Tensors tensors = ReadTensors(*file);
    std::vector<std::string> matrices;
    for (const auto& [tensor, values] : tensors) {
      const std::string stem = tensor.substr(0, tensor.find(".weight"));
      const bool multiplies = stem.find("attn_") != std::string::npos || stem.ends_with("ffn_up") ||
                              stem.ends_with("ffn_down") || stem == "output";
      if (tensor.ends_with(".weight") && values.dims.size() == 2 && multiplies &&
          stem.find("rel_b") == std::string::npos) {
        matrices.push_back(stem);
      }
    }
    EXPECT_GE(matrices.size(), 8u) << name;
    for (const std::string& stem : matrices) Split(&tensors, stem);
    EXPECT_LT(NmseRewritten(oracle, *file, tensors, ""), 1e-9) << name;
  }
}

// llama.cpp saves every number it has for a network, absent ones as 0 or -1.
TEST(Fused, AbsentNumbersWrittenAsZero) {
  const Oracle oracle = Find("llama-moe");
  const auto file = *gguf::File::Open(oracle.gguf);
  const double nmse =
      NmseRewritten(oracle, *file, ReadTensors(*file), "", [](gguf::Writer* writer) {
        writer->Set("llama.expert_weights_scale", 0.0f);
        writer->Set("llama.expert_weights_norm", false);
        writer->Set("llama.expert_shared_feed_forward_length", uint32_t{0});
        writer->Set("llama.attention.scale", 0.0f);
        writer->Set("llama.pooling_type", uint32_t{0xffffffff});
      });
  EXPECT_LT(nmse, 1e-9);
}

TEST(Fused, ExpertsWithAScaleAreRefused) {
  const auto file = *gguf::File::Open(Find("llama-moe").gguf);
  Tensors tensors = ReadTensors(*file);
  tensors["blk.1.ffn_up_exps.scale"] = {.dims = {4}, .data = {4, 4, 4, 4}};
  gguf::Writer writer;
  CopyMetadata(*file, "", &writer);
  AddTensors(tensors, &writer);
  const TemporaryDirectory folder;
  ASSERT_TRUE(writer.WriteFile(folder.path() / "scaled.gguf").has_value());
  const auto backend = *backend::CreateBackend({.name = "reference"});
  const auto model =
      LoadModel(folder.path() / "scaled.gguf", backend.get(), false, backend::KvType::kF32);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(model.error().message, ::testing::HasSubstr("blk.1.ffn_up_exps.scale"));
}

}  // namespace
}  // namespace puna::testing
