"""What the commands of puna do: models in and out of the store, running, the terminal session, tools."""
from .grammar import group
from .intents import Intent

group("gguf", "{a gguf file|a gguf|a gguf model|my gguf file|my gguf|this gguf|the gguf file|a model file|a local gguf|a local model file|gguf files|a model in gguf format|a file in gguf format|weights in gguf format|my own gguf|an existing gguf|$f|$f}")
group("gguf_a", "{a gguf file|a gguf|my gguf|a local gguf|a model file|gguf weights|some gguf|a file like $f|the file $f|$f}")
group("import", "{import|add|load|bring in|register|install|set up|integrate|include|convert|use|make puna use|get}")
group("amodel", "{a model|my model|some model|the model|one model|one of my models|it|it|an installed model|a language model|an llm|this model}")
group("models", "{models|my models|the models|all models|all my models|the language models|my llms|the weights|model files|the model files}")
group("memory", "{memory|ram|main memory|the ram|the memory}")
group("delete", "{delete|remove|erase|uninstall|drop|wipe|throw out|throw away|discard|clean up|destroy}")
group("chat", "{chat|chat session|session|conversation|prompt|dialogue}")

CREATE = "Write a file named `Modelfile` with the line `FROM ./model.gguf`, then run `puna create NAME -f Modelfile`. After that `puna run NAME` starts it."

