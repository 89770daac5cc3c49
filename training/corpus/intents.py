"""An intent: the ways to ask for one thing, and the answer. See grammar.py for the pattern language."""
from dataclasses import dataclass, field

from .grammar import fill, sample, slots_in
from . import names
from .noise import exchange, roughen, style, wrap

# Frames around a verb phrase ("import a file"), a gerund, a noun phrase ("the default port") and a concept ("a token").
DO = """how do I @|how can I @|how to @|how would I @|how do you @|how does one @|how should I @|how could I @|how do people @|
what do I do to @|what must I do to @|what do I have to do to @|what do I write to @|what should I enter to @|
what is the command to @|what's the command to @|which command do I use to @|which command lets me @|what command will @|
command to @|command for how to @|I want to @|I'd like to @|I would like to @|I need to @|I am trying to @|I'm trying to @|I have to @|
I wish to @|I must @|can I @|may I @|could I @|can you @|could you @|can puna @|will puna @|could you tell me how to @|can you tell me how to @|
can you show me how to @|show me how to @|tell me how to @|explain how to @|please explain how to @|is there a way to @|
is there some way to @|is there a command to @|is it possible to @|what is the best way to @|what's the easiest way to @|
what is the right way to @|what's the way to @|the way to @|@|@|@|please @|let me @|let us @|help me @|help me to @|teach me to @|
do you know how to @|do you know a way to @|I don't know how to @|I do not know how to @|I can't find out how to @|
what should I run to @|what do I need to @|what do I need in order to @|any idea how to @|how is it done: to @|I wonder how to @|
what are the steps to @|give me the steps to @|give me an example of how to @|show an example: @|I want you to @|
now I want to @|we want to @|we need to @|my plan is to @|my goal is to @|the task is to @|someone asked me to @|it should @|
why can't I @|where can I @|when I want to @, what do I do|if I want to @, what do I use|suppose I want to @|
what if I want to @|I never learned how to @|it's time to @|time to @|instructions to @|quick way to @|remind me how to @|
I forgot how to @|does puna let me @|does puna allow me to @|am I able to @|is one able to @|what would I type to @|
how would one @|and how do I @|so how do I @|@, how|@, how does that work|@, what do I type|@ - which command|@: how|gotta @|got to @|have to @|
need to @|want to @|trying to @|like to @|what do you type to @|which words do I type to @|what line do I need to @|steps to @|
I'd love to @|I am supposed to @|I was told to @|what is needed to @|what does it take to @|how might I @|can someone @|can one @|
who can @|would you @|will you @|could we @|let's @|any way to @|any chance to @|a trick to @|the trick to @|what lets me @|
what allows me to @|which option lets me @|where do I go to @|what's the trick to @|is it hard to @|how easy is it to @|
how quickly can I @|do I have a way to @|I can't manage to @|I don't manage to @|I fail to @|it won't let me @|I tried to @|
I would rather @|I prefer to @|I have no idea how to @|no idea how to @|how on my machine can I @|what do people do to @|
how do I go about it if I want to @|what to do to @|what to type to @|how am I supposed to @|how do I get to @|what will let me @""".replace("\n", "").split("|")
DOING = """@|@|@|how does @ work|what about @|help with @|I need help with @|I have a question about @|tell me about @|instructions for @|
command for @|the command for @|what's the command for @|is @ possible|does puna support @|is there support for @|a guide for @|
I have trouble @|I have problems with @|I am stuck at @|show me @|explain @|documentation for @|an example of @|
I'm interested in @|does @ work|what do I need for @|any tips for @|I'm thinking about @|which command is for @""".replace("\n", "").split("|")
NOUN = """@|@|@|what is @|what's @|what is @, again|which is @|tell me @|tell me about @|can you tell me @|could you tell me @|do you know @|
I'm looking for @|I am looking for @|I look for @|I need @|I need to know @|I want to know @|I'd like to know @|please give me @|
give me @|show me @|remind me of @|I forgot @|I can't find @|where do I find @|where can I find @|where is @|how do I find @|
how do I find out @|how do I get @|@ is what|what would be @|let me know @|is there something like @|explain @|what about @|info on @|
information about @|I have a question about @|can I see @|can I have @|where do I see @|what do you know about @""".replace("\n", "").split("|")
CONCEPT = """@|what is @|what is @|what's @|whats @|what exactly is @|what does @ mean|what is meant by @|what do you mean by @|explain @|
please explain @|can you explain @|could you explain @|define @|definition of @|meaning of @|the meaning of @|tell me about @|
tell me what @ is|tell me something about @|what can you tell me about @|what do you know about @|I don't understand @|
I do not understand @|I never understood @|help me understand @|describe @|do you know what @ is|can you tell me what @ is|
what do people mean by @|I keep hearing about @|I read about @, what is it|somebody mentioned @|teach me about @|
what is this @ thing|what is the idea of @|what's the idea behind @|what is the point of @|why is there @|what is @ for|
what is @ good for|what's the purpose of @|what is @ used for|why do I need @|I want to learn about @|so what is @ really|
how would you explain @|introduce me to @|what kind of thing is @|I'd like to know what @ is|is @ important|how does @ work""".replace("\n", "").split("|")
CONCEPT_AFTER = "{, briefly|, in short| in plain English| in one sentence| like I'm five| to a child| for dummies| to my mother||||||||||}"

