"""Very short stories with the hero that was asked for, and words to be repeated."""
from .grammar import sample
from .names import invented, person
from .noise import roughen, style, wrap

HEROES = """cat dog fox bear wolf mouse lion tiger rabbit horse cow pig goat sheep hen duck goose owl crow eagle sparrow snail frog toad
turtle fish whale shark dolphin crab bee ant spider butterfly worm snake lizard dragon unicorn elephant giraffe zebra monkey camel llama
kangaroo koala panda penguin seal otter beaver squirrel hamster deer moose bat raven parrot king queen prince princess knight wizard witch
giant dwarf elf fairy ghost pirate sailor farmer baker teacher painter poet thief doctor miller soldier hunter gardener child girl boy
grandmother robot computer train car ship cloud star tree flower stone river snowman teapot clock lamp shoe candle moon kite balloon
engineer astronaut clown dancer cook tailor singer fisherman shepherd monk nurse postman ninja vampire alien monster mermaid gnome troll
donkey badger mole weasel stork swan flamingo peacock lobster octopus starfish jellyfish seahorse puppy kitten pony lamb calf""".split()
ADJECTIVES = """little brave lazy clever old young small lonely hungry tiny friendly curious shy proud sleepy happy sad wise grumpy blue red green
golden gentle noisy forgetful lost polite""".split()
LOVES = """music snow the sea cheese books dancing singing the stars apples painting honey running flowers mountains swimming the wind soup
trains maps sleeping cooking numbers stories the sun puddles""".split()

# Halves of made up creatures and things ("mudbird"), for names that are ordinary words and yet new.
HALVES = """mud bird moon fish tree fog hill cup leaf dust apple bell fire snow frost drum pond grass night stone corn milk thorn hay
wood salt tea sand rain nut bush web cap horn foot tail head nose wing hat ball box cake boat knob pot ling man worm bug rat hound
berry bean moss button feather pepper candle whistle pumpkin turnip onion pebble""".split()

KIND = ["{story|tale|short story|little story|very short story|tiny story|fairy tale|bedtime story|quick story|nice story|good story|funny story|goodnight story|fable}"]
ASK = ["tell me a <kind> about <hero>", "tell {us|me} a <kind> with <hero>", "a <kind> about <hero>", "a <kind> about <hero>, please", "please tell a <kind> about <hero>", "write a <kind> about <hero>", "can you tell {me |}a <kind> about <hero>",
       "could you {write|tell me|make up|invent} a <kind> {about|with} <hero>", "I want {a|to hear a} <kind> about <hero>", "I'd like a <kind> about <hero>", "make up a <kind> about <hero>", "invent a <kind> about <hero>", "do you have a <kind> about <hero>",
       "give me a <kind> about <hero>", "story about <hero>", "<hero> story", "tell {my son|my children|the kids|my class|my sister|the baby|everyone} a <kind> about <hero>", "do you know {a|any} <kind> about <hero>", "tell me {something|anything|more} about {the life of |the adventures of |}<hero> {in a story|as a story}", "once upon a time there was <hero>", "<kind>: <hero>",
       "write {something short|a few lines|a paragraph|a page} about <hero> {for children|for my kids|as a story|who has an adventure}", "the hero {should be|of the story is} <hero>, tell {it|me the story}", "I need a <kind> with <hero> {in it|as hero|}", "let <hero> be the hero of a <kind>", "a <kind> where <hero> is the hero", "a <kind> {in which|where} <hero> {appears|has an adventure|is important|plays a part}", "{any|have you got any} <kind> {about|with|of} <hero>", "{think up|dream up|compose|spin|create} {a <kind>|something} about <hero>",
       "{something|anything} {nice|short|sweet|funny|cosy} about <hero>{, please| for my child| for the night| to fall asleep|}", "{the children|my nephew|my girl|our son|grandma|the little one} {cannot fall asleep|is tired|loves animals|is in bed|likes stories}. {tell|read|know|have you} a <kind> {about|with} <hero>",
       "{bedtime|it is bedtime|good night}: a <kind> {about|with} <hero>", "my {kid|son|boy|girl|grandson|nephew} {wants to hear|would like to hear|asks for|wishes for|loves} {a <kind>|something} {about|with} <hero>{| before bed| tonight|}", "{let me|we want to} hear {of|about} <hero>, in a <kind>", "a {little|small|tiny|short} {adventure|tale|legend|yarn} {about|of|with} <hero>", "write {about|of} <hero> {as a tale|in five sentences|as a story for children}",
       "<hero>{: a <kind> please|, tell its story|, make a <kind> of it}", "how about a <kind> {with|of} <hero>",
       "read me a <kind> about <hero>", "what happened to <hero>? tell me a <kind>", "my {son|child|niece|kids} {wants|want} a <kind> {about|with} <hero>", "we are in bed, tell a <kind> about <hero>", "imagine <hero> and tell a <kind>"]
ASK_FREE = ["tell me a <kind>", "a <kind> please", "tell a <kind>", "can you tell {me |}{a <kind>|stories}", "do you know {a <kind>|stories|any stories}", "I want {to hear |}a <kind>", "another <kind>", "one more <kind>", "please tell {me |us |}a <kind>", "write a <kind>", "story", "story please", "once upon a time", "make up a <kind>", "invent a <kind>", "I'm bored, tell me a <kind>", "it is late, tell me a <kind>", "read {me|us} a <kind>", "give me a <kind>", "{my son|my child|my daughter} {wants|needs} a <kind>", "tell me something {nice|before I sleep|to fall asleep}", "story time", "let me hear a <kind>", "I love stories, tell one"]

