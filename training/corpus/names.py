"""Names that a question brings along and an answer repeats: of models, files, people, heroes. Many are invented, so that
copying is learned rather than a list."""

MODELS = """llama3 llama3.2 llama3.1:8b qwen3 qwen3:0.6b qwen2.5 phi4 phi3 gemma3 gemma2:2b mistral mixtral tinyllama mini smollm2
deepseek-r1 codellama granite3 olmo2 falcon vicuna orca-mini command-r yi starcoder2 nomic-embed stablelm zephyr""".split()
WORDS = """notes mail chat code story law cook data work home test demo tiny big fast old new blue red green night river stone
garden robot helper writer tutor travel music paper cloud storm pocket school lab draft pirate poet doctor support""".split()
PEOPLE = """Anna Ben Clara David Emma Felix Greta Hugo Ida Jonas Kim Lena Max Nina Oscar Paula Quinn Rosa Sam Tom Uma Vera Will
Xenia Yusuf Zoe Maria John Alice Bob Mary Peter Sofia Leo Mia Noah Lucas Eva Ali Fatima Chen Yuki Raj Priya Olga Ivan""".split()

ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fl gr kl pl pr sl sn st tr th sh ch".split()
VOWELS = "a e i o u a e i o ai ee oo ou".split()
CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "k", "x", "nd", "lt", "rk", "sh", "p"]


def invented(rng, syllables=None):
    count = syllables or rng.choice([1, 2, 2, 2, 3])
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + (rng.choice(CODAS) if i == count - 1 or rng.random() < .3 else "")
                   for i in range(count))


def model_name(rng):
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(MODELS)
    if kind < 0.55:
        return rng.choice(WORDS) + rng.choice(["-", "", "_"]) + rng.choice(WORDS + ["bot", "model", "gpt", "llm", "7b"])
    if kind < 0.65:
        return "my" + rng.choice(["-", ""]) + rng.choice(WORDS + ["model", "bot"])
    name = invented(rng)
    if rng.random() < 0.4:
        name += rng.choice(["-", ":", ""]) + rng.choice(["1b", "3b", "7b", "8b", "2", "3", "4", "q4", "q8", "chat", "instruct", "mini", "v2"])
    return name


def file_name(rng):
    if rng.random() < 0.15:
        return rng.choice(["model.gguf", "my.gguf", "file.gguf", "weights.gguf", "x.gguf", "test.gguf"])
    return model_name(rng).replace(":", "-") + rng.choice(["", "", "-q4_k_m", "-q8_0", ".Q4_K_M", "-f16"]) + ".gguf"


def person(rng):
    return rng.choice(PEOPLE) if rng.random() < 0.5 else invented(rng, 2).capitalize()
