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

# Everyday words that may stand for each other; not exact, but neither are people.
THESAURUS = [group.split() for group in """
folder directory path place location spot
show display print present reveal output
see view look check inspect examine
tell give say explain describe
use employ utilize apply take
get obtain receive fetch have
make create produce build generate write
start launch begin open run boot
stop end halt finish quit terminate
delete remove erase drop wipe
change modify alter adjust edit switch
set configure define choose put specify
keep hold retain leave preserve
store save put keep place
computer machine pc laptop box desktop workstation
disk drive storage ssd harddisk partition volume
memory ram
server service daemon backend
model llm network ai
models llms networks
answer reply response output text
answers replies responses outputs
question prompt query request
chat conversation session dialogue talk
command instruction call
way method trick procedure solution
list overview inventory table summary
big large huge long
bigger larger longer greater
small tiny little short
smaller shorter tinier
fast quick speedy rapid
faster quicker speedier
slow sluggish
other another different alternative
own personal private custom
new fresh
old existing former previous
now currently presently today
always permanently constantly forever
need require want
want wish need like
can could may
do perform
find locate discover spot
work function behave
connect link attach join
send transmit post submit
read load parse
import add register integrate include
download fetch pull
copy duplicate clone
name title label
allow permit enable let
happens occurs
several many multiple two some few
all every each
people users persons folks
program app application software tool script
setting option variable parameter flag
settings options variables parameters flags
network lan wifi
mean signify stand
error problem trouble issue failure
fix solve repair mend
long time
story tale
child kid
meaning sense purpose
learn understand know
installed available present there
loaded running active resident
unload evict release
free empty clear
details information facts data properties
measure determine test
terminal shell console
endpoint route
website webpage page
right correct proper
simple easy plain
throw toss chuck push shove evict eject
reach contact access
device machine gadget
guide tutorial walkthrough
beginner newbie novice starter
vectors embeddings
piece chunk part fragment
pieces chunks parts fragments
measure benchmark time clock gauge
speed pace rate throughput
idle unused inactive quiet
leave exit quit
fake dummy bogus mock
role persona character part
larger wider bigger
repository repo tree checkout
upload publish
web internet net
name call label title
unload offload eject evict
disk ssd drive
lan network subnet wifi
remote distant faraway
minutes seconds
forget lose drop
hold have keep possess
check verify inspect
everything all
weights parameters numbers
library package sdk module bindings
client app program
website site homepage
answer react respond
hello hi hey
bring carry move
permanently forever endlessly eternally
running working alive
vanish disappear go
prevent avoid stop forbid
complete whole full entire
print show output emit dump
friend colleague neighbour
""".strip().split("\n")]
SYNONYMS = {}
for _group in THESAURUS:
    for _word in _group:
        SYNONYMS.setdefault(_word, []).extend(other for other in _group if other != _word)

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


def exchange(question, keep, rng, share=0.2):
    """Some words for their like."""
    words = question.split(" ")
    for i, word in enumerate(words):
        core = word.strip("?.,!")
        if core in SYNONYMS and core not in keep and rng.random() < share:
            words[i] = word.replace(core, rng.choice(SYNONYMS[core]))
    return " ".join(words)


def roughen(question, keep, rng):
    """Typos, lost words and lost punctuation. Words in `keep` (names to be copied) stay as they are."""
    if rng.random() < 0.3:
        words = question.split(" ")
        drop, insert, typo = rng.choice([(0.12, 0, 0), (0, 0.06, 0), (0, 0, 0.08), (0.08, 0.04, 0.04), (0.2, 0, 0)])
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
