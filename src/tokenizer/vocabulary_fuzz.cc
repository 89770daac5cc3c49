// Hostile vocabularies: a GGUF file (input that begins with its magic; the seeds are small real
// ones) or a source made from the input. Whatever loads must then encode and decode any text.
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "gguf/gguf.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

void Use(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    std::vector<TokenId> ids;
    tokenizer.Encode(text, {.parse_special = special, .add_special = special}, &ids);
    for (const TokenId id : ids) CHECK(id >= 0 && id < tokenizer.vocabulary_size()) << "id " << id;
    tokenizer.Decode(ids, special);
  }
  for (TokenId id = -1; id <= tokenizer.vocabulary_size() && id < 1000; ++id) {
    tokenizer.PieceOf(id, true);
    tokenizer.IsEndOfGeneration(id);
  }
}

// Takes values off the front of the input; zeros when it is used up.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return byte;
  }
  int64_t Number() {
    return static_cast<int8_t>(Byte()) * (Byte() % 8 == 0 ? int64_t{1} << 30 : 1);
  }
  std::string_view Text() {
    const size_t wanted = Byte() % 8;
    const size_t size = std::min(wanted, bytes_.size());
    const std::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return text;
  }
  bool empty() const { return bytes_.empty(); }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

VocabularySource MakeSource(Input* input, std::deque<std::string>* strings) {
  VocabularySource source;
  source.algorithm = static_cast<Algorithm>(input->Byte() % 6);
  const auto known = KnownPreTokenizers();
  source.pre = known[input->Byte() % known.size()].name;
  const uint8_t shape = input->Byte();
  const size_t tokens = input->Byte();
  for (size_t i = 0; i < tokens; ++i) {
    strings->emplace_back(input->Text());
    source.tokens.push_back(strings->back());
    if ((shape & 1) != 0) source.scores.push_back(static_cast<float>(input->Number()));
    if ((shape & 2) != 0) source.types.push_back(static_cast<int32_t>(input->Byte() % 9));
  }
  for (size_t i = 0, merges = input->Byte(); i < merges; ++i) {
    strings->push_back(std::string(input->Text()) + " " + std::string(input->Text()));
    source.merges.push_back(strings->back());
  }
  for (auto* id : {&source.bos, &source.eos, &source.unknown, &source.separator,
                   &source.end_of_turn, &source.fim_padding}) {
    if (input->Byte() % 2 != 0) *id = input->Number();
  }
  for (auto* flag : {&source.add_bos, &source.add_eos, &source.add_space_prefix,
                     &source.remove_extra_whitespaces, &source.lowercase, &source.strip_accents}) {
    const uint8_t value = input->Byte() % 3;
    if (value != 0) *flag = value == 1;
  }
  if ((shape & 4) != 0) {
    const std::string_view rest = input->rest();
    source.charsmap.assign(rest.begin(), rest.end());
  }
  if ((shape & 8) != 0) source.model_name = "phi-3";
  return source;
}

}  // namespace
}  // namespace puna::tokenizer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace puna;
  using namespace puna::tokenizer;
  static const bool kQuiet = [] {
    InitLog(LogLevel::kError);
    return true;
  }();
  CHECK(kQuiet);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string text =
      std::string(bytes.substr(0, 200)) + "Hello  world <|end|>\n\xE4\xB8\xAD 12345 aaaa";
  if (bytes.starts_with("GGUF")) {
    const auto file = gguf::File::Parse({data, size});
    if (!file) return 0;
    if (const auto made = Tokenizer::FromGguf(**file)) Use(**made, text);
    return 0;
  }
  Input input(bytes);
  std::deque<std::string> strings;
  if (const auto made = Tokenizer::New(MakeSource(&input, &strings))) Use(**made, text);
  return 0;
}
