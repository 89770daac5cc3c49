"""What people do to a question before they send it: greetings, fillers, haste, typos."""
from .grammar import sample

FUNCTION_WORDS = set("""a an the to of in on for with do does i my me is are it that this can could would be at
from there and so how what which please you your into by""".split())

BEFORE = """{hi|hello|hey|hello mini|hi mini|hey mini|good evening},|quick question:|one question:|please,|ok,|okay,|so,|well,|
sorry, but|excuse me,|just curious:|a beginner asks:|hmm,|now|next:|also,|thanks.|great.|another thing:|one more thing:|
I'm new here.|I am a beginner.|I just started with puna.|I have a new laptop.|I come from another tool.|I use Linux.|I'm on Debian.|
I'm lost.|my boss wants to know:|a friend asked me:|I read the docs but did not find it:|maybe you know this:|for my project:|
I am writing a script.|it is late and I am tired.|I have little time.|I'm not a programmer.|we are a small team.|
I couldn't find it:|dear mini,|mini,|puna:|help!|help:|let me ask:|tell me,|say,|look,|listen,|alright,|by the way,|btw,|
I bought a new computer yesterday.|I work at a school.|I'm setting up a machine for my father.|I'm teaching a class.|
I have been trying for an hour.|this may be a silly question:|stupid question maybe, but|I forgot,|I can't remember,""".replace("\n", "")
AFTER = """please|please?|thanks|thank you|thanks!|thank you very much|in puna|with puna|when using puna|using puna|under puna|
on linux|on my machine|on this computer|on my laptop|on a server|here|now|again|then|exactly|though|really|actually|
for a beginner|quickly|if possible|, please be brief|, I'm new|, any idea|, mini|, do you know|, can you help|right now|today|
from the command line|from the terminal|in the shell|by hand""".replace("\n", "")
FILLERS = "just really actually maybe kind of simply also still now then quickly basically somehow even perhaps here again only".split()

KEYS = {"a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
        "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w", "r": "et", "s": "ad", "t": "ry",
        "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x"}


def _typo(word, rng):
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    if kind < 0.3:
        return word[:at] + word[at + 1:]
    if kind < 0.6:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    if kind < 0.8:
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice(KEYS.get(word[at].lower(), "e")) + word[at + 1:]


def wrap(question, rng):
    """Puts small talk before and after a question."""
    if rng.random() < 0.22:
        before = sample("{" + BEFORE + "}", rng)
        question = before + " " + question
    if rng.random() < 0.20:
        mark = question[-1] if question[-1] in "?.!" else ""
        question = question.rstrip("?.!") + " " + sample("{" + AFTER + "}", rng) + mark
        question = question.replace(" ,", ",")
    return question


def roughen(question, keep, rng):
    """Typos, lost words and lost punctuation. Words in `keep` (names to be copied) stay as they are."""
    if rng.random() < 0.45:
        words = question.split(" ")
        drop, insert, typo = rng.choice([(0.12, 0, 0), (0, 0.06, 0), (0, 0, 0.08), (0.08, 0.04, 0.04), (0.3, 0, 0)])
        out = []
        for word in words:
            if word.strip("?.,!\"'") in keep or any(mark in word for mark in "./-+*=_0123456789"):
                out.append(word)
                continue
            if word.lower() in FUNCTION_WORDS and rng.random() < drop:
                continue
            if rng.random() < insert:
                out.append(rng.choice(FILLERS))
            out.append(_typo(word, rng) if rng.random() < typo else word)
        question = " ".join(out) or question
    return style(question, keep, rng)


def style(question, keep, rng):
    """Capital letters and the final mark, as people write them."""
    kind = rng.random()
    first = question.split(" ")[0].strip("?.,!\"'")
    if kind < 0.40 and first not in keep:
        question = question[:1].upper() + question[1:]
    elif kind < 0.75:
        question = " ".join(word if word.strip("?.,!\"'") in keep else word.lower() for word in question.split(" "))
    elif kind < 0.765 and not keep:
        question = question.upper()
    end = rng.random()
    if end < 0.35:
        question = question.rstrip("?.! ")
    elif end < 0.45 and question[-1] not in "?.!":
        question += "?"
    elif end < 0.48:
        question += "?" if question[-1] == "?" else "!"
    return question
