// puna synth: a model with the dimensions and the file size of a published one and random weights,
// for measuring where nothing can be downloaded. llama.cpp loads it too.
//
// Its vocabulary has the 256 bytes, a space before each letter, and then placeholders up to the
// real size, which say their number: what costs time is the number of tokens, not what they say.
// Where the text of answers matters, --vocabulary takes that of a real model (word_answers.h).
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/output_file.h"
#include "cli/random_blocks.h"
#include "cli/synth_shapes.h"
#include "cli/terminal.h"
#include "cli/word_answers.h"
#include "gguf/gguf.h"
#include "store/file_type.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"

namespace puna::cli {
namespace {

struct SynthOptions {
  std::string out, shape, type = "Q4_K_M", vocabulary;
  uint64_t seed = 1;
};

void CopyVocabulary(const gguf::File& from, gguf::Writer* writer) {
  for (const gguf::KeyValue& entry : from.metadata()) {
    if (entry.key.starts_with("tokenizer.")) writer->SetFrom(entry.key, entry.value);
  }
}

void MakeVocabulary(const Shape& shape, gguf::Writer* writer) {
  using tokenizer::TokenKind;
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> kinds;
  const auto add = [&](std::string text, TokenKind kind) {
    tokens.push_back(std::move(text));
    kinds.push_back(static_cast<int32_t>(kind));
  };
  for (int byte = 0; byte < 256; ++byte) {
    add(tokenizer::SpellBytes(std::string(1, static_cast<char>(byte))), TokenKind::kNormal);
  }
  const std::string space = tokenizer::SpellBytes(" ");
  for (const char first : {'a', 'A'}) {
    for (char letter = first; letter < first + 26; ++letter) {
      merges.push_back(space + " " + letter);
      add(space + letter, TokenKind::kNormal);
    }
  }
  const auto end_of_text = static_cast<uint32_t>(tokens.size());
  add("<|endoftext|>", TokenKind::kControl);
  while (static_cast<int64_t>(tokens.size()) < shape.vocabulary)
    add(fmt::format("<{}>", tokens.size()), TokenKind::kNormal);
  writer->Set("tokenizer.ggml.model", "gpt2");
  writer->Set("tokenizer.ggml.pre", "gpt-2");
  writer->Set("tokenizer.ggml.tokens", std::move(tokens));
  writer->Set("tokenizer.ggml.token_type", std::move(kinds));
  writer->Set("tokenizer.ggml.merges", std::move(merges));
  writer->Set("tokenizer.ggml.bos_token_id", end_of_text);
  writer->Set("tokenizer.ggml.eos_token_id", end_of_text);
  writer->Set("tokenizer.ggml.add_bos_token", false);
}

void SetMetadata(const Shape& shape, const store::FileType& type, gguf::Writer* writer) {
  const auto set = [&](const char* key, auto value) {
    writer->Set(fmt::format("{}.{}", shape.architecture, key), value);
  };
  const auto count = [&](const char* key, int64_t value) {
    set(key, static_cast<uint32_t>(value));
  };
  writer->Set("general.architecture", std::string(shape.architecture));
  writer->Set("general.name", fmt::format("random weights in the shape of {}", shape.name));
  if (type.number) writer->Set("general.file_type", *type.number);
  writer->Set("general.quantization_version", uint32_t{2});
  count("block_count", shape.layers);
  count("context_length", shape.context_length);
  count("embedding_length", shape.width);
  count("feed_forward_length", shape.hidden);
  count("attention.head_count", shape.heads);
  count("attention.head_count_kv", shape.kv_heads);
  count("attention.key_length", shape.head_size);
  count("attention.value_length", shape.head_size);
  count("rope.dimension_count", shape.head_size);
  count("vocab_size", shape.vocabulary);
  set("attention.layer_norm_rms_epsilon", 1e-5F);
  set("rope.freq_base", shape.rope_base);
  if (shape.experts > 0) {
    count("expert_count", shape.experts);
    count("expert_used_count", shape.experts_used);
    count("expert_feed_forward_length", shape.expert_hidden);
  }
  if (shape.window > 0) count("attention.sliding_window", shape.window);
}

// The tensors of a shape, first as a list and then with the types that the list gets.
class TensorList {
 public:
  explicit TensorList(const Shape& shape) : shape_(shape) {
    Matrix("token_embd", {shape_.width, shape_.vocabulary});
    Norm("output_norm", shape_.width);
    if (!shape_.tied) Matrix("output", {shape_.width, shape_.vocabulary});
    for (int64_t layer = 0; layer < shape_.layers; ++layer) {
      AddAttention(layer);
      AddFeedForward(layer);
    }
  }

