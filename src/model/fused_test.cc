// The same network written in other words: fused tensors and other names, as other converters make
// them.
#include <gtest/gtest.h>

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
                     const std::string& architecture) {
  gguf::Writer writer;
  CopyMetadata(file, architecture, &writer);
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

}  // namespace
}  // namespace puna::testing