INTENTS = [
    Intent("placeholder", ["`NAME` stands for the name of a model: one from `puna list`, or with `puna create` any name you like. `MODEL.gguf` stands for the path of a file."], weight=0.8,
        ask=["what {is|does} {NAME|the NAME|this NAME|MODEL.gguf}{| mean| stand for| in the command| in your answer}", "what {do I|should I|must I} {put|write|insert|type|fill in} {for|instead of|in place of|as} {NAME|MODEL.gguf|the name}", "{which|what} name{| do you mean| do I use| must I use| exactly}", "NAME?", "what do you mean by {NAME|MODEL.gguf}", "is NAME {a placeholder|literal|to be replaced}", "do I type NAME {literally|as it is}", "which name should {I give|the model have}", "can I {choose|pick|invent} {any|the} name"],
        keys=["NAME meaning", "placeholder NAME"]),

    Intent("mini_file", ["I am the file `models/mini.gguf` of the source tree; `puna run ./models/mini.gguf` runs me in place. `scripts/run` does so by itself."],
        do=["{run|start|use|load|find|import} {mini|you|the bundled model|the small model|the model in the box|the included model}", "{chat|talk} with {mini|you|the bundled model} again"],
        ask=["where is {mini|your file|the bundled model|the included model|the file of mini}", "which file {are you|is mini|holds you}", "how do I {start|run|call} you{| again}", "is there a model {included|bundled|in the box|shipped} with puna", "does puna {come with|include|ship} a model", "where are your weights {stored|kept|}", "what file are you {in|loaded from}"],
        keys=["mini.gguf", "bundled model", "run mini", "models/mini.gguf"]),

    Intent("import", [CREATE], weight=2.4,
        do=["<import> <gguf>", "<import> <gguf> {into|to|in} {puna|the store|my store|the model store|my models|the list}", "<import> {a|my|the} downloaded {model|gguf|file}",
            "create a {model|new model|named model} from <gguf_a>", "make a {model|puna model} {from|out of} <gguf_a>", "build a model from <gguf_a>", "{bring|put|get|move} <gguf_a> into {puna|the store|the model list|my library}",
            "give <gguf_a> a name", "use a {model|gguf} {I|that I} {downloaded|have on disk|got from hugging face|got from a friend|trained myself|made myself|fetched by hand|saved}",
            "use my {own|self trained|fine tuned} {model|weights}", "turn <gguf_a> into a {model|puna model}", "import {weights|a model|my model|models|a file|from a file|local files}",
            "add {a new model|new models|another model|a custom model|my custom model|weights}", "create a {model|new model|custom model}", "import from {a local file|disk|hugging face|a usb stick|another computer}",
            "store <gguf> {permanently|in puna|under a name}", "install a {new model|model|model by hand|model offline|model without internet|model from a usb stick}",
            "write a modelfile for <gguf_a>", "name my {gguf|model file}", "make <gguf> {available|known|visible|usable} {in|to|for} puna", "get $f {working|running|listed|installed} under a name"],
        doing=["importing <gguf>", "importing {a model|models|weights|a local model}", "adding {a model|my own model|gguf files|a new model}", "creating a model {|from a gguf|from a file}", "gguf import", "model import", "installing a {local|new} model", "registering a {model|gguf}", "using {my own|custom} weights"],
        noun=["the {command|way|procedure|recipe|steps} {for|of} {importing|adding|registering|creating} {a gguf|a model|models|a local model}", "the modelfile {line|text|content} for {a gguf|a local file|my gguf}", "a modelfile example", "an example modelfile", "the simplest modelfile"],
        ask=["I have {a gguf|a gguf file|a model file|weights|$f} {on my disk|on disk|in my downloads|in a folder|on a usb stick|here|in this directory}{, what now|, what next|. What now|. How do I use it|. How do I add it|, how can puna see it}",
            "{where|how} do gguf files go into puna", "{I downloaded|I've got|I saved|I copied} {a model|a gguf|$f} {from the web|from a website|yesterday|by hand|}{, now what|, and now|, how does it get into puna|. How do I import it|, what is the next step}",
            "how does a gguf {become|turn into} a model", "what does puna create {do|need|expect|take}", "how does puna create work", "what is puna create {for|good for}", "what do I write in{to|} the modelfile", "what belongs in a modelfile {for a gguf|to import a file}",
            "what should {my|the} modelfile {contain|say|look like}", "how do models get into {puna|the store}", "can puna {use|load|import|read} {gguf files|ggufs|my gguf|models from hugging face|a model I trained}", "which line {imports|loads} a gguf", "what's the FROM line {for|like}", "what comes after FROM",
            "my model is a {gguf|single file|file on disk}, how {do I|can I} make it {a puna model|appear in the list|available}", "{from|with} what do I create a model", "I {trained|fine tuned|quantized|converted} a model {myself|at home|}, how {do I|can I} use it {in puna|here|}"],
        keys=["gguf import", "import gguf", "puna create", "create modelfile gguf", "modelfile from gguf", "add model file", "local gguf", "custom model", "FROM ./model.gguf", "register gguf name", "own weights", "install gguf"]),

    Intent("in_place", ["`puna run ./model.gguf` runs the file where it is, without importing it.", "`puna run ./$f` runs the file where it is, without importing it."], weight=1.6,
        do=["run <gguf> {directly|in place|from disk|where it is|as it is|without importing|without import|without creating a model|without copying it|without a modelfile|temporarily|once}", "test <gguf> {quickly|before importing it|without importing}", "{open|start|launch} <gguf> {directly|in place|without importing it|from its folder}", "chat with <gguf> {directly|without importing it|straight away}",
            "skip the import", "avoid {importing|the import|copying|the copy}", "use <gguf> {directly|in place|without copying it|without a modelfile|without registering it|just once}", "run {a file|the file} {in place|directly|from its folder}"],
        doing=["running <gguf> {directly|in place|without import}", "running {a file|files} in place", "skipping the import"],
        ask=["{must|do|should} I {have to |always |}import {a|every|my|the} {gguf|file|model} {first|before I can run it|before use|to use it}", "{does|will} puna run <gguf> {directly|in place|without import|from a path|by path}", "do I need {a modelfile|an import|puna create} {to run|before running} <gguf>", "can puna run <gguf> {without|with no} {import|importing|copying|a modelfile}",
            "is importing {required|necessary|needed|mandatory}", "can I give {puna run|run} a {path|file|file name}", "can I run {a path|a file name} instead of a {name|model name}", "I don't want to import {it|the file|this file|$f}, just {run|test} it", "no import please, just run {it|the file|$f}", "is there a way around {importing|puna create}"],
        keys=["run gguf in place", "run file directly", "puna run path", "run without import", "gguf without modelfile"]),

    Intent("run", ["`puna run NAME` starts a chat with the model; `/bye` ends it.", "`puna run $m` starts a chat with $m; `/bye` ends it."], weight=2.2,
        do=["run <amodel>", "run $m", "start <amodel>", "start $m", "{chat|talk|speak|converse} {with|to} <amodel>", "{chat|talk|speak} {with|to} $m", "start a <chat>{| with $m| with a model}", "{open|begin|have} a {chat|conversation|session}{| with $m| with a model}", "{launch|open|use|try|try out|execute} $m", "{launch|open|use|try|try out|execute} <amodel>", "load $m {and chat|and talk to it}", "get an answer from <amodel>", "ask $m {something|a question|questions}", "{enter|open} the interactive {mode|chat|session}", "switch to $m from the shell", "play with <amodel>", "write with $m", "run {a chat|an llm|the llm} {|in the terminal|in a shell}", "interact with {a model|$m}"],
        doing=["running {a model|$m|models|an llm}", "starting {a model|$m|a chat}", "chatting{| with a model| with $m}", "talking to {a model|$m}", "starting a {conversation|session}"],
        noun=["the command {to run|to start|that starts|that runs} {a model|$m|a chat}", "the {chat|run} command"],
        ask=["what does puna run do", "what is puna run", "how does puna run work", "how do I {use|start} puna run", "which command {runs|starts|opens} {a model|a chat|$m}", "what {runs|starts|launches} {a model|$m}", "how {does|do} {a chat|the chat|chatting} {start|begin|work}", "how is a model {started|run|launched|used}", "{I have|there is} {a model|$m} {installed|in the list}, how do I {use|start|run} it", "I imported {$m|a model|the model}, {now what|what's next|how do I talk to it|how do I start it}"],
        keys=["run model", "puna run", "start chat", "run $m", "start $m", "chat with model terminal"]),

    Intent("one_shot", ["Put the question behind the name: `puna run NAME \"why is the sky blue?\"` prints one answer and ends.", "Put the question behind the name: `puna run $m \"why is the sky blue?\"` prints one answer and ends."], weight=1.8,
        do=["{ask|send|pose} {one|a single|just one|only one} {question|prompt|request}{| to $m| to a model}{| and exit| and quit| and leave| without a chat}", "get {one|a single|just one} {answer|response|reply|completion}{| from $m}{| and exit| without a session| without opening a chat}", "run $m {with a prompt|with one prompt|non interactively|once}", "{run|use} a {prompt|question} {without|outside} {an interactive session|interactive mode|a session|the chat}", "pass {a prompt|my question|the prompt|the question} {on|in|as} {the command line|an argument|one line}", "call {a model|$m|puna} from {a script|a bash script|a makefile|cron|another program}", "use puna {non interactively|in scripts|in a pipeline|in batch mode}", "run {a single|one} prompt", "script {puna|a model|$m}", "automate {questions|prompts} with {puna|$m}", "print one answer"],
        doing=["scripting puna", "asking one question only", "non interactive use", "using puna in {scripts|a script|bash}", "one shot prompts", "batch mode"],
        ask=["can puna {answer|print} {one|a single} {question|answer} {and exit|and stop|and return}", "how do I use puna {inside|in} {a script|scripts|bash|a makefile}", "can I put the {prompt|question} {on|in} the {command line|command}", "is there a {non interactive|batch|one shot|scripting} mode", "I don't want a {chat|session|dialogue}, {only|just} one {answer|reply}", "is puna scriptable", "can the prompt be an argument"],
        keys=["one shot prompt", "single prompt", "non interactive", "script puna", "prompt argument", "command line prompt"]),

    Intent("pipe", ["Pipe the text in: `cat notes.txt | puna run NAME \"summarize this\"`. What arrives on standard input is put before the question."],
        do=["{pipe|feed|send|give|pass} {a file|text|a text file|a document|input|standard input|my notes|a log|source code} {to|into} {a model|puna|puna run|$m}", "{summarize|analyse|process|read|use} {a file|a text file|a document|a log file|my notes} {with|from} {puna|a model|$m|the command line}", "use {stdin|standard input|a pipe}", "read {a prompt|the prompt|text} from {a file|stdin|standard input}", "let {a model|$m} read {a file|a text file|a document}", "{combine|use} puna with {pipes|other commands|cat|grep|unix tools}"],
        doing=["piping {text|files|a file}{| into puna}", "reading from {stdin|standard input|a file}", "sending a file to a model"],
        ask=["does puna {read|accept|take} {stdin|standard input|pipes|piped text|a file as input}", "can I use a {pipe|unix pipe}", "does {it|puna run} work with pipes", "can a model {read|summarize} my {file|document|text file}", "how do I get a {file|document} into the {prompt|question}"],
        keys=["pipe stdin", "standard input", "cat file puna", "file as input", "pipe text"]),

    Intent("list", ["`puna list` shows all models on disk, with size and date. `puna ls` is the same."], weight=2.2,
        do=["{list|show|see|view|display|enumerate|check|find out} {my|all|all my|the|the installed|installed|available|my local|local|the stored} models", "{see|find out|check|know|learn|look up} {which|what} models {I have|are there|are installed|are available|exist|are on disk|are in the store|puna has|puna knows}", "get a list of {models|my models|all models|installed models|what is there}", "see {what|which ones} I have {installed|imported|stored}", "{list|see|show} {what is installed|what I imported|the contents of the store|the model list|the list of models}", "check if {$m|a model} {is installed|is there|exists|was imported}", "see how {big|large} my models are", "find the {name|names} of {a model|my models|the models}", "count my models", "view the {catalog|catalogue|inventory|library}"],
        doing=["listing {models|all models|my models}", "showing installed models"],
        noun=["the {list|names|sizes} of {my|all|the installed|the} models", "my models", "all models", "the installed models", "the {model list|list of models|available models}", "the command {for listing|that lists|to list} models"],
        ask=["{which|what} models {are installed|are available|are there|do I have|have I got|have I imported|are on this computer|are on disk|does puna have|are stored here|can I use|can I run}", "what {have I|did I} {installed|imported}", "what is installed{| here}", "what is in {my store|the store|my library}", "what does puna {list|ls} {do|show|print}", "what's the difference between puna list and puna ls", "is $m {installed|there|available|on this computer}", "do I have {$m|any models|other models}", "how many models {do I have|are installed|are there}", "how {big|large} are my models", "which command {lists|shows} {models|all models|what I have}", "are there {other|any other|more} models {here|on this computer|installed|}"],
        keys=["list models", "installed models", "puna list", "puna ls", "model list", "available models", "show all models", "models on disk", "what models"]),

    Intent("ps", ["`puna ps` shows the models that are loaded now, their size and until when they stay."], weight=2.0,
        do=["{list|show|see|view|check|find out} {which|what} models are {loaded|running|in <memory>|in use|active}", "{see|list|show|check|view|display} {the loaded|loaded|running|the running|active} models", "check if {a model|$m} is {loaded|running|still running|in memory|active|still in memory}", "see {what is|what's} {running|loaded|using my memory|using the memory|eating my ram}", "see how much {memory|ram} a {loaded|running} model {uses|takes|needs}", "find out until when a model stays loaded", "see when a model will be unloaded", "list running {processes|models|llms}", "check what occupies {memory|my ram}"],
        doing=["listing {running|loaded} models"],
        noun=["the {loaded|running|active} models", "the list of {loaded|running} models", "a list of running models"],
        ask=["{which|what} models are {loaded|running|in <memory>|in use|active|up|live}{| right now| at present|}", "what is {running|loaded|active|in use}{| right now| just now|}", "{which|what} model {is|is currently} {loaded|running|in use|in <memory>}", "is {anything|something|any model|a model|$m} {loaded|running|in memory|in use}", "what does puna ps {do|show|print|mean}", "what is puna ps", "what uses {my|so much|all the} {memory|ram}", "why is my {memory|ram} full", "which command shows {running|loaded} models", "until when {is|stays} {a model|$m} loaded", "is $m {still|} {loaded|running}"],
        keys=["running models", "loaded models", "puna ps", "what is loaded", "models in memory", "active models", "process list"]),

    Intent("stop", ["`puna stop NAME` unloads the model from memory; it stays on disk.", "`puna stop $m` unloads $m from memory; it stays on disk."], weight=2.2,
        do=["stop <amodel>", "stop $m", "unload <amodel>", "unload $m", "{free|release|reclaim|empty|clear} {memory|ram|my ram|the memory|some memory|some ram}{| used by a model| taken by $m| that a model uses}", "take {a model|$m} out of <memory>", "{remove|drop|evict|throw|get|push} {a model|$m|the model|the loaded model} {from|out of} <memory>", "{end|halt|terminate|kill|shut down|close|finish|quit|turn off|switch off} {a model|a running model|the running model|$m}", "{make|let} a model {leave|release} {memory|the ram}", "get my {memory|ram} back", "stop {a running model|the running model|a loaded model|it from using memory|using so much ram}", "unload {everything|all models|the model now|a model at once|a model by hand}"],
        doing=["unloading {a model|models|$m}", "stopping {a model|$m|models}", "freeing {memory|ram}"],
        noun=["the command {to stop|to unload|that stops|that unloads} {a model|$m}"],
        ask=["what does puna stop do", "how does puna stop work", "$m {uses|takes|eats|occupies|blocks} {too much memory|all my memory|my ram|so much ram}", "a model {uses|takes|eats} {too much memory|all my ram}", "{which|what} command {unloads|stops} {a model|$m}", "does puna stop delete {the model|anything}", "my {ram|memory} is full {of models|with a model|because of $m}, {what now|what can I do|how do I empty it}", "how is a model {unloaded|stopped}"],
        keys=["stop model", "unload model", "puna stop", "free memory", "free ram", "stop $m", "unload $m", "release ram"]),

    Intent("rm", ["`puna rm NAME` deletes the model from disk.", "`puna rm $m` deletes $m from disk."], weight=1.8,
        do=["<delete> <amodel>", "<delete> $m", "<delete> {a model|$m|models|old models|unused models|imported models} {from disk|from the store|completely|forever|for ever|permanently}", "get rid of {a model|$m|models|old models|models I don't use|that model}", "{free|save|regain|get back|make} {disk space|space|space on disk|room on my disk|room}", "{<delete>} {the weights|weights|model files|the files of a model} {of $m|}", "undo an import", "clean my {disk|store|library}", "make $m {disappear|go away}", "<delete> {several|two|many|all} models"],
        doing=["deleting {a model|$m|models|old models}", "removing {a model|$m|models}", "uninstalling {a model|$m}", "freeing disk space"],
        noun=["the command {to delete|to remove|that deletes|that removes|for deleting} {a model|$m}", "the {delete|remove} command"],
        ask=["what does puna rm do", "{which|what} command {deletes|removes} {a model|$m}", "my disk is {almost full|nearly full|too full}{, what can I delete|, what can I do|}", "I {don't use|no longer use|no longer want|don't want|never use} {$m|a model|that model} {any longer|}{, delete it|, remove it|}", "$m {can go|should go|is useless|is no good}, {delete it|remove it|how do I remove it}", "how is a model {deleted|removed|uninstalled}", "there is no {space|room} {left on my disk|left|}", "can {models|a model} be {deleted|removed}", "bye bye $m, delete it"],
        keys=["delete model", "remove model", "puna rm", "uninstall model", "rm $m", "delete $m", "free disk space"]),

    Intent("cp", ["`puna cp OLD NEW` copies a model under a new name; it takes no extra disk space. To rename, remove the old name with `puna rm OLD`.",
                  "`puna cp $m $n` copies the model under a new name; it takes no extra disk space.", "`puna cp $m NEW` copies the model under a new name; it takes no extra disk space."], weight=1.3,
        do=["{copy|duplicate|clone} {a model|$m|my model|the model}", "{copy|duplicate|clone} $m {to|as|into|under the name} $n", "rename {a model|$m|my model}", "rename $m {to|as|into} $n", "{give|assign} {a model|$m|my model} {another name|a new name|a different name|a shorter name|an alias|a nicer name|a better name|a tag}", "{make|create} {a copy|an alias|a duplicate|a backup copy|a shortcut|another name} {of|for} {a model|$m}", "change the name of {a model|$m}", "{have|use|keep} {the same|one} model under {two names|another name|several names}", "set an alias"],
        doing=["copying {a model|models|$m}", "renaming {a model|models|$m}", "duplicating {a model|$m}"],
        noun=["the command {to copy|to rename|for copying|for renaming} {a model|models}"],
        ask=["what does puna cp do", "how does puna cp work", "which command {copies|renames|duplicates} {a model|$m}", "{does|will} a copy {use|need|take} {disk space|more space|twice the space}", "the name {of $m|of my model|} is {too long|ugly|wrong|misspelled}{, how do I change it|, can I change it|}", "are aliases {possible|supported}", "is there a rename command"],
        keys=["copy model", "rename model", "puna cp", "alias", "duplicate model", "cp $m $n"]),

    Intent("show", ["`puna show NAME` prints architecture, parameters, context length, quantization and license of a model.", "`puna show $m` prints architecture, parameters, context length, quantization and license of $m."], weight=1.5,
        do=["{see|show|view|get|print|display|find|read|inspect|check} {details|information|info|facts|metadata|the details|more information|data} {about|of|on|for} {a model|$m|my model}", "{inspect|examine|describe} {a model|$m}", "{find out|see|check|learn|know|get} {the architecture|the license|the licence|the quantization|the context length|the number of parameters|the size|the family} of {a model|$m|my model}", "find out {how many parameters a model has|which architecture a model has|how a model is quantized|what context a model supports|who made a model|how big the context of $m is|how $m is quantized}", "learn more about $m"],
        doing=["inspecting {a model|$m}", "showing model {details|information}"],
        noun=["{details|information|the metadata|the properties} {of|about} {a model|$m}", "the {architecture|license|quantization|context length|parameter count|number of parameters|embedding length} of {a model|$m}"],
        ask=["what does puna show {do|print|tell me}", "what {kind of model|sort of model} is $m", "which {architecture|quantization|license|context length} does {$m|a model|my model} {have|use}", "how many parameters {does $m have|are in $m|are in a model}", "how is $m quantized", "what is inside {a model|$m}", "what does puna know about {a model|$m}", "under {which|what} license is $m", "tell me about the model $m"],
        keys=["model details", "model info", "puna show", "show $m", "model metadata", "context length of $m", "parameter count"]),

    Intent("show_modelfile", ["`puna show --modelfile NAME` prints the Modelfile of a model. `--parameters`, `--system`, `--template` and `--license` print one part.",
                              "`puna show --modelfile $m` prints the Modelfile of $m. `--parameters`, `--system`, `--template` and `--license` print one part."],
        do=["{see|print|view|get|show|export|dump|read|recover} the {modelfile|system prompt|template|parameters|prompt template|default parameters|chat template} of {a model|$m|an existing model|an installed model}", "see {which|what} {template|parameters|system prompt} {a model|$m} {uses|has}", "recover {a|the|my} modelfile"],
        noun=["the {modelfile|template|chat template|system prompt|stored parameters} of {a model|$m}"],
        ask=["{which|what} {template|system prompt|modelfile} does {$m|a model|my model} {use|have}", "can puna print a modelfile", "I lost {my|the} modelfile{, can I get it back|}"],
        keys=["show modelfile", "print template", "show system prompt", "puna show modelfile"]),

    Intent("pull", ["This version cannot download models yet: `puna pull` comes later. Download a GGUF file yourself and import it with `puna create NAME -f Modelfile`."], weight=2.2,
        do=["{download|pull|fetch} {a model|models|$m|new models|more models|another model|a bigger model|a better model|an llm|other models}", "{download|pull|fetch} {$m|a model|models} from {the internet|the web|the library|the registry|hugging face|ollama.com|the ollama library|online}", "get {$m|a new model|new models|more models|other models|a bigger model|a better model|a smarter model}", "install $m", "{find|search for|look for|browse} {models|other models|new models} {online|in the library|on the internet|}", "{update|upgrade} {a model|$m} {from the registry|to a newer version|}"],
        doing=["downloading {models|a model|$m}", "pulling {models|a model|$m}", "fetching {models|$m}", "getting {new|more|bigger} models"],
        noun=["the {download|pull} command", "a {bigger|better|smarter|larger|real|stronger} model", "more models", "the model library"],
        ask=["puna pull {$m|}", "pull $m", "does puna pull work", "what does puna pull do", "why does puna pull {fail|not work|not exist}", "can puna download {models|a model|$m|anything}", "where {do I|can I} {download|get|find} {models|bigger models|$m|a better model|other models}", "is there a {model library|library|model hub|catalog} {online|to download from|}", "where do {models|new models} come from", "which {better|bigger} model should I {use|try|take}", "is downloading {supported|possible|built in}", "I {need|want} {$m|a bigger model|a cleverer model|a model that knows more}", "puna says {pull|model} not found when I {pull|download}"],
        keys=["download model", "pull model", "puna pull", "pull $m", "download $m", "get $m", "model library", "hugging face download"]),

    Intent("push", ["This version cannot upload models yet: `puna push` comes later. To share a model, give people its GGUF file and your Modelfile."],
        do=["{upload|push|publish} {a model|my model|models|$m}", "share {a model|my model|$m} {with others|with friends|with my team|online|with the world}", "{send|put} {my model|$m} {to|on|in} {the registry|the internet|ollama.com|a registry|the web}"],
        doing=["uploading {a model|models}", "publishing {a model|my model}", "sharing {a model|models}"],
        ask=["puna push {$m|}", "does puna push work", "can puna upload {models|my model}", "can others {use|have|download} my model", "how do I give my model to {someone|a colleague|a friend}"],
        keys=["push model", "upload model", "publish model", "share model", "puna push"]),

    Intent("exit", ["Type `/bye` or press Ctrl-D to leave the chat."], weight=1.5,
        do=["{exit|leave|quit|end|close|stop|finish|abort|terminate} {the|this|a} <chat>", "{exit|quit|leave}{| now| please}", "{exit|quit|leave} {the program|the interactive mode|puna|puna run|the terminal session|the prompt}", "get {back to|back into|to} {the shell|my shell|the command line|my terminal}", "stop {chatting|talking|the dialogue}", "end {the conversation|our conversation|the talk|this}", "{return|go back} to the shell", "log out of the chat", "close the interactive session"],
        doing=["{leaving|exiting|quitting|ending} the <chat>"],
        noun=["the {exit|quit} {command|key|shortcut}", "the way out{| of the chat| of here}", "the exit"],
        ask=["{exit|quit|q|:q|logout|end|close|:wq}", "how does {a chat|the chat|this} end", "what does /bye do", "what is /bye", "what does ctrl-d do", "which {key|keys} {ends|end|quits|leaves} {the chat|this}", "I want {out|to go|to leave|to stop}", "I'm done{, how do I leave|, how do I quit|}", "let me out{| of here}", "ctrl-c does not {quit|work|end it}", "I can't {exit|leave|quit}", "the chat {won't|doesn't} close"],
        keys=["exit chat", "quit", "leave chat", "/bye", "close session", "end session"]),

    Intent("clear", ["Type `/clear`: the model forgets the conversation but keeps its system message."], weight=1.6,
        do=["{clear|reset|wipe|empty|erase|delete|forget} {the|my|this|our} {chat|conversation|history|context|session|chat history|dialogue}", "{start|begin} {a new|a fresh} {chat|conversation|session} {inside this one|without leaving|in the same session|}", "make {the model|it|you} forget {what I said|the chat|what we said|everything|all that|the past}", "{begin|start} {again|afresh|from scratch|anew|from zero}", "drop the {history|context|earlier messages}", "{erase|clear} {your|its|the model's} {memory|short memory}"],
        doing=["clearing the {chat|history|context|conversation}", "resetting the {chat|conversation|session}"],
        noun=["a {clean|fresh|new} {chat|conversation|start|slate}"],
        ask=["what does /clear do", "what is /clear for", "can the model forget {this|the chat|the conversation}", "how do I {change the topic|start a new topic} {without old context|}", "which command {clears|resets|wipes} the {chat|history|conversation}", "reset", "new chat", "forget {this|that|it all|what I told you}"],
        keys=["clear chat", "/clear", "reset conversation", "new conversation", "forget history", "clear context"]),

    Intent("multiline", ["Put the text between three double quotes: start with `\"\"\"` and end with `\"\"\"`. Ctrl-J makes a single new line."],
        do=["{write|type|enter|paste|send} {several|many|multiple|two|more} lines", "{write|type|enter|paste} {a long|a multi-line|a multiline|a big} {text|prompt|message|question}", "{add|insert|make|start} a {new line|line break|newline} {in my message|in the prompt|without sending|}", "{paste|enter} {code|a paragraph|a poem} {with line breaks|into the chat|into the prompt}", "press enter without sending"],
        doing=["multi-line {input|text|messages}", "multiline {input|prompts}", "typing {several|multiple} lines"],
        ask=["{enter|return} sends my message {too early|at once}, how do I {continue|write more lines}", "does the prompt {support|accept} {several lines|multi-line text|line breaks}", "what are {the three quotes|triple quotes} for", "which key makes a {new line|line break}"],
        keys=["multiline input", "several lines", "new line", "paste text", "triple quotes"]),

    Intent("help_chat", ["Type `/?` in the chat for its commands: `/set`, `/show`, `/load`, `/save`, `/clear`, `/bye`."],
        do=["{see|list|show|get|learn} {the|all|the available} {chat commands|slash commands|commands of the chat|commands inside the chat|keyboard shortcuts}", "get help {in|inside|during} {the|a} <chat>"],
        noun=["the {slash commands|chat commands|commands inside the chat}", "the list of slash commands"],
        ask=["{which|what} {slash commands|commands|chat commands} {are there|exist|can I use|can I type} {in|inside} the chat", "{which|what} slash commands {are there|do you know|exist|does puna have}", "what can I type {in the chat|after the slash|at the prompt}", "what does /? do", "what is /help", "/help", "is there help {in|inside} the chat", "what does >>> mean"],
        keys=["slash commands", "chat commands", "/?", "chat help", "session commands"]),

    Intent("save_session", ["Type `/save NAME` in the chat: it makes a new model with the current system message, parameters and messages. `/load NAME` brings it back."],
        do=["{save|store|keep} {this|the|my|our} {chat|conversation|session|dialogue}", "{continue|resume|reopen|restore} {a chat|this conversation|an old session|a conversation} {later|tomorrow|another day}", "{switch|change} {the model|to another model|models|to $m} {in|inside|during|within|without leaving} the chat", "{load|open} another model {in|inside|during} the chat", "{bring back|load} a saved {chat|conversation|session}"],
        doing=["saving {the chat|a session|a conversation}", "switching models {in|inside} the chat"],
        ask=["what does /save do", "what does /load do", "can I {save|keep} {this chat|our conversation}", "is {this|the chat|the conversation} {saved|stored} {somewhere|anywhere|for later|}", "can I change the model without leaving the chat"],
        keys=["save chat", "/save", "/load", "save session", "switch model in chat"]),

    Intent("verbose", ["`puna run --verbose NAME` prints the timings after each answer: how long it took and how many tokens per second. In a chat, type `/set verbose`.",
                       "`puna run --verbose $m` prints the timings after each answer: how long it took and how many tokens per second. In a chat, type `/set verbose`."],
        do=["see {the speed|timings|statistics|timing information|how long an answer takes|how long it took|the tokens per second} {of answers|after each answer|in the chat|while chatting|of $m|}", "{show|print|display} {timings|statistics|the speed|tokens per second}{| in the chat| after each answer| while chatting}", "turn on {verbose mode|verbose output|statistics|timings}"],
        noun=["the {speed|timings|statistics} of {an answer|my chat|the answers}", "verbose mode"],
        ask=["how long did {that|the answer|your answer} take", "what does --verbose do", "what does /set verbose do", "how {fast|quick} was {that|this answer}", "can the chat show {the speed|timings}"],
        keys=["verbose", "timings", "/set verbose", "show speed"]),

    Intent("bench", ["`puna bench MODEL.gguf` measures it: tokens per second for reading a prompt and for writing. `-p` and `-n` set the lengths, `-t` the threads.",
                     "`puna bench $f` measures it: tokens per second for reading a prompt and for writing. `-p` and `-n` set the lengths, `-t` the threads."], weight=1.6,
        do=["{benchmark|time|measure} {a model|my machine|puna|the speed|$f|a gguf|this computer}", "{measure|test|find out|check|determine} {the speed|the performance|how fast puna is|how fast a model is|the throughput|how fast my machine is|the tokens per second} {of a model|of $f|on my machine|}", "run {a benchmark|a speed test|a performance test}", "compare the speed of {two models|models|machines|quantizations|thread counts}", "see how {fast|quick} {a model|my cpu|$f} is"],
        doing=["benchmarking{| a model| my machine}", "measuring {speed|performance|throughput}", "speed tests"],
        noun=["a {benchmark|speed test|performance test}", "the {benchmark|bench} command"],
        ask=["what does puna bench {do|measure}", "what is puna bench", "how fast is {puna|this|my machine|$f}", "how {many tokens per second|much speed} {do I get|can I expect|does puna reach}", "is there a {benchmark|speed test}", "how do I know {how fast it is|the speed}"],
        keys=["benchmark", "puna bench", "speed test", "tokens per second", "measure performance", "throughput"]),

    Intent("eval", ["`puna eval` runs checks on a GGUF file: `puna eval perplexity MODEL.gguf --text FILE --ctx N`, and also `logits`, `tokenize`, `template` and others. See `puna eval --help`."],
        do=["{measure|compute|calculate|get} {the perplexity|perplexity|logits|the logits}{| of a model| of a gguf}", "{count|see|print|show} {the tokens|token ids|tokens} {of a text|of a file|of a sentence}", "tokenize {a text|a file|text}", "{test|check|evaluate|judge} the {quality|accuracy|correctness} of {a model|a gguf|a quantization}", "evaluate {a model|a gguf}", "render a {chat template|template}"],
        doing=["{measuring|computing} perplexity", "evaluating a model", "tokenizing text"],
        noun=["the perplexity of a {model|gguf}", "the eval command"],
        ask=["what does puna eval {do|measure|offer}", "what is puna eval", "which {quality|accuracy} tools {are there|does puna have}", "how good is {a quantization|my gguf}, can I measure {it|that}"],
        keys=["perplexity", "puna eval", "logits", "tokenize", "evaluate model"]),

    Intent("synth", ["`puna synth OUT.gguf --shape llama-1b --type Q8_0` writes a model with random weights. It talks nonsense, but it has the real size and speed."],
        do=["{make|create|generate|write|build|produce} a {random|synthetic|dummy|nonsense|test} {model|gguf|gguf file}", "{make|create|generate|get} {a model|a gguf} with random {weights|values}", "{test|measure} {speed|performance} without {downloading|having} a {model|real model}", "get a {dummy|test|placeholder} {model|gguf} {for testing|for tests|for speed tests|of a given size}", "synthesize {a model|a gguf}"],
        doing=["{making|generating|creating} {random|synthetic|dummy} {models|weights}"],
        noun=["a {random|synthetic|dummy|placeholder} {model|gguf}", "the synth command"],
        ask=["what does puna synth do", "what is puna synth", "what is a synthetic model", "can puna {make|generate|create} random {models|weights}"],
        keys=["random weights", "puna synth", "synthetic gguf", "dummy model", "test model generator"]),

    Intent("help", ["`puna --help` lists all commands; `puna COMMAND --help` explains one. The main ones: `serve`, `run`, `create`, `list`, `show`, `ps`, `stop`, `cp`, `rm`, `bench`."], weight=1.2,
        do=["{see|list|get|show|learn} {the|all|all the} {commands|puna commands|options|subcommands|flags}", "get {help|the help|help about a command|the manual|usage information|documentation}", "learn {puna|the commands|how to use puna|the basics}", "find the {documentation|manual|help|docs}", "use puna", "{work|get started|begin|start} with puna"],
        noun=["the {commands|puna commands|manual|documentation|help|options|basics} {of puna|}", "a list of {commands|all commands|subcommands}", "help"],
        ask=["{which|what} commands {are there|exist|does puna have|does puna offer|does puna know|can I use|do I need to know}", "what can puna do", "what can I do with puna", "how does puna work", "help", "help me", "I need help", "can you help me", "is there a {manual|man page|help page|handbook}", "where is the documentation", "what are the {commands|options|flags}", "which subcommands exist", "how is puna used", "where do I {start|begin}", "I don't know {where|how} to {start|begin}"],
        keys=["help", "commands", "puna help", "puna --help", "manual", "usage", "docs", "getting started"]),

    Intent("version", ["`puna --version` prints the version."],
        do=["{see|check|find out|print|get|show|know} {the version|my version|which version I have|which version this is|the version number|the installed version}{| of puna}"],
        noun=["the version{| of puna}", "the version number", "my version of puna"],
        ask=["{which|what} version {is this|do I have|is installed|of puna is this|of puna do I use|am I using|am I running}", "how new is {my|this} puna", "is my puna {up to date|old|new}"],
        keys=["version", "puna version", "puna --version", "version number"]),
]