  // The bytes are made while the file is written. `answers` may be null.
  void AddTo(const store::FileType& type, RandomBlocks* random, const WordAnswers* answers,
             gguf::Writer* writer) const {
    std::vector<store::TensorShape> shapes;
    for (const Tensor& tensor : tensors_)
      shapes.push_back({tensor.name, tensor.dims, quant::TensorType::kF32});
    const store::ModelShape model = {.architecture = std::string(shape_.architecture),
                                     .layers = shape_.layers,
                                     .experts = shape_.experts,
                                     .heads = shape_.heads,
                                     .kv_heads = shape_.kv_heads};
    const auto types = store::ChooseTypes(type, model, shapes);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const Tensor& tensor = tensors_[i];
      int64_t elements = 1;
      for (const int64_t dim : tensor.dims) elements *= dim;
      writer->AddTensor(tensor.name, types[i], tensor.dims,
                        [=, type = types[i], &tensor]() -> Result<std::vector<uint8_t>> {
                          const int64_t columns = tensor.dims[0];
                          if (tensor.norm) return random->Vector(elements, 1, 0.05F);
                          if (answers != nullptr && tensor.name == "token_embd.weight")
                            return answers->Embedding(type, columns);
                          if (answers != nullptr && tensor.name == "output.weight")
                            return answers->Output(type, columns);
                          return random->Matrix(type, columns, elements);
                        });
    }
  }

 private:
  struct Tensor {
    std::string name;
    std::vector<int64_t> dims;
    bool norm = false;
  };

  void AddAttention(int64_t layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    const int64_t query = shape_.heads * shape_.head_size;
    const int64_t key = shape_.kv_heads * shape_.head_size;
    Norm(prefix + "attn_norm", shape_.width);
    Matrix(prefix + "attn_q", {shape_.width, query});
    Matrix(prefix + "attn_k", {shape_.width, key});
    Matrix(prefix + "attn_v", {shape_.width, key});
    Matrix(prefix + "attn_output", {query, shape_.width});
    if (shape_.qk_norm) {
      Norm(prefix + "attn_q_norm", shape_.head_size);
      Norm(prefix + "attn_k_norm", shape_.head_size);
    }
    if (shape_.post_norms) Norm(prefix + "post_attention_norm", shape_.width);
  }

  void AddFeedForward(int64_t layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    Norm(prefix + "ffn_norm", shape_.width);
    if (shape_.experts > 0) {
      const int64_t experts = shape_.experts, hidden = shape_.expert_hidden;
      Matrix(prefix + "ffn_gate_inp", {shape_.width, experts});
      Matrix(prefix + "ffn_gate_exps", {shape_.width, hidden, experts});
      Matrix(prefix + "ffn_up_exps", {shape_.width, hidden, experts});
      Matrix(prefix + "ffn_down_exps", {hidden, shape_.width, experts});
    } else {
      Matrix(prefix + "ffn_gate", {shape_.width, shape_.hidden});
      Matrix(prefix + "ffn_up", {shape_.width, shape_.hidden});
      Matrix(prefix + "ffn_down", {shape_.hidden, shape_.width});
    }
    if (shape_.post_norms) Norm(prefix + "post_ffw_norm", shape_.width);
  }

  void Matrix(const std::string& name, std::vector<int64_t> dims) {
    tensors_.push_back({name + ".weight", std::move(dims)});
  }

  void Norm(const std::string& name, int64_t width) {
    tensors_.push_back({name + ".weight", {width}, true});
  }

