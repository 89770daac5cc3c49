// Files as Ollama's own converter writes them: the recorded networks with its names of the
// architecture, of keys and of tensors, with what it leaves out left out, and with the towers of
// pictures beside the text.
#include <gtest/gtest.h>

#include <functional>

#include "backend/backend.h"
#include "tests/support/editable_model.h"
#include "tests/support/oracle.h"
#include "tests/support/shared_data.h"

namespace puna::testing {
namespace {

// What another converter makes of a file.
struct Layout {
  std::string architecture;                  // empty: the same
  std::map<std::string, std::string> keys;   // without the architecture; to "": left out
  std::map<std::string, std::string> parts;  // of tensors' names
  std::function<void(Tensors*)> bend;
  std::function<void(gguf::Writer*)> more_keys;
};

Oracle Find(const std::filesystem::path& folder, const std::string& name) {
  for (Oracle& oracle : LoadOracles(folder)) {
    if (oracle.gguf.stem() == name) return std::move(oracle);
  }
  ADD_FAILURE() << "no oracle " << name;
  return {};
}

void WriteKeys(const gguf::File& file, const Layout& layout, gguf::Writer* writer) {
  const std::string old_name(**file.GetString("general.architecture"));
  const std::string& name = layout.architecture.empty() ? old_name : layout.architecture;
  for (const gguf::KeyValue& entry : file.metadata()) {
    std::string key(entry.key);
    if (key == "general.architecture") {
      writer->Set(key, name);
      continue;
    }
    if (!key.starts_with(old_name + ".")) {
      writer->SetFrom(key, entry.value);
      continue;
    }
    key.erase(0, old_name.size() + 1);
    if (const auto renamed = layout.keys.find(key); renamed != layout.keys.end())
      key = renamed->second;
    if (!key.empty()) writer->SetFrom(name + "." + key, entry.value);
  }
  if (layout.more_keys) layout.more_keys(writer);
}

Tensors RewrittenTensors(const gguf::File& file, const Layout& layout) {
  Tensors tensors = ReadTensors(file);
  if (layout.bend) layout.bend(&tensors);
  Tensors renamed;
  for (auto& [name, values] : tensors) {
    std::string other = name;
    for (const auto& [from, to] : layout.parts) {
      if (const size_t at = other.find(from); at != std::string::npos)
        other.replace(at, from.size(), to);
    }
    renamed.emplace(other, std::move(values));
  }
  for (const char* name : {"v.blk.0.attn_q.weight", "mm.input_projection.weight", "a.conv.weight",
                           "s.blk.0.norm.bias", "mtp.layers.0.norm.weight"})
    renamed[name] = {.dims = {3, 2}, .data = {1, 2, 3, 4, 5, 6}};
  return renamed;
}

std::vector<float> Outputs(const Oracle& oracle, const Layout& layout, bool embeddings = false) {
  const auto file = *gguf::File::Open(oracle.gguf);
  const Tensors tensors = RewrittenTensors(*file, layout);
  gguf::Writer writer;
  WriteKeys(*file, layout, &writer);
  AddTensors(tensors, &writer);
  const TemporaryDirectory folder;
  EXPECT_TRUE(writer.WriteFile(folder.path() / "rewritten.gguf").has_value());
  const auto backend = *backend::CreateBackend({.name = "reference"});
  const auto model =
      LoadModel(folder.path() / "rewritten.gguf", backend.get(), embeddings, backend::KvType::kF32);
  if (!model) {
    ADD_FAILURE() << oracle.name << ": " << model.error().message;
    return {};
  }
  model::PagePool pool = model->NewPool();
  model::PageTable pages(&pool);
  const Part part{model->cached() ? &pages : nullptr, oracle.tokens};
  return RunPass(*model, {&part, 1});
}

class OllamaLayout : public ::testing::Test {
 protected:
  // The file in Ollama's layout gives what was recorded of it.
  void CheckRecorded(const std::string& name, const Layout& layout) {
    PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
    const Oracle oracle = Find(folder, name);
    EXPECT_LT(Nmse(Outputs(oracle, layout), oracle.expected), 1e-9);
  }
  // The same file in two layouts gives the same.
  void CheckSame(const std::string& name, const Layout& usual, const Layout& other) {
    PUNA_SHARED_OR_SKIP(folder, "oracles/arch");
    const Oracle oracle = Find(folder, name);
    const std::vector<float> expected = Outputs(oracle, usual), plain = Outputs(oracle, {});
    EXPECT_EQ(Outputs(oracle, other), expected);
    if (usual.architecture.empty()) {
      EXPECT_NE(expected, plain) << "the layout says nothing that counts";
    }
  }
};

TEST_F(OllamaLayout, Laguna) {
  CheckRecorded("laguna-moe", {.parts = {{".attn_gate.", ".attn_g."}}});
  CheckSame("laguna-moe",
            {.more_keys =
                 [](gguf::Writer* writer) {
                   writer->Set("laguna.rope.freq_base_swa", 500.0f);
                   writer->Set("laguna.rope.dimension_count_swa", 4u);
                 }},
            {.more_keys = [](gguf::Writer* writer) {
              writer->Set("laguna.rope.swa.freq_base", 500.0f);
              writer->Set("laguna.rope.swa.dimension_count", 4u);
            }});
}

TEST_F(OllamaLayout, GlmOcr) {
  CheckRecorded(
      "glm4-dense",
      {.architecture = "glmocr",
       .keys = {{"rope.dimension_sections", "rope.mrope_section"}},
       .parts = {{".attn_output.", ".attn_out."},
                 {".post_attention_norm.", ".post_attn_norm."},
                 {".post_ffw_norm.", ".post_ffn_norm."}},
       .bend = [](Tensors* tensors) {
         for (const std::string blk : {"blk.0.", "blk.1."}) {  // gate and up by themselves
           Values up = Take(tensors, blk + "ffn_up.weight");
           up.dims[1] /= 2;
           Values gate = up;
           const auto half = up.data.begin() + static_cast<ptrdiff_t>(up.data.size() / 2);
           gate.data.assign(up.data.begin(), half);
           up.data.erase(up.data.begin(), half);
           (*tensors)[blk + "ffn_gate.weight"] = gate;
           (*tensors)[blk + "ffn_up.weight"] = up;
         }
       }});
}

TEST_F(OllamaLayout, Glm47Flash) {
  CheckRecorded("deepseek2-moe",
                {.architecture = "glm4moelite",
                 .keys = {{"attention.key_length", "attention.key_length_mla"},
                          {"attention.value_length", "attention.value_length_mla"},
                          {"attention.key_length_mla", "attention.key_length"},
                          {"attention.value_length_mla", "attention.value_length"}}});
}

TEST_F(OllamaLayout, DeepSeekOcr) {
  CheckSame("deepseek-moe", {.architecture = "deepseek2-ocr"},
            {.architecture = "deepseekocr",
             .keys = {{"expert_feed_forward_length", ""},
                      {"expert_shared_count", ""},
                      {"leading_dense_block_count", ""}}});
}

TEST_F(OllamaLayout, NemotronOmni) {
  CheckRecorded("nemotron_h_moe-dense", {.architecture = "nemotron_h_omni"});
}

TEST_F(OllamaLayout, Lfm2) {
  CheckRecorded("lfm2-dense", {.keys = {{"feed_forward_length", ""}},
                               .parts = {{"token_embd_norm", "output_norm"}},
                               .more_keys = [](gguf::Writer* writer) {
                                 writer->Set("lfm2.feed_forward_length", 12288u);
                               }});
}

TEST_F(OllamaLayout, Qwen35AndQwen3Next) {
  for (const std::string name : {"qwen35moe", "qwen35", "qwen3next"}) {
    CheckRecorded(name + (name == "qwen35" ? "-dense" : "-moe"),
                  {.keys = {{"attention.head_count_kv", ""}},
                   .parts = {{"ssm_dt.bias", "ssm_dt"}},
                   .more_keys = [&](gguf::Writer* writer) {
                     writer->Set(name + ".attention.head_count_kv", std::vector<int32_t>{0, 2});
                   }});
  }
}

TEST_F(OllamaLayout, Mistral3) {
  const auto common = [](gguf::Writer* writer) {
    writer->Set("mistral3.rope.scaling.type", "yarn");
    writer->Set("mistral3.rope.scaling.factor", 4.0f);
    writer->Set("mistral3.rope.scaling.original_context_length", 16u);
  };
  CheckSame("mistral3-dense",
            {.more_keys =
                 [&](gguf::Writer* writer) {
                   common(writer);
                   writer->Set("mistral3.rope.scaling.yarn_beta_fast", 8.0f);
                   writer->Set("mistral3.rope.scaling.yarn_beta_slow", 2.0f);
                   writer->Set("mistral3.rope.scaling.yarn_log_multiplier", 0.5f);
                   writer->Set("mistral3.attention.temperature_scale", 0.1f);
                 }},
            {.more_keys = [&](gguf::Writer* writer) {
              common(writer);
              writer->Set("mistral3.rope.scaling.beta_fast", 8.0f);
              writer->Set("mistral3.rope.scaling.beta_slow", 2.0f);
              writer->Set("mistral3.rope.scaling.mscale_all_dim", 0.5f);
              writer->Set("mistral3.rope.scaling_beta", 0.1f);
            }});
}

// A token of pictures at the end that has no embedding.
TEST_F(OllamaLayout, Gemma3) {
  CheckSame("gemma3-dense",
            {.more_keys =
                 [](gguf::Writer* writer) {
                   writer->Set("gemma3.rope.freq_base", 500.0f);
                   writer->Set("gemma3.rope.freq_base_swa", 300.0f);
                 }},
            {.keys = {{"vocab_size", ""}}, .more_keys = [](gguf::Writer* writer) {
               writer->Set("gemma3.vocab_size", 129u);
               writer->Set("gemma3.rope.global.freq_base", 500.0f);
               writer->Set("gemma3.rope.local.freq_base", 300.0f);
             }});
}

// What is left out says how positions of pictures are split; those of text are all the same.
TEST_F(OllamaLayout, QwenVl) {
  CheckRecorded("qwen2vl-dense", {.architecture = "qwen25vl",
                                  .keys = {{"rope.dimension_sections", "rope.mrope_section"}},
                                  .more_keys = [](gguf::Writer* writer) {
                                    writer->Set("qwen25vl.attention.layer_norm_rms_epsilon", 0.0f);
                                  }});
  for (const std::string name : {"qwen3vl", "qwen3vlmoe"}) {
    CheckRecorded(
        name + (name == "qwen3vl" ? "-dense" : "-moe"),
        {.keys = {{"rope.dimension_sections", ""}}, .more_keys = [&](gguf::Writer* writer) {
           writer->Set(name + ".vision.deepstack_visual_indexes", std::vector<int32_t>{1, 2, 3});
         }});
  }
}

TEST_F(OllamaLayout, Olmo3) { CheckRecorded("olmo2-dense", {.architecture = "olmo3"}); }

TEST_F(OllamaLayout, Llama4) {
  CheckRecorded("llama4-moe", {.more_keys = [](gguf::Writer* writer) {
                  writer->Set("llama4.attention.chunk_size", 8192u);
                  writer->Set("llama4.use_qk_norm", true);
                  writer->Set("llama4.vision.block_count", 2u);
                }});
}

// Tokens of pictures and sound at the end that the layers have no embeddings for.
TEST_F(OllamaLayout, Gemma3nWithATowersTokens) {
  CheckRecorded(
      "gemma3n-dense",
      {.keys = {{"vocab_size", ""}},
       .bend =
           [](Tensors* tensors) {
             Values& table = tensors->at("token_embd.weight");
             table.dims[1] += 8;
             table.data.resize(table.data.size() + static_cast<size_t>(8 * table.dims[0]));
           },
       .more_keys = [](gguf::Writer* writer) { writer->Set("gemma3n.vocab_size", 136u); }});
}

std::vector<float> Product(const Values& matrix, const std::vector<float>& x) {
  std::vector<float> out;
  for (size_t row = 0; row < static_cast<size_t>(matrix.dims[1]); ++row) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i)
      sum += static_cast<double>(matrix.data[row * x.size() + i]) * x[i];
    out.push_back(static_cast<float>(sum));
  }
  return out;
}

