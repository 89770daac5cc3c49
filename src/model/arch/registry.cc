// The list of architectures: general.architecture as files write it, and the spec that reads it.
// Several names may share one.
#include "model/arch/spec.h"

#include <algorithm>
#include <string>
#include <vector>

#define PUNA_ARCHITECTURES(X)          \
  X("afmoe", AfMoe)                    \
  X("arcee", Arcee)                    \
  X("baichuan", Baichuan)              \
  X("bailingmoe", BailingMoe)          \
  X("bailingmoe2", BailingMoe2)        \
  X("bert", Bert)                      \
  X("bitnet", Bitnet)                  \
  X("bloom", Bloom)                    \
  X("chatglm", ChatGlm)                \
  X("codeshell", CodeShell)            \
  X("cohere2", Cohere2)                \
  X("cohere2moe", Cohere2Moe)          \
  X("command-r", CommandR)             \
  X("dbrx", Dbrx)                      \
  X("deci", Llama)                     \
  X("deepseek", DeepSeek)              \
  X("dots1", Dots1)                    \
  X("dream", Dream)                    \
  X("ernie4_5", Ernie45)               \
  X("ernie4_5-moe", Ernie45Moe)        \
  X("eurobert", EuroBert)              \
  X("exaone", Exaone)                  \
  X("exaone-moe", ExaoneMoe)           \
  X("exaone4", Exaone4)                \
  X("falcon", Falcon)                  \
  X("gemma", Gemma)                    \
  X("gemma-embedding", GemmaEmbedding) \
  X("gemma2", Gemma2)                  \
  X("gemma3", Gemma3)                  \
  X("glm4", Glm4)                      \
  X("glm4moe", Glm4Moe)                \
  X("gpt-oss", GptOss)                 \
  X("gpt2", Gpt2)                      \
  X("gptneox", GptNeoX)                \
  X("gptoss", GptOss)                  \
  X("granite", Granite)                \
  X("granitemoe", Granite)             \
  X("grok", Grok)                      \
  X("hunyuan-dense", Hunyuan)          \
  X("hunyuan-moe", Hunyuan)            \
  X("hunyuan_vl", Hunyuan)             \
  X("hy_v3", HyV3)                     \
  X("internlm2", Llama)                \
  X("jais", Jais)                      \
  X("jais2", Jais2)                    \
  X("jina-bert-v2", JinaBertV2)        \
  X("jina-bert-v3", JinaBertV3)        \
  X("laguna", Laguna)                  \
  X("llada", Llada)                    \
  X("llada-moe", LladaMoe)             \
  X("llama", Llama)                    \
  X("llama-embed", LlamaEmbed)         \
  X("maincoder", Maincoder)            \
  X("mellum", Mellum)                  \
  X("mimo2", MiMo2)                    \
  X("minicpm", MiniCpm)                \
  X("minimax-m2", MiniMaxM2)           \
  X("mistral3", Mistral3)              \
  X("modern-bert", ModernBert)         \
  X("mpt", Mpt)                        \
  X("nanbeige", Llama)                 \
  X("nemotron", Nemotron)              \
  X("neo-bert", NeoBert)               \
  X("nomic-bert", NomicBert)           \
  X("nomic-bert-moe", NomicBertMoe)    \
  X("olmo", Olmo)                      \
  X("olmo2", Olmo2)                    \
  X("olmo3", Olmo2)                    \
  X("olmoe", Olmoe)                    \
  X("openelm", OpenElm)                \
  X("orion", Orion)                    \
  X("paddleocr", PaddleOcr)            \
  X("pangu-embedded", PanguEmbedded)   \
  X("phi2", Phi2)                      \
  X("phi3", Phi3)                      \
  X("phimoe", PhiMoe)                  \
  X("plamo", Plamo)                    \
  X("plamo3", Plamo3)                  \
  X("qwen", Qwen)                      \
  X("qwen2", Qwen2)                    \
  X("qwen2moe", Qwen2Moe)              \
  X("qwen25vl", Qwen2)                 \
  X("qwen2vl", Qwen2Vl)                \
  X("qwen3", Qwen3)                    \
  X("qwen3moe", Qwen3Moe)              \
  X("qwen3vl", Qwen3)                  \
  X("qwen3vlmoe", Qwen3Moe)            \
  X("refact", Refact)                  \
  X("rnd1", Rnd1)                      \
  X("seed_oss", SeedOss)               \
  X("smallthinker", SmallThinker)      \
  X("smollm3", SmolLm3)                \
  X("stablelm", StableLm)              \
  X("starcoder", StarCoder)            \
  X("starcoder2", StarCoder2)          \
  X("xverse", Llama)

namespace puna::model {
namespace arch {

#define PUNA_DECLARE(name, function) SpecFunction function;
PUNA_ARCHITECTURES(PUNA_DECLARE)
#undef PUNA_DECLARE

namespace {

struct Entry {
  std::string_view name;
  SpecFunction* read;
};
#define PUNA_ENTRY(name, function) {name, function},
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

std::vector<std::string> SupportedArchitectures() {
  std::vector<std::string> names;
  for (const arch::Entry& entry : arch::kArchitectures) names.emplace_back(entry.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace puna::model