  const Shape& shape_;
  std::vector<Tensor> tensors_;
};

// A file type, or a tensor type, which then serves for all matrices. MXFP4 as a file type is for
// experts only; here its name means the tensor type.
std::optional<store::FileType> FindType(const std::string& name) {
  const quant::TypeTraits* traits = quant::FindTypeByName(name);
  const store::FileType* type = store::FindFileType(name);
  const bool mixes = type != nullptr && type->main && type->main != quant::TensorType::kMXFP4;
  if (mixes && (traits == nullptr || traits->name == type->name)) return *type;
  if (traits == nullptr || traits->encode == nullptr || traits->decode == nullptr)
    return std::nullopt;
  return store::UniformFileType(traits->type);
}

Status Synth(const SynthOptions& options) {
  const Shape* known = FindShape(options.shape);
  if (known == nullptr) {
    return MakeError(ErrorCode::kInvalidArgument, "unknown shape '{}', see puna synth --help",
                     options.shape);
  }
  Shape shape = *known;
  const auto type = FindType(options.type);
  if (!type) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "type '{}' is unknown or cannot be written, see puna synth --help",
                     options.type);
  }
  PUNA_RETURN_IF_ERROR(CheckOutput(options.out, InputFiles().Add(options.vocabulary)));
  RandomBlocks random(options.seed);
  gguf::Writer writer;
  std::shared_ptr<const gguf::File> vocabulary;
  std::optional<WordAnswers> answers;
  if (!options.vocabulary.empty()) {
    PUNA_ASSIGN_OR_RETURN(vocabulary, gguf::File::Open(options.vocabulary));
    PUNA_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::FromGguf(*vocabulary));
    shape.vocabulary = tokenizer->vocabulary_size();
    if (!shape.tied) {
      PUNA_ASSIGN_OR_RETURN(answers, WordAnswers::New(*tokenizer, options.seed));
    }
  }
  SetMetadata(shape, *type, &writer);
  if (vocabulary != nullptr) {
    CopyVocabulary(*vocabulary, &writer);
  } else {
    MakeVocabulary(shape, &writer);
  }
  const TensorList tensors(shape);
  tensors.AddTo(*type, &random, answers ? &*answers : nullptr, &writer);
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(options.out));
  ProgressLines progress;
  PUNA_RETURN_IF_ERROR(writer.Write(&file, [&](uint64_t done, uint64_t total) {
    if (StderrIsTerminal()) {
      progress.Show("writing " + options.out, static_cast<int64_t>(done),
                    static_cast<int64_t>(total));
    }
  }));
  PUNA_RETURN_IF_ERROR(file.Commit());
  progress.EndLine();
  std::error_code error;
  std::printf(
      "wrote %s: %s %s, %s\n", options.out.c_str(), options.shape.c_str(), options.type.c_str(),
      HumanBytes(static_cast<int64_t>(std::filesystem::file_size(options.out, error))).c_str());
  return {};
}

std::string ShapeNames() {
  std::string names;
  for (const Shape& shape : AllShapes())
    names += (names.empty() ? "" : ", ") + std::string(shape.name);
  return names;
}

}  // namespace

void AddSynth(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "synth", "Write a GGUF file with random weights in the shape of a published model");
  auto options = std::make_shared<SynthOptions>();
  command->add_option("OUT", options->out, "The file to write")->required();
  command->add_option("--shape", options->shape, "One of " + ShapeNames())->required();
  command
      ->add_option(
          "--type", options->type,
          "A type of puna quantize, which mixes tensor types; any other tensor type, and MXFP4, "
          "is used for all matrices")
      ->capture_default_str();
  command->add_option("--vocabulary", options->vocabulary,
                      "Take the vocabulary of this GGUF file instead of a made-up one; shapes with "
                      "an output matrix of their own then answer in its words");
  command->add_option("--seed", options->seed, "Other weights for another seed")
      ->capture_default_str();
  command->callback([options, chosen] { *chosen = [options] { return Synth(*options); }; });
}

}  // namespace puna::cli