// Under the name of the model that chats, with two matrices behind the pooled row.
TEST_F(OllamaLayout, EmbeddingGemma) {
  PUNA_SHARED_OR_SKIP(folder, "oracles/embedding");
  const Oracle oracle = Find(folder, "gemma-embedding-dense-pool1");
  const auto width = static_cast<int64_t>(oracle.expected.size());
  Values first{.dims = {width, 48}, .data = {}}, second{.dims = {48, width}, .data = {}};
  for (int64_t i = 0; i < 48 * width; ++i) {
    first.data.push_back(static_cast<float>(i * 7 % 13 - 6) / 16);
    second.data.push_back(static_cast<float>(i * 5 % 11 - 5) / 16);
  }
  const std::vector<float> expected = Product(second, Product(first, oracle.expected));
  const auto add = [&](const char* one, const char* two) {
    return [&, one, two](Tensors* tensors) {
      (*tensors)[one] = first;
      (*tensors)[two] = second;
    };
  };
  EXPECT_LT(
      Nmse(Outputs(oracle, {.bend = add("dense_2.weight", "dense_3.weight")}, true), expected),
      1e-9);
  EXPECT_LT(Nmse(Outputs(oracle,
                         {.architecture = "gemma3",
                          .parts = {{"output_norm.weight", "norm.weight"}},
                          .bend = add("dense.0.weight", "dense.1.weight")},
                         true),
                 expected),
            1e-9);
}

}  // namespace
}  // namespace puna::testing