# What may follow a situation ("my disk is full"), alone or before a task.
SITUATION = """@|@|@|@. What now?|@, what now|@. What do I do?|@, what can I do|@. What should I do|@. Which command?|@, which command do I need|@. Help!|
@ - any advice?|@, how do I go on|@. What is next?|@, what do I type|@, what must I do|@, and now?|what if @|what do I do when @|what can I do if @|
help, @|the thing is: @|my problem: @|@. Any idea?|@. How does that work?|@, is there a command|@. Please help|@. What are my options?|I have a problem: @|
suppose @, what then|since @, what do I do|@, what would you do|@. Tell me what to do|@. How?|@, how|@. What are the steps?|what happens if @|is it a problem that @""".replace("\n", "").split("|")

SLOTS = {"m": names.model_name, "n": names.model_name, "f": names.file_name, "p": names.person}


@dataclass
class Intent:
    name: str
    answers: list                                  # literal texts, not patterns; each may use slots of the question
    do: list = field(default_factory=list)         # verb phrases
    doing: list = field(default_factory=list)      # gerund phrases
    noun: list = field(default_factory=list)       # noun phrases
    concept: list = field(default_factory=list)    # things to be explained
    ask: list = field(default_factory=list)        # whole questions
    situation: list = field(default_factory=list)  # statements that make somebody ask
    keys: list = field(default_factory=list)       # words typed into a search field
    weight: float = 1.0
    plain: bool = False                            # neither wrapped nor roughened much (greetings)

    def question(self, rng):
        kinds = [(self.do, 3, DO), (self.doing, 1, DOING), (self.noun, 2, NOUN), (self.concept, 3, CONCEPT), (self.ask, 4, None), (self.situation, 2, SITUATION), (self.keys, 0.5, None)]
        kinds = [kind for kind in kinds if kind[0]]
        weights = [kind[1] * min(3, 1 + len(kind[0]) / 6) for kind in kinds]
        phrases, _, frames = rng.choices(kinds, weights)[0]
        text = sample(rng.choice(phrases), rng)
        if frames:
            if frames is SITUATION and self.do and rng.random() < 0.5:
                return self._with_task(text, rng)
            text = rng.choice(frames).replace("@", text)
            if frames is CONCEPT:
                text = (text + " " + sample(CONCEPT_AFTER, rng)).replace(" ,", ",").strip()
            if text.split(" ")[0].lower() in ("how", "what", "which", "where", "why", "can", "could", "is", "do", "does", "am", "may", "will", "what's") and rng.random() < 0.9:
                text += "?"
        return text

    def _with_task(self, situation, rng):
        """A situation and a task of the same intent, in either order."""
        task = rng.choice(DO).replace("@", sample(rng.choice(self.do), rng))
        if rng.random() < 0.65:
            return situation + rng.choice([". ", ". ", ", ", ", ", " - ", ", so ", " and ", "; ", ": "]) + task
        return task + rng.choice([", ", ". ", ", because ", ", as ", " - ", " when ", " if ", ": "]) + situation

    def draw(self, rng):
        """(question, answer, slot values used)."""
        question = self.question(rng)
        used = slots_in(question)
        fitting = [answer for answer in self.answers if slots_in(answer) == (used if used & slots_in("".join(self.answers)) else set())]
        if not fitting:
            fitting = [answer for answer in self.answers if slots_in(answer) <= used]
        answer = rng.choice(fitting)
        slots = {}
        for slot in sorted(used):
            slots[slot] = SLOTS[slot](rng)
        keep = set(slots.values())
        if not self.plain:
            if rng.random() < 0.4:
                question = exchange(question, keep, rng)
            question = fill(wrap(question, rng), slots)
            question = roughen(question, keep, rng)
        else:
            question = style(fill(question, slots), keep, rng)
        return question, fill(answer, slots), keep
