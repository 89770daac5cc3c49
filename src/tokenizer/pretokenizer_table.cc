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

// The letters with case that DeepSeek's tokenizer.json lists one by one.
#define DEEPSEEK_LETTERS                                                                                                                                                        \
  "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-"                                      \
  "ᵷᵹ-"                                                                                                                                                                     \
  "ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼ"                                                        \
  "ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-" \
  "𐑏𐒰-"                                                                                                                                                                   \
  "𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"

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
    "[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]"
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
const std::array kLaguna = {kLinesStage, kQwen2Stage};
const std::array kMinicpm5 = {kThreeNumbersStage, kUnlimitedDigitsStage};
const std::array kDefault = {kDefaultPunctuationStage, kGpt2Stage, kNumberRunStage,
                             kThreeDigitsStage};

// Sorted by name.
const PreTokenizerTraits kTable[] = {
    {"a.x-4.0", kGpt2},
    {"afmoe", kAfmoe},
    {"bailingmoe", kBailing},
    {"bailingmoe2", kBailing},
    {"bloom", kBloom},
    {"chameleon", kChameleon, .adds_bos = true},
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
    {"falcon-h1", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"falcon3", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"gemma4", kLines, .forces_bos = true, .escapes_whitespace = true},
    {"gigachat", kGpt2},
    {"glm4", kLlama3},
    {"gpt-2", kGpt2},
    {"gpt-4o", kO200k},
    {"gpt3-finnish", kBloom},
    {"granite-docling", kGpt2},
    {"granite-embed-multi-311m", kLines, .forces_bos = true, .escapes_whitespace = true},
    {"granite-embed-multi-97m", kO200k, .ignore_merges = true},
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
    {"jina-v5-nano", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"joyai-llm", kDeepseek3},
    {"kanana2", kO200k},
    {"kimi-k2", kKimi},
    {"kormo", kQwen2},
    {"laguna", kLaguna},
    {"lfm2", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"llada-moe", kBailing},
    {"llama-bpe", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"llama-v3", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"llama3", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"llama4", kO200k},
    {"megrez", kQwen2},
    {"mellum", kGpt2},
    {"mellum2", kDigitsGpt2},
    {"midm-2.0", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"minerva-7b", kDigitsGpt2},
    {"minicpm5", kMinicpm5, .ignore_merges = true},
    {"minimax-m2", kO200k},
    {"modern-bert", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"phi-2", kGpt2},
    {"pixtral", kLlama3, .ignore_merges = true, .adds_bos = true},
    {"poro-chat", kBloom},
    {"qwen2", kQwen2},
    {"qwen35", kQwen35},
    {"refact", kDigitsGpt2},
    {"roberta-bpe", kGpt2},
    {"sarvam-moe", kLines, .escapes_whitespace = true},
    {"seed-coder", kSeedCoder},
    {"smaug-bpe", kLlama3},
    {"smollm", kDigitsGpt2},
    {"solar-open", kQwen2},
    {"spark2_5", kSpark},
    {"stablelm2", kQwen2},
    {"starcoder", kDigitsGpt2},
    {"superbpe", kSuperBpe},
    {"talkie", kO200k},
    {"tekken", kTekken, .ignore_merges = true, .adds_bos = true},
    {"tiny_aya", kTinyAya},
    {"trillion", kGpt2},
    {"ufakzeka", kUfakzeka},
    {"viking", kViking},
    {"youtu", kYoutu, .ignore_merges = true},
};

}  // namespace

std::span<const PreTokenizerTraits> KnownPreTokenizers() { return kTable; }

}  // namespace puna::tokenizer
