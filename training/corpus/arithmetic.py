"""Sums, differences and products up to twenty, in digits and in words."""
from .grammar import sample
from .noise import style

WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty""".split()
THINGS = """apples coins books cats dogs cookies pens stones friends balls cups stamps flowers fish birds cards keys bottles cakes
oranges dollars euros marbles stickers bananas chairs candles sheep horses shells nuts letters tickets toys hats socks""".split()
ASK = ["what is #", "what's #", "#", "#", "# =", "# = ?", "# is", "# is what", "how much is #", "calculate #", "can you calculate #", "do you know #", "tell me #", "work out #",
       "please calculate #", "what does # give", "what does # make", "what do you get for #", "the result of #", "what is the result of #", "solve #", "give me #", "what would # be",
       "a sum: #", "# makes", "I want to know #", "quick: #", "do the sum #", "evaluate #", "how many is #", "find #", "can you do #", "try #", "how about #", "and #", "now #", "math: #"]
PLUS = [" + ", "+", " plus ", " plus ", " and ", " added to "]
MINUS = [" - ", "-", " minus ", " minus ", " less "]
TIMES = [" * ", "*", " times ", " times ", " x ", " multiplied by "]

ADD_STORIES = [
    "I have $a $t and {get|find|receive|win|make|am given} $b {more|others|more $t|further ones}. How many {$t |}{do I have|are there|have I got}{| now| together| in all| then}",
    "there are $a $t and $b {more come|are added|more arrive|more appear}. How many {are there|are there now|$t are there|in total}",
    "$p has $a $t and $q has $b{| $t}. How many {$t |}do they have{| together| in all| altogether}",
    "$a $t and $b $t {make|are|give} how many{| $t}", "{add|sum} $a and $b", "{add|sum up} $a to $b", "the sum of $a and $b", "what is the sum of $a and $b",
    "{yesterday|on monday|first} I {saw|counted|ate|sold|read} $a $t and {today|on tuesday|then} $b{| more}. How many {in all|together|in total|are that}",
    "put $a $t into a box, then $b more. How many {are in the box|$t are inside|now}", "what is $a increased by $b", "$b more than $a"]
SUB_STORIES = [
    "I {have|had} $a $t and {give|gave} {away $b|$b to $p|$b to a friend}. How many {$t |}{are left|remain|do I have|do I still have|have I got}{| now}",
    "I {have|had} $a $t and {lose|lost|sell|sold|use|used|break|broke|spend|drop|dropped} $b{| of them}. How many {$t |}{are left|remain|do I have left|do I still have}",
    "there {are|were} $a $t and $b {go away|are taken|disappear|fly away|leave|are gone}. How many {are left|remain|stay|are there now}",
    "{subtract|take} $b from $a", "{take|take away} $b from $a", "the difference {between|of} $a and $b", "what is the difference {between|of} $a and $b", "$a take away $b", "what is $a reduced by $b", "$b less than $a",
    "$p had $a $t. $q took $b. How many {$t |}{does $p have|are left|remain}"]
MUL_STORIES = ["{multiply} $a by $b", "multiply $a and $b", "the product of $a and $b", "$a {boxes|bags|baskets} with $b $t each{. How many $t are there| make how many $t| are how many $t}", "$a times $b {$t|}"]


def draw(rng):
    kind = rng.random()
    if kind < 0.45:
        a = rng.randint(0, 20)
        b = rng.randint(0, 20 - a)
        if rng.random() < 0.5:
            a, b = b, a
        result, signs, stories, sign = a + b, PLUS, ADD_STORIES, "+"
    elif kind < 0.85:
        a = rng.randint(0, 20)
        b = rng.randint(0, a)
        result, signs, stories, sign = a - b, MINUS, SUB_STORIES, "-"
    else:
        a, b = rng.choice([(x, y) for x in range(0, 11) for y in range(0, 11) if x * y <= 20])
        result, signs, stories, sign = a * b, TIMES, MUL_STORIES, "*"
    in_words = rng.random()
    form = (lambda n: WORDS[n]) if in_words < 0.4 else (lambda n: str(n)) if in_words < 0.9 else (lambda n: rng.choice([WORDS[n], str(n)]))
    if rng.random() < 0.3:
        from .names import person
        text = sample(rng.choice(stories), rng)
        first, second = person(rng), person(rng)
        text = text.replace("$a", form(a)).replace("$b", form(b)).replace("$t", rng.choice(THINGS)).replace("$p", first).replace("$q", second)
    else:
        left, right = form(a), form(b)
        if sign == "+" and rng.random() < 0.03:
            left, right = right, left
        text = rng.choice(ASK).replace("#", left + rng.choice(signs) + right)
    if rng.random() < 0.5 and text[-1] not in "?=":
        text += "?"
    return style(text, set(), rng), f"{a} {sign} {b} = {result}."


BEYOND = "That is too much for me: I only add, subtract and multiply up to twenty."


def draw_beyond(rng):
    """What leaves the range from nought to twenty, or divides."""
    kind = rng.randrange(4)
    a, b = rng.randint(2, 20), rng.randint(2, 20)
    if kind == 0:
        a, b, signs = rng.randint(max(1, 21 - b), 20), b, PLUS
    elif kind == 1:
        a, b, signs = min(a, b), max(a, b) + 1, MINUS
    elif kind == 2:
        a, b, signs = rng.randint(-(-21 // b), 20), b, TIMES
    else:
        signs = [" / ", "/", " divided by ", " divided by ", " over "]
    form = (lambda n: WORDS[n] if n <= 20 else str(n)) if rng.random() < 0.4 else str
    return style(rng.choice(ASK).replace("#", form(a) + rng.choice(signs) + form(b)), set(), rng), BEYOND


COUNT_ASK = ["count {to|up to|until} $n", "{can you|please|could you} count {to|up to} $n", "count from {1|one} to $n", "list the numbers {from 1 to|up to} $n", "the numbers from one to $n"]


def draw_count(rng):
    n = rng.randint(2, 20)
    text = sample(rng.choice(COUNT_ASK), rng).replace("$n", rng.choice([str(n), WORDS[n]]))
    return style(text, set(), rng), ", ".join(str(i) for i in range(1, n + 1)) + "."
