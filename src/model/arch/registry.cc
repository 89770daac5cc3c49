// The list of architectures: general.architecture as files write it, the spec that reads it, and
// the models that users know it by. Several names may share a spec.
#include "model/arch/spec.h"

#include <algorithm>
#include <string>
#include <vector>

#define PUNA_ARCHITECTURES(X)                                                        \
  X("afmoe", AfMoe, "Arcee Trinity (AFMoE)")                                         \
  X("apertus", Apertus, "Apertus")                                                   \
  X("arcee", Arcee, "Arcee AFM")                                                     \
  X("arctic", Arctic, "Snowflake Arctic")                                            \
  X("baichuan", Baichuan, "Baichuan 1 and 2")                                        \
  X("bailingmoe", BailingMoe, "Ling 1")                                              \
  X("bailingmoe2", BailingMoe2, "Ling 2")                                            \
  X("bert", Bert, "BERT: BGE, MiniLM, Arctic Embed, rerankers")                      \
  X("bitnet", Bitnet, "BitNet b1.58")                                                \
  X("bloom", Bloom, "BLOOM")                                                         \
  X("chatglm", ChatGlm, "ChatGLM 3, GLM 4 (first release)")                          \
  X("codeshell", CodeShell, "CodeShell")                                             \
  X("cogvlm", CogVlm, "CogVLM (text)")                                               \
  X("cohere2", Cohere2, "Command R7B, Command A, Aya")                               \
  X("cohere2moe", Cohere2Moe, "Command A (mixtures)")                                \
  X("command-r", CommandR, "Command R, Command R+")                                  \
  X("dbrx", Dbrx, "DBRX")                                                            \
  X("deci", Deci, "Nemotron Super and Ultra (DeciLM)")                               \
  X("deepseek", DeepSeek, "DeepSeek 1 (MoE)")                                        \
  X("deepseek2", DeepSeek2, "DeepSeek 2, 3, R1, Kimi K2, GLM 4.7 Flash, GigaChat 3") \
  X("deepseek2-ocr", DeepSeek2Ocr, "DeepSeek OCR (text)")                            \
  X("deepseek32", DeepSeek32, "DeepSeek 3.2")                                        \
  X("deepseekocr", DeepSeekOcr, "DeepSeek OCR (text; Ollama's files)")               \
  X("dots1", Dots1, "dots.llm1")                                                     \
  X("dream", Dream, "Dream (diffusion)")                                             \
  X("ernie4_5", Ernie45, "ERNIE 4.5")                                                \
  X("ernie4_5-moe", Ernie45Moe, "ERNIE 4.5 (mixtures)")                              \
  X("eurobert", EuroBert, "EuroBERT")                                                \
  X("exaone", Exaone, "EXAONE 3")                                                    \
  X("exaone-moe", ExaoneMoe, "K-EXAONE")                                             \
  X("exaone4", Exaone4, "EXAONE 4")                                                  \
  X("falcon", Falcon, "Falcon 1")                                                    \
  X("falcon-h1", FalconH1, "Falcon H1")                                              \
  X("gemma", Gemma, "Gemma 1")                                                       \
  X("gemma-embedding", GemmaEmbedding, "EmbeddingGemma")                             \
  X("gemma2", Gemma2, "Gemma 2")                                                     \
  X("gemma3", Gemma3, "Gemma 3")                                                     \
  X("gemma3n", Gemma3n, "Gemma 3n")                                                  \
  X("gemma4", Gemma4, "Gemma 4")                                                     \
  X("glm-dsa", GlmDsa, "GLM 5")                                                      \
  X("glm4", Glm4, "GLM 4")                                                           \
  X("glm4moe", Glm4Moe, "GLM 4.5 to 4.7")                                            \
  X("glm4moelite", Glm4MoeLite, "GLM 4.7 Flash (Ollama's files)")                    \
  X("glmocr", GlmOcr, "GLM OCR (text; Ollama's files)")                              \
  X("gpt-oss", GptOss, "gpt-oss")                                                    \
  X("gpt2", Gpt2, "GPT-2")                                                           \
  X("gptneox", GptNeoX, "GPT-NeoX, Pythia, RedPajama")                               \
  X("gptoss", GptOss, "gpt-oss (Ollama's files)")                                    \
  X("granite", Granite, "Granite 3 and 4, dense")                                    \
  X("granitehybrid", GraniteHybrid, "Granite 4 (hybrids)")                           \
  X("granitemoe", Granite, "Granite 3 and 4, mixtures")                              \
  X("grok", Grok, "Grok 1 and 2")                                                    \
  X("grovemoe", GroveMoe, "GroveMoE")                                                \
  X("hunyuan-dense", Hunyuan, "Hunyuan, dense")                                      \
  X("hunyuan-moe", Hunyuan, "Hunyuan A13B")                                          \
  X("hunyuan_vl", HunyuanVl, "Hunyuan VL (text)")                                    \
  X("hy_v3", HyV3, "Hunyuan 3")                                                      \
  X("internlm2", Llama, "InternLM 2 and 3")                                          \
  X("jais", Jais, "Jais")                                                            \
  X("jais2", Jais2, "Jais 2")                                                        \
  X("jamba", Jamba, "Jamba")                                                         \
  X("jina-bert-v2", JinaBertV2, "Jina embeddings 2, rerankers")                      \
  X("jina-bert-v3", JinaBertV3, "Jina embeddings 3")                                 \
  X("kimi-linear", KimiLinear, "Kimi Linear")                                        \
  X("laguna", Laguna, "Laguna")                                                      \
  X("lfm2", Lfm2, "LFM2")                                                            \
  X("lfm2moe", Lfm2Moe, "LFM2 (mixtures)")                                           \
  X("llada", Llada, "LLaDA (diffusion)")                                             \
  X("llada-moe", LladaMoe, "LLaDA MoE (diffusion)")                                  \
  X("llama", Llama, "Llama 1 to 3, Mistral, Mixtral, Yi, SmolLM")                    \
  X("llama-embed", LlamaEmbed, "Llama embeddings")                                   \
  X("llama4", Llama4, "Llama 4")                                                     \
  X("maincoder", Maincoder, "Maincoder")                                             \
  X("mamba", Mamba, "Mamba, Falcon Mamba")                                           \
  X("mamba2", Mamba2, "Mamba 2, Codestral Mamba")                                    \
  X("mellum", Mellum, "Mellum")                                                      \
  X("mimo2", MiMo2, "MiMo 2")                                                        \
  X("minicpm", MiniCpm, "MiniCPM 1 and 2")                                           \
  X("minicpm3", MiniCpm3, "MiniCPM 3")                                               \
  X("minimax-m2", MiniMaxM2, "MiniMax M2")                                           \
  X("mistral3", Mistral3, "Mistral 3, Ministral 3, Devstral 2")                      \
  X("mistral4", Mistral4, "Mistral Large 3 and 4")                                   \
  X("modern-bert", ModernBert, "ModernBERT, rerankers")                              \
  X("mpt", Mpt, "MPT")                                                               \
  X("nanbeige", Nanbeige, "Nanbeige")                                                \
  X("nemotron", Nemotron, "Nemotron 4, Minitron")                                    \
  X("nemotron_h", NemotronH, "Nemotron H, Nemotron Nano 2")                          \
  X("nemotron_h_moe", NemotronH, "Nemotron 3 Nano, Super")                           \
  X("nemotron_h_omni", NemotronHOmni, "Nemotron 3 Nano Omni (text; Ollama's files)") \
  X("neo-bert", NeoBert, "NeoBERT")                                                  \
  X("nomic-bert", NomicBert, "Nomic Embed 1")                                        \
  X("nomic-bert-moe", NomicBertMoe, "Nomic Embed 2")                                 \
  X("olmo", Olmo, "OLMo 1")                                                          \
  X("olmo2", Olmo2, "OLMo 2 and 3")                                                  \
  X("olmo3", Olmo2, "OLMo 3 (Ollama's files)")                                       \
  X("olmoe", Olmoe, "OLMoE")                                                         \
  X("openelm", OpenElm, "OpenELM")                                                   \
  X("orion", Orion, "Orion")                                                         \
  X("paddleocr", PaddleOcr, "PaddleOCR VL (text)")                                   \
  X("pangu-embedded", PanguEmbedded, "openPangu Embedded")                           \
  X("phi2", Phi2, "Phi 1 and 2")                                                     \
  X("phi3", Phi3, "Phi 3 and 4")                                                     \
  X("phimoe", PhiMoe, "Phi 3.5 MoE")                                                 \
  X("plamo", Plamo, "PLaMo 1")                                                       \
  X("plamo2", Plamo2, "PLaMo 2")                                                     \
  X("plamo3", Plamo3, "PLaMo 3")                                                     \
  X("plm", Plm, "PLM")                                                               \
  X("qwen", Qwen, "Qwen 1")                                                          \
  X("qwen2", Qwen2, "Qwen 1.5, 2 and 2.5, QwQ, DeepSeek R1 distilled")               \
  X("qwen25vl", Qwen2, "Qwen 2.5 VL (text; Ollama's files)")                         \
  X("qwen2moe", Qwen2Moe, "Qwen 1.5 and 2, mixtures")                                \
  X("qwen2vl", Qwen2Vl, "Qwen 2 and 2.5 VL (text)")                                  \
  X("qwen3", Qwen3, "Qwen 3, its embeddings and rerankers")                          \
  X("qwen35", Qwen35, "Qwen 3.5, 3.6")                                               \
  X("qwen35moe", Qwen35Moe, "Qwen 3.5, 3.6 (mixtures)")                              \
  X("qwen3moe", Qwen3Moe, "Qwen 3, mixtures, Qwen 3 Coder")                          \
  X("qwen3next", Qwen3Next, "Qwen 3 Next")                                           \
  X("qwen3vl", Qwen3, "Qwen 3 VL (text)")                                            \
  X("qwen3vlmoe", Qwen3Moe, "Qwen 3 VL, mixtures (text)")                            \
  X("refact", Refact, "Refact")                                                      \
  X("rnd1", Rnd1, "RND1 (diffusion)")                                                \
  X("rwkv6", Rwkv6, "RWKV 6")                                                        \
  X("seed_oss", SeedOss, "Seed-OSS")                                                 \
  X("smallthinker", SmallThinker, "SmallThinker")                                    \
  X("smollm3", SmolLm3, "SmolLM 3")                                                  \
  X("stablelm", StableLm, "StableLM")                                                \
  X("starcoder", StarCoder, "StarCoder 1")                                           \
  X("starcoder2", StarCoder2, "StarCoder 2")                                         \
  X("step35", Step35, "Step 3.5")                                                    \
  X("t5", T5, "T5, Flan-T5")                                                         \
  X("t5encoder", T5Encoder, "T5 encoders")                                           \
  X("xverse", Llama, "XVERSE")

namespace puna::model {
namespace arch {

#define PUNA_DECLARE(name, function, family) SpecFunction function;
PUNA_ARCHITECTURES(PUNA_DECLARE)
#undef PUNA_DECLARE

namespace {

struct Entry {
  std::string_view name;
  SpecFunction* read;
  std::string_view family;
};
#define PUNA_ENTRY(name, function, family) {name, function, family},
constexpr Entry kArchitectures[] = {PUNA_ARCHITECTURES(PUNA_ENTRY)};
#undef PUNA_ENTRY

}  // namespace

SpecFunction* FindSpec(std::string_view name) {
  for (const Entry& entry : kArchitectures) {
    if (entry.name == name) return entry.read;
  }
  return nullptr;
}

}  // namespace arch

std::vector<Architecture> SupportedArchitectures() {
  std::vector<Architecture> all;
  for (const arch::Entry& entry : arch::kArchitectures) all.push_back({entry.name, entry.family});
  std::sort(all.begin(), all.end(),
            [](const Architecture& a, const Architecture& b) { return a.name < b.name; });
  return all;
}

}  // namespace puna::model
