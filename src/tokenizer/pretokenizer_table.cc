// Every value of tokenizer.ggml.pre that llama.cpp knows, and the expressions behind them.
//
// The expressions are facts of the published tokenizers (the pre_tokenizer part of tokenizer.json,
// or pat_str of a tiktoken file). Where llama.cpp only approximates one because std::regex has no
// Unicode classes (gpt-4o, tekken, kimi-k2: letter case and marks outside ASCII; "~" as a symbol in
// deepseek-v3), the published expression is used: it is what the model was trained with, and on
// ASCII text both agree.
#include <array>

#include "tokenizer/pretokenizer.h"

namespace puna::tokenizer {
namespace {

#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"

// The letters with case (as of the Unicode version of its authors) that DeepSeek's tokenizer.json
// lists one by one.
// clang-format off
#define DEEPSEEK_LETTERS \
  "\\x{41}-\\x{5A}\\x{61}-\\x{7A}\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}" \
  "\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}" \
  "\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}" \
  "\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}" \
  "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}" \
  "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}" \
  "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}" \
  "\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}" \
  "\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}" \
  "\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}" \
  "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}" \
  "\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}" \
  "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}" \
  "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}" \
  "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}" \
  "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}" \
  "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}" \
  "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
// clang-format on

constexpr SplitStage Expression(const char* pattern) { return {pattern, nullptr}; }

// An expression each; names follow the first model that had it.
const SplitStage kJais2Stage = Expression(
    CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|"
    "\\s{8}(?!\\S)|"
    "\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}");
const SplitStage kDeepseekWordStage = Expression("\\s?[" DEEPSEEK_LETTERS "]+");
const SplitStage kDeepseekPunctuationStage = Expression(
    "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+");
const SplitStage kTrailingSpaceStage = Expression("\\s+$");
const SplitStage kDeepseekAsianStage =
    Expression("[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+");
const SplitStage kKanaHanStage =
    Expression("[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+");
const SplitStage kSpacedLettersStage = Expression("\\s?\\p{L}+");
const SplitStage kSpacedPunctuationStage = Expression("\\s?\\p{P}+");
const SplitStage kSparkStage = Expression(
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+");
const SplitStage kYoutuScriptsStage = Expression(
    "[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-"
    "ㄯ]"
    "+"
    "|"
    "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+");
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
const SplitStage kYoutuStage = Expression(
    LEAD UPPER "*" LOWER "+" CONTRACTIONS "?|" LEAD UPPER "+" LOWER "*" CONTRACTIONS
               "?|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+");
const SplitStage kBloomStage = Expression(" ?[^(\\s|.,!?…。，、।۔،)]+");
const SplitStage kChameleonSentinelStage = Expression("<sentinel:[0-9]+>");
const SplitStage kChameleonImageStage = Expression("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z");
const SplitStage kChameleonSpacesStage = Expression("([\\t\\n]|    |  )");
const SplitStage kChameleonPunctuationStage = Expression("[\\p{P}!-/:-@\\[-`{-~]");
// The inner groups are possessive: nothing follows them that could need them to give back, and a
// long text must not need a stack.
const SplitStage kExaoneMoeStage =
    Expression(CONTRACTIONS
               "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}|"
               " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+");
const SplitStage kAfmoeAsianStage = Expression(
    "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{309F}\\x{30A0}-\\x{"
    "30FF}\\x{FF65}-\\x{FF9F}"
    "\\x{2F00}-\\x{2FDF}\\x{0E00}-\\x{0E7F}\\x{0E80}-\\x{0EFF}\\x{1780}-\\x{17FF}\\x{1000}-\\x{"
    "109F}\\x{AA60}-\\x{AA7F}"
    "\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+");
const SplitStage kWordsStage = Expression("\\S+");
const SplitStage kDefaultPunctuationStage = Expression("[\\p{P}\\$\\+<=>\\^~\\|]+");

const std::array kGpt2 = {kGpt2Stage};
const std::array kLlama3 = {kLlama3Stage};
const std::array kQwen2 = {kQwen2Stage};
const std::array kQwen35 = {kQwen35Stage};
const std::array kO200k = {kO200kStage};
const std::array kTekken = {kTekkenStage};
const std::array kKimi = {kKimiStage};
const std::array kBailing = {kBailingStage};
const std::array kSeedCoder = {kSeedCoderStage};
const std::array kUfakzeka = {kUfakzekaStage};
const std::array kLines = {kLinesStage};
const std::array kJais2 = {kJais2Stage};
const std::array kBloom = {kBloomStage};
const std::array kExaoneMoe = {kExaoneMoeStage};
const std::array kDigitsGpt2 = {kEachNumberStage, kGpt2Stage};
const std::array kDeepseekLlm = {kEachNewlineStage,         kDeepseekWordStage,
                                 kDeepseekPunctuationStage, kTrailingSpaceStage,
                                 kDeepseekAsianStage,       kNumberRunStage};
const std::array kDeepseekCoder = {kEachNewlineStage, kSpacedLettersStage, kSpacedPunctuationStage,
                                   kDeepseekAsianStage, kEachNumberStage};
const std::array kDeepseek3 = {kThreeNumbersStage, kKanaHanStage, kDeepseek3Stage};
const std::array kSpark = {kThreeNumbersStage, kKanaHanStage, kSparkStage, kEachNumberStage};
const std::array kYoutu = {kYoutuScriptsStage, kYoutuStage};
const std::array kFalcon = {kFalconPunctuationStage, kGpt2Stage, kThreeDigitsStage};
const std::array kViking = {kBloomStage, kEachNumberStage};
const std::array kChameleon = {kChameleonSentinelStage,    kChameleonImageStage,
                               kChameleonSpacesStage,      kEachNumberStage,
                               kChameleonPunctuationStage, kGpt2Stage};
const std::array kTinyAya = {kDigitsFromRightAtBoundaryStage, kO200kStage};
const std::array kSuperBpe = {kNumberRunStage, kDigitsFromRightStage};
const std::array kAfmoe = {kNumberRunStage, kDigitsFromRightStage, kAfmoeAsianStage,
                           kDeepseek3Stage};
const std::array kWords = {kWordsStage};
const std::array kLaguna = {kLinesStage, kQwen2Stage};
const std::array kMinicpm5 = {kThreeNumbersStage, kUnlimitedDigitsStage};
const std::array kDefault = {kDefaultPunctuationStage, kGpt2Stage, kNumberRunStage,
                             kThreeDigitsStage};

constexpr PreTokenizerRules kLikeLlama3 = {.ignore_merges = true, .adds_bos = true};
constexpr PreTokenizerRules kIgnoreMerges = {.ignore_merges = true};
constexpr PreTokenizerRules kLikeGemma4 = {
    .forces_bos = true, .whole_newlines = true, .spells_bytes = false, .escapes_whitespace = true};

// Sorted by name.
const PreTokenizerTraits kTable[] = {
    {"a.x-4.0", kGpt2},
    {"afmoe", kAfmoe},
    {"bailingmoe", kBailing},
    {"bailingmoe2", kBailing},
    {"bloom", kBloom},
    {"chameleon", kChameleon, {.adds_bos = true}},
    {"chatglm-bpe", kLlama3},
    {"codeshell", kDigitsGpt2},
    {"cohere2moe", kTinyAya},
    {"command-r", kDigitsGpt2},
    {"dbrx", kLlama3},
    {"deepseek-coder", kDeepseekCoder},
    {"deepseek-llm", kDeepseekLlm},
    {"deepseek-r1-qwen", kQwen2},
    {"deepseek-v3", kDeepseek3},
    {"default", kDefault},
    {"exaone", kDigitsGpt2},
    {"exaone-moe", kExaoneMoe},
    {"exaone4", kGpt2},
    {"f2llmv2", kQwen2},
    {"falcon", kFalcon},
    {"falcon-h1", kLlama3, kLikeLlama3},
    {"falcon3", kLlama3, kLikeLlama3},
    {"gemma4", kLines, kLikeGemma4},
    {"gigachat", kGpt2},
    {"glm4", kLlama3},
    {"gpt-2", kGpt2},
    {"gpt-4o", kO200k},
    {"gpt3-finnish", kBloom},
    {"granite-docling", kGpt2},
    {"granite-embed-multi-311m", kLines, kLikeGemma4},
    {"granite-embed-multi-97m", kO200k, kIgnoreMerges},
    {"grok-2", kQwen2},
    {"hunyuan", kQwen2},
    {"hunyuan-dense", kDeepseek3},
    {"hy_v4", kDeepseek3},
    {"jais", kGpt2},
    {"jais-2", kJais2},
    {"jina-de", kGpt2},
    {"jina-es", kGpt2},
    {"jina-v1-en", kGpt2},
    {"jina-v2-code", kGpt2},
    {"jina-v2-de", kGpt2},
    {"jina-v2-es", kGpt2},
    {"jina-v5-nano", kLlama3, kLikeLlama3},
    {"joyai-llm", kDeepseek3},
    {"kanana2", kO200k},
    {"kimi-k2", kKimi},
    {"kormo", kQwen2},
    {"laguna", kLaguna},
    {"lfm2", kLlama3, kLikeLlama3},
    {"llada-moe", kBailing},
    {"llama-bpe", kLlama3, kLikeLlama3},
    {"llama-v3", kLlama3, kLikeLlama3},
    {"llama3", kLlama3, kLikeLlama3},
    {"llama4", kO200k},
    {"megrez", kQwen2},
    {"mellum", kGpt2},
    {"mellum2", kDigitsGpt2},
    {"midm-2.0", kLlama3, kLikeLlama3},
    {"minerva-7b", kDigitsGpt2},
    {"minicpm5", kMinicpm5, kIgnoreMerges},
    {"minimax-m2", kO200k},
    {"modern-bert", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"phi-2", kGpt2},
    {"pixtral", kLlama3, kLikeLlama3},
    {"poro-chat", kBloom},
    {"qwen2", kQwen2},
    {"qwen35", kQwen35},
    {"refact", kDigitsGpt2},
    {"roberta-bpe", kGpt2},
    {"sarvam-moe", kLines, {.spells_bytes = false, .escapes_whitespace = true}},
    {"seed-coder", kSeedCoder},
    {"smaug-bpe", kLlama3},
    {"smollm", kDigitsGpt2},
    {"solar-open", kQwen2},
    {"spark2_5", kSpark},
    {"stablelm2", kQwen2},
    {"starcoder", kDigitsGpt2},
    {"superbpe", kSuperBpe},
    {"talkie", kO200k},
    {"tekken", kTekken, kLikeLlama3},
    {"tiny_aya", kTinyAya},
    {"trillion", kGpt2},
    {"ufakzeka", kUfakzeka},
    {"viking", kViking},
    {"whitespace", kWords, {.spells_bytes = false, .only_words = true}},
    {"youtu", kYoutu, kIgnoreMerges},
};

}  // namespace

std::span<const PreTokenizerTraits> KnownPreTokenizers() { return kTable; }

}  // namespace puna::tokenizer