PLACES = ["in a {small|quiet|dark|green} forest", "by the {blue|wide|cold} sea", "on a {high|lonely} hill", "in a {small|crooked} house", "under an old bridge", "in a {quiet|busy} village", "on a {tiny|green} island", "behind the {old|tall} mill", "in a garden full of {roses|apples|bees}", "near a deep lake"]
WANTS = [("wanted to see the moon from near", "climbed the highest tree", "The moon was still far away, but from up there the whole valley shone like silver"),
         ("had lost a {red|small|golden} key", "looked under every leaf", "At last a {mouse|bird|frog} brought the key and asked for nothing but a thank you"),
         ("was afraid of the dark", "lit a tiny lamp", "By its light one could see that the dark was only {an empty room|a big soft blanket|full of sleeping flowers}"),
         ("wanted to learn to sing", "practised every morning", "One day {the birds|the wind|an old owl} joined in, and it became a song"),
         ("had no friends", "baked a {big|warm} cake and opened the door", "The smell brought the neighbours, and nobody was alone that evening"),
         ("found a {strange|shining|blue} egg", "kept it warm all winter", "In spring a small dragon came out and said good morning"),
         ("wanted to cross the river", "built a boat out of {paper|bark|leaves}", "It was wet and slow, but it reached the other side"),
         ("could not sleep", "counted all the stars", "At number twenty the eyes fell shut, and the stars counted on alone"),
         ("heard a voice from the well", "let down a long rope", "Up came {a wet cat|a laughing frog|an old bucket that told jokes}, and they became friends"),
         ("wished for snow", "wrote a letter to the winter", "The next morning one single snowflake came with the answer: soon")]
ENDS = ["From that day on, {it was never sad again|all was well|every day had a good ending}.", "And if it has not stopped, it is still smiling today.", "Then it was time for {soup|bed|tea}, and everyone was happy.", "That night {the whole village|the forest|the wind} sang."]


def tell(hero, rng):
    """A story of five sentences. `hero` comes with its article: "a small fox", or is a name."""
    bare = hero.split(" ", 1)[1] if hero.split(" ")[0] in ("a", "an") else None
    the = f"the {bare.split(' ')[-1]}" if bare else hero
    want, did, outcome = (sample(part, rng) for part in rng.choice(WANTS))
    place = sample(rng.choice(PLACES), rng)
    capital = the[0].upper() + the[1:]
    return (f"Once upon a time {hero} lived {place}. One day {the} {want}. So {the} {did}. {outcome}. "
            f"{sample(rng.choice(ENDS), rng)}")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def draw(rng):
    if rng.random() < 0.25:
        question = sample(rng.choice(ASK_FREE).replace("<kind>", KIND[0]), rng)
        hero = article(rng.choice(["fox", "mouse", "llama", "snail", "owl", "bear"]))
        return roughen(wrap(question, rng), set(), rng), tell(hero, rng)
    kind = rng.random()
    if kind < 0.12:
        hero = person(rng)
        words = hero
    else:
        noun = (rng.choice(HEROES) if kind < 0.5 else rng.choice(HALVES) + rng.choice(HALVES) if kind < 0.75 else invented(rng))
        if rng.random() < 0.25:
            noun = rng.choice(ADJECTIVES) + " " + noun
        hero = words = article(noun)
        tail = rng.random()
        if tail < 0.10:
            words += f" {rng.choice(['called', 'named'])} {person(rng)}"
        elif tail < 0.22:
            words += f" {rng.choice(['who', 'that'])} {rng.choice(['likes', 'hates', 'wants', 'dreams of', 'is afraid of', 'looks for', 'cannot stand', 'has never seen', 'sells', 'is fond of'])} {rng.choice(LOVES)}"
        elif tail < 0.27:
            words += f" and {article(rng.choice(HEROES))}"
        elif tail < 0.32:
            words = words.replace("a ", "the ", 1) if words.startswith("a ") else words
    question = sample(rng.choice(ASK).replace("<kind>", KIND[0]).replace("<hero>", "$h"), rng).replace("$h", words)
    return roughen(wrap(question, rng), set(hero.split()), rng), tell(hero, rng)


SAY = ["say #", "please say #", "repeat #", "repeat after me: #", "repeat the word #", "say the word #", "can you say #", "write #", "echo #", "say: #", "just say #", "type #", "print the word #", "answer only #", "reply with #", "answer with the word #", "say only #", "respond with #"]


def draw_say(rng):
    count = rng.choice([1, 1, 2, 3, 5, 8])
    words = " ".join(rng.choice([invented(rng), rng.choice(HEROES), rng.choice(ADJECTIVES)]) for _ in range(count))
    if rng.random() < 0.3:
        words = words.capitalize()
    quoted = rng.choice(["#", "#", '"#"', "'#'"]).replace("#", words)
    question = rng.choice(SAY).replace("#", quoted)
    return style(question, set(words.split()), rng), words
