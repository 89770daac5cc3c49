"""The server, its API, and the settings."""
from .grammar import group
from .intents import Intent

group("server", "{the server|the puna server|puna|a server|the service|the api|the api server|the http server|the background service}")
group("start", "{start|launch|run|fire up|boot|bring up|begin|turn on|switch on|spin up|activate}")
group("lang", "{python|javascript|java|go|rust|c|php|a script|my program|my app|my application|my code|another program|a website|my web page|node|bash|curl}")

INTENTS = [
    Intent("serve", ["`puna serve` starts the server. It listens on 127.0.0.1:11434."], weight=1.8,
        do=["<start> <server>", "<start> the {puna |}{server|service|backend|api}", "have the server {running|up}", "make {puna|the server|the api} {available|reachable locally|answer requests}", "serve {models|a model|my models|requests}", "{use|offer|provide} {puna|models} over {http|an api}", "run puna {as a server|as a service|in the background|as a daemon}", "get {the server|the service|the api} {running|started|to run|up and running}"],
        doing=["starting {the server|puna|the service}", "running {the server|a server}", "serving models"],
        noun=["the command {to start|that starts|for starting} {the server|the service}", "the server command"],
        ask=["what does puna serve do", "what is puna serve", "which command {starts|launches|runs} {the server|the api|the service}", "how {is|does} the server {started|start}", "the server {is not running|is down|isn't running|is off}, how do I start it", "does the server {start|run} {by itself|automatically}", "how do I get an {api|http server}", "is there a {server|daemon|service}"],
        keys=["start server", "puna serve", "run server", "server start", "launch service", "start api"]),

    Intent("port", ["The server listens on 127.0.0.1:11434."], weight=1.6,
        noun=["the {port|address|url|default port|default address|host and port|server address|server url|port number|ip and port|base url|api address|api port}{| of the server| of puna|}", "the port puna {uses|listens on|runs on}", "the {address|url} {to connect to|of the api|for requests}"],
        ask=["{which|what} {port|address|url|host} {does|do} {puna|the server|the api|it} {use|listen on|run on|have|bind to|occupy}", "{where|on which address|at which address|at what url} {does|is} {the server|puna|the api} {listen|running|listening|reachable|available|found}", "which port {is used|is the default|is open|must I open|should my client use}", "what number is the port", "to which {address|port|url} do I {connect|send requests}", "where do I {connect to|reach} {puna|the server|the api}", "is the port the same as {ollama's|in ollama}", "how do clients find the server", "is it localhost"],
        keys=["port", "default port", "server address", "url", "11434", "localhost port", "listen address", "which port"]),

    Intent("change_port", ["Set `PUNA_HOST` before starting, for example `PUNA_HOST=127.0.0.1:8080 puna serve`. Clients read the same setting."], weight=1.5,
        do=["{change|set|configure|choose|alter|modify|select|move} the {port|address|listen address|server port|default port|host|server address|port number}{| of the server| of puna|}", "{use|run on|listen on|take|start on} {another|a different|a free|some other|my own} {port|address}", "{run|start|have} {puna|the server} on {another port|a different port|port 8080|port 8000|port 5000|port 9000|port 80|a port of my choice|another address}", "make {puna|the server} {use|listen on} {another port|port 8080|port 9999|a different address}", "avoid a port {conflict|clash|collision}", "tell {the client|puna run|puna list} where the server is", "connect {the client|puna} to {another server|a remote server|a server on another machine}", "use a server on {another|a remote} machine"],
        doing=["changing the {port|address|host}", "using {another|a different} port"],
        ask=["{can|may} the port be changed", "which {setting|variable|environment variable} {sets|changes|controls} the {port|address|host}", "what does {PUNA_HOST|OLLAMA_HOST} do", "what is {PUNA_HOST|OLLAMA_HOST} {for|}", "port 11434 is {in use|taken|busy|occupied|blocked|used by something|not free}{, what now|, what can I do|}", "address already in use", "{bind|listen} failed: address already in use", "the port is {taken|already used|in use}", "how do I run two servers", "can two servers run at the same time", "puna serve says the {port|address} is in use", "ollama is running too and uses the port"],
        keys=["change port", "another port", "PUNA_HOST", "OLLAMA_HOST", "port conflict", "address in use", "custom port"]),

    Intent("lan", ["Start it with `PUNA_HOST=0.0.0.0 puna serve`; then other machines reach it on port 11434. There is no password, so only do this in a network you trust."], weight=1.3,
        do=["{reach|access|use|contact|query|connect to} {puna|the server|my server} {from|over} {another machine|another computer|my phone|the network|other computers|my tablet|a second computer|outside|the local network|the lan|a different pc|the wifi}", "{open|expose|publish|offer|share} {puna|the server|the port|the api} {to|on|in} {the network|the lan|other machines|other computers|everyone|my team|the local network|my home network|all interfaces|the wifi|my colleagues}", "{allow|permit} {remote access|connections from other machines|remote connections|external connections|access from outside|other people to connect}", "listen on {all interfaces|all addresses|every interface|0.0.0.0|the network}", "let {others|other people|my colleagues|my phone|other devices|my family} {use|connect to|reach} {puna|my server|the server|it}", "make {puna|the server} {visible|available|accessible|reachable} {in the network|from other computers|for others|from outside|to my phone|on the lan}", "use one server for {several computers|the whole office|many machines}"],
        doing=["remote access", "network access", "using puna from {another machine|my phone|other computers}", "sharing {the server|puna} in the network"],
        ask=["why can't {my phone|another computer|other machines|my other pc|a colleague} {reach|connect to|see|use} {the server|puna}", "can {other computers|my phone|other people|a second machine} {use|reach|access} {puna|the server}", "does puna have a {password|login}", "is the server {protected|secured} by a password", "is the server open to the {internet|network|world}", "the server {works|answers} only on {this machine|localhost}{, why|}"],
        keys=["remote access", "network access", "0.0.0.0", "lan access", "other computers", "expose server", "from my phone"]),

    Intent("cannot_connect", ["The server is probably not running. Start it with `puna serve` in another terminal, then try again."],
        ask=["{could not connect|cannot connect|can't connect|failed to connect|unable to connect} {to the server|to puna|}{| error|, what does it mean|, what can I do|, why}", "connection refused{| error| on port 11434|}", "{puna run|puna list|the client|my program|curl} {says|prints|reports|gives} {connection refused|could not connect|that it can't connect|no connection|server not found}", "{nothing|no one|nobody} answers on {the port|port 11434|11434}", "why is the server {unreachable|not reachable|not answering|not responding|silent}", "the server {does not|doesn't} {answer|respond|reply}", "I get {no answer|no response|an error|a connection error} from the server", "is the server running", "how do I check {that|whether|if} the server {runs|is running|is up|works}", "puna is not {responding|answering}"],
        do=["{fix|solve|repair} {connection refused|a connection error|connection problems}"],
        keys=["connection refused", "could not connect", "server not responding", "connection error"]),

    Intent("store", ["Models are stored in `~/.ollama/models` where that folder exists, else in `~/.puna/models`. `PUNA_MODELS` chooses another place."], weight=2.0,
        noun=["the {model directory|models directory|model folder|models folder|store|model store|location of my models|location of the models|place where models are stored|storage location|store directory|path of the models|path to the models|directory with the models|blobs folder|storage place}", "where {models|my models|the models} are {stored|saved|kept}"],
        ask=["where {are|does puna keep|does puna store|does puna save|does puna put} <models>{| stored| saved| kept| located|}", "where are <models> {stored|saved|kept|located|put|placed|written|living}", "where do <models> {live|go|end up|lie|sit|reside|get saved|get stored}", "{in which|in what|which|what} {directory|folder|location|place} {are models in|contains the models|has the models|holds my models|are the models stored in|does puna use for models|stores models}", "where on {disk|my disk|my hard disk|my drive|this computer} are {they|the models|my models}", "where is {my model|$m|a model|the store|the model store|the model folder} {stored|saved|kept|located|on disk|}", "where did puna {put|store|save} {my model|$m|the file|it}", "does puna {copy|store} models {somewhere|anywhere}", "what is in {~/.puna|the puna folder|~/.puna/models}", "where are imported {models|files|ggufs} {kept|saved}", "where can I find the files of {my models|$m|a model}"],
        do=["find {my models|the models|the model files|the model folder|the store|the files of a model} on {disk|my disk|this computer|the hard drive}", "{back up|backup|make a backup of} my models"],
        keys=["model directory", "where are models stored", "model folder", "store location", "models path", "~/.puna/models", "storage location", "blobs"]),

    Intent("change_store", ["Set `PUNA_MODELS` to the folder you want, for example `PUNA_MODELS=/data/models puna serve`. `OLLAMA_MODELS` works too."], weight=1.6,
        do=["{change|set|configure|choose|alter|move|relocate} {the model directory|the model folder|the store|the models folder|where models are stored|the place of the models|the storage location|the model path}", "{store|save|keep|put|hold|have} {models|my models|the models|the weights} {somewhere else|elsewhere|on another drive|on a different drive|in another folder|in a different directory|on an external drive|on a usb drive|on my big drive|on /data|in another place|on a second disk|on a network drive|on my ssd}", "{move|relocate|shift} {my models|the models|the store|all models} {to another drive|elsewhere|to a bigger disk|to another folder|to /mnt/data|to a different partition|to my ssd}", "use {another|a different} {model folder|model directory|store|folder for models|directory for models}", "make puna {use|store models in|save models to|keep its models in} {another folder|a different directory|/data|/mnt/models|my external drive|a bigger disk}", "share {one store|a model folder|models} between {users|two users|machines}"],
        doing=["changing the {model directory|store location|model folder|storage path}", "moving {the store|my models}", "storing models {elsewhere|on another disk}"],
        ask=["which {setting|variable|environment variable} {sets|changes|controls|decides} {the model directory|where models are stored|the store|the model folder}", "what does {PUNA_MODELS|OLLAMA_MODELS} do", "what is {PUNA_MODELS|OLLAMA_MODELS}", "can models be {on|stored on} {another|an external|a different} {disk|drive}", "my {root|system|main} {disk|drive|partition} is {small|full|too small}{, can models go elsewhere|, can I put models elsewhere|}", "can the {store|model folder} be {moved|changed|elsewhere}"],
        keys=["change model directory", "PUNA_MODELS", "OLLAMA_MODELS", "move models", "models on another drive", "external drive"]),

    Intent("keep_alive", ["A model stays loaded for 5 minutes after its last use. `PUNA_KEEP_ALIVE` or `--keepalive` changes that."], weight=1.5,
        noun=["the {keep alive|keep-alive|keep alive time|default keep alive|idle time|unload time|idle timeout|timeout}{| of a model|}", "the time until a model is unloaded"],
        ask=["how long {does a model stay|do models stay|is a model kept|stays a model|does $m stay|will it stay|remains a model} {loaded|in memory|in ram|alive|resident}", "when {is|does|will} {a model|the model|$m|it} {be unloaded|unload|leave memory|unloaded|get unloaded|removed from memory|be removed from ram}", "how long until {a model|it|$m} {is unloaded|unloads|leaves memory|goes away}", "why {is|was} {my model|the model|$m|it} {unloaded|loaded again|gone from memory|loading again|reloaded}", "why does {the model|it|$m} {unload|have to load again|disappear from memory|load every time}{| after a while| after some time|}", "{which|what} {setting|variable} {controls|sets} {the keep alive|how long a model stays loaded|the unload time}", "what does {PUNA_KEEP_ALIVE|OLLAMA_KEEP_ALIVE|keep_alive|--keepalive} do", "does puna unload models {by itself|automatically}", "what happens to {a model|a loaded model} {I don't use|that nobody uses|when it is idle|after a while}", "the first answer {after a break|after lunch|in a while} is slow"],
        do=["{change|set|configure|shorten|lengthen|increase|extend} {the keep alive|how long a model stays loaded|the keep alive time|the idle time|the time a model stays in memory|the unload time}", "keep a model loaded {longer|for an hour|for 30 minutes|for a day}", "unload {a model|models} {sooner|earlier|faster|quickly after use}"],
        keys=["keep alive", "keep_alive", "PUNA_KEEP_ALIVE", "idle timeout", "unload after", "how long loaded"]),

    Intent("keep_forever", ["Set `PUNA_KEEP_ALIVE=-1`, or run with `--keepalive -1`: a negative value keeps the model loaded forever."],
        do=["keep {a model|my model|the model|$m} {loaded|in memory|in ram|alive|ready} {forever|for ever|always|all the time|permanently|until I stop it|indefinitely|all day}", "{prevent|stop} {puna|the server} from unloading {models|my model|$m}", "{turn off|disable|avoid|prevent} {unloading|the unloading of models|automatic unloading|the keep alive timeout|the idle timeout}", "have {a model|$m} {always ready|always loaded|permanently in memory}", "make {a model|$m} stay {forever|loaded always|in memory for good}"],
        doing=["keeping a model loaded forever", "disabling {unloading|the idle timeout}"],
        ask=["can {a model|$m} stay {loaded|in memory} {forever|always|for ever|indefinitely}", "the model {should|must} {never leave memory|always stay loaded|stay in memory forever}", "what does keep_alive {-1|minus one} mean", "a model that never unloads", "puna {should|must} not unload {my model|$m|models}"],
        keys=["keep alive forever", "never unload", "keepalive -1", "always loaded"]),

    Intent("set_context", ["Set `PUNA_CONTEXT_LENGTH`, for example `PUNA_CONTEXT_LENGTH=8192 puna serve`; or `PARAMETER num_ctx 8192` in a Modelfile; or `/set parameter num_ctx 8192` in a chat."], weight=1.4,
        do=["{change|set|increase|raise|enlarge|extend|configure|grow|double|reduce|lower} {the context|the context length|the context window|the context size|num_ctx|the number of context tokens|the model's memory of the chat}", "{use|have|get} {a bigger|a longer|a larger|more|a smaller} {context|context window|context length}", "make {the context|the context window|the context length} {bigger|longer|larger|smaller}", "let {a model|it|the model|$m} {remember more|read longer texts|handle longer chats|see more text|keep more of the chat}", "{use|feed|process|read} {long|very long|longer|large} {texts|documents|prompts|chats|files}"],
        doing=["{changing|setting|increasing} the context {length|size|window|}", "long {prompts|documents|chats}"],
        ask=["which {setting|parameter|variable} {sets|controls} the context {length|size|}", "what does {num_ctx|PUNA_CONTEXT_LENGTH|OLLAMA_CONTEXT_LENGTH} do", "what is num_ctx", "{the model|it|$m} forgets {what I said|the start of the chat|my first messages|earlier messages|the beginning|old messages}", "my {prompt|text|document|chat} is too long", "my {text|document|prompt} {does not fit|is cut|gets cut off|is truncated}", "context {length|window} exceeded", "the context is too {small|short}", "how {long|big} {can|may} {a prompt|the context|a chat} be"],
        keys=["context length", "num_ctx", "increase context", "context window size", "PUNA_CONTEXT_LENGTH", "longer context", "larger context"]),

    Intent("set_temperature", ["`/set parameter temperature 0.2` in a chat, or `PARAMETER temperature 0.2` in a Modelfile. Low is sober, high is lively; the default is 0.8."], weight=1.4,
        do=["{change|set|lower|raise|adjust|reduce|increase|configure} the temperature", "{change|adjust|control|reduce|increase|lower|raise} the {randomness|creativity|variety}", "make {the model|answers|the answers|it|its answers|the output|$m} {more creative|less creative|more random|more precise|more sober|more predictable|more varied|more boring|more serious|more focused|livelier|more deterministic|more imaginative}", "get {more creative|more precise|more predictable|more varied|livelier|calmer|crazier} {answers|output|text|stories|results}"],
        doing=["{changing|setting|lowering|raising} the temperature"],
        noun=["the {default temperature|temperature setting|temperature parameter|right temperature}"],
        ask=["which {parameter|setting} {makes answers more creative|controls randomness|controls creativity}", "{answers|the answers} are too {random|wild|boring|dull|creative|chaotic|similar|repetitive}", "what temperature {should I use|is good|is the default|does puna use}", "where do I set the temperature", "the model is too {creative|wild|boring|random}"],
        keys=["set temperature", "temperature parameter", "creativity", "randomness", "more creative", "change temperature"]),

    Intent("parameters", ["In a chat: `/set parameter NAME VALUE`. In a Modelfile: `PARAMETER NAME VALUE`. Over the API: the `options` object. Examples: `temperature`, `top_p`, `top_k`, `num_ctx`, `num_predict`, `seed`, `stop`."],
        do=["{set|change|configure|adjust|tune} {a parameter|parameters|model parameters|the sampling|the sampling parameters|the options|top_p|top_k|options of a model|the sampler}", "{store|save|keep} {parameters|a parameter|options} {in|with} {a model|the model|a modelfile}", "pass options {to the api|in a request|over http}"],
        doing=["setting {parameters|options|top_p|top_k}"],
        noun=["the {parameters|model parameters|sampling parameters|options} {I can set|of a model|}"],
        ask=["{which|what} {parameters|options|model options|sampling parameters} {are there|exist|can I set|can I change|does puna know}", "what does {/set parameter|PARAMETER} do", "what is {top_k|top_p}{| good for}", "how do I set {top_k|top_p|min_p|repeat_penalty}"],
        keys=["parameters", "set parameter", "top_k", "top_p", "sampling options", "PARAMETER modelfile"]),

    Intent("length", ["`num_predict` limits the length of an answer, in tokens: `/set parameter num_predict 200` in a chat, or `\"options\": {\"num_predict\": 200}` over the API."],
        do=["{limit|shorten|restrict|cut|set|control} {the length of answers|the answer length|answers|the output|the number of tokens|the length}", "get {shorter|longer} {answers|replies|output|texts}", "make {answers|the answers|the model's answers|replies} {shorter|longer}", "stop {the model|$m|it} from {writing so much|rambling|talking too long|writing forever|endless text}", "{set|limit} the maximum {number of tokens|length|output}"],
        doing=["limiting the {length|output}"],
        ask=["{answers|the answers} are too {long|short}", "the model {never stops|talks too much|writes too much|goes on forever|doesn't stop}", "the answer {stops|ends|is cut} {in the middle|too early|too soon}", "what does num_predict do", "what is max_tokens called {in puna|here|}", "which parameter limits the {answer|output|length}"],
        keys=["num_predict", "max tokens", "limit length", "shorter answers", "answer length"]),

    Intent("seed", ["Set `seed` to a fixed number, for example `/set parameter seed 42`; with temperature 0 the answer is the same every time anyway."],
        do=["{get|have|make|receive} {the same answer|repeatable answers|reproducible answers|identical output|deterministic output|the same result|reproducible results} {every time|each time|twice|always|again|}", "{set|fix|use|change} {the seed|a seed|the random seed}", "make {answers|the output|puna|a test} {reproducible|repeatable|deterministic}"],
        doing=["setting {a seed|the seed}", "reproducible {answers|results|output}"],
        ask=["why {is|are} the answer{|s} {different|not the same} {every time|each time}", "can answers be {reproduced|repeated|the same}", "what is a seed", "what does the seed do", "is the output deterministic"],
        keys=["seed", "reproducible", "deterministic", "same answer", "random seed"]),

    Intent("system", ["In a Modelfile: `SYSTEM \"You are a patient teacher.\"` In a chat: `/set system You are a patient teacher.`"], weight=1.5,
        do=["{set|change|give|write|add|define|configure|use} {a|the|my own} {system prompt|system message|system text|role|system instruction}", "{give|assign} {a model|the model|$m|it} {a role|a character|a persona|instructions|a character of its own|rules|a style|a job}", "{tell|instruct|teach|order} {a model|the model|$m} {how to behave|who it is|to be polite|to be short|to answer in a style|to be a teacher|to act as a lawyer|to be a cook|how to answer}", "make {a model|the model|$m|it} {behave like|act like|act as|play|speak like|talk like|be} {a teacher|a doctor|a lawyer|a poet|a friend|a knight|a professor|a butler|a character|someone else|a cook|a cowboy|a king|a wizard}", "change {the behaviour|the character|the tone|the style|the manners} of {a model|the model|$m}", "create a {persona|character|assistant with a role|bot with a role|custom assistant}", "put {permanent|fixed|default} instructions into a model"],
        doing=["setting {a|the} system {prompt|message}", "system prompts", "giving a model a role"],
        noun=["the system {prompt|message} {setting|line|command|}"],
        ask=["where {do I put|does|goes} the system {prompt|message} {go|}", "which {line|command} sets the system {prompt|message}", "what does {SYSTEM|/set system} do", "can {a model|the model|$m} {play a role|have a role|have another character|pretend to be somebody|answer in a certain style|be a teacher}", "{the model|$m} {should|must} {always|only|} {be polite|answer in one sentence|answer like a teacher|act as a guide|speak like a king|be friendly}"],
        keys=["system prompt", "system message", "set system", "persona", "role", "SYSTEM modelfile", "behave like"]),

    Intent("template", ["`TEMPLATE` in a Modelfile sets how messages become the prompt. If you leave it out, puna takes the chat template of the GGUF file."],
        do=["{set|change|write|use|define|override} {a|the|my own} {template|chat template|prompt template|prompt format}"],
        doing=["{setting|changing|writing} {a|the} {template|chat template}"],
        noun=["the {template line|template setting|chat template setting}"],
        ask=["what does TEMPLATE {do|mean}", "do I need {a template|to write a template}", "where does the {chat template|template} come from", "{which|what} template {is used|does puna use}", "what is a chat template", "my model answers {strangely|nonsense|garbage} after import"],
        keys=["TEMPLATE", "chat template", "prompt template", "template modelfile"]),

    Intent("stop_words", ["`PARAMETER stop \"TEXT\"` in a Modelfile, or `/set parameter stop TEXT` in a chat: the answer ends before that text."],
        do=["{set|add|use|define} {a stop word|stop words|a stop sequence|stop sequences|a stop token|stop strings}", "end {the answer|the output|generation} at {a certain word|some text|a given text}"],
        doing=["stop {words|sequences|strings}"],
        ask=["what is a stop {sequence|word}", "which parameter sets stop {words|sequences}", "does puna {have|support} stop {words|sequences}"],
        keys=["stop sequence", "stop words", "PARAMETER stop"]),

    Intent("api_chat", ["POST to `http://127.0.0.1:11434/api/chat`, for example `curl http://127.0.0.1:11434/api/chat -d '{\"model\": \"NAME\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}'`."], weight=1.6,
        do=["{chat|talk} {over|through|via|using|with} {the api|http|rest|curl}", "{call|use|query|access|contact} {the chat api|the api|the rest api|the http api|puna over http|a model over http}{| from <lang>|}", "{call|use|query|integrate|embed|access} {puna|a model|a chat model} {from|in|into|inside} <lang>", "{send|post|submit} {a message|messages|a chat|a chat request|a conversation|a request} {to the api|over http|to the server|with curl|from <lang>|to puna from <lang>}", "write a {client|chat client|program|bot|chatbot} {that uses puna|for puna|in <lang>|}", "{connect|link|hook} {my app|my program|a website|a bot|my software} {to|with} puna", "build {a chatbot|a bot|an app|a chat program|a discord bot} {with|on|on top of} puna"],
        doing=["using {the api|the chat api|puna from <lang>|the rest api}", "chat over http", "calling the api"],
        noun=["the {chat endpoint|chat api|api|rest api|http api|chat route|api documentation|chat url}", "the endpoint for {chat|chatting|messages|conversations}", "a curl example", "an {api example|example request|example of an api call}"],
        ask=["{which|what} {endpoint|route|url|path|api} {is for|does|do I use for|handles|takes} {chat|chatting|chats|conversations|messages}", "does puna have {an api|a rest api|an http api|a web api}", "what is {/api/chat|the api}", "is there {an api|a rest api|a chat endpoint|a chat route}", "can {my program|my app|a website|<lang>|another program} {use|call|talk to} puna", "how do programs talk to puna", "how do I use {/api/chat|the api}", "what does a chat request look like"],
        keys=["api chat", "/api/chat", "chat endpoint", "rest api", "http api", "curl chat", "api example", "call from python"]),

    Intent("api_generate", ["POST to `/api/generate` with `model` and `prompt`: `curl http://127.0.0.1:11434/api/generate -d '{\"model\": \"NAME\", \"prompt\": \"hello\"}'`."],
        do=["{complete|continue} {a text|text|a prompt} {over the api|via http|with the api|over http}", "{use|call} the {generate|completion} {api|endpoint|route}", "send {a plain prompt|one prompt|a single prompt} to the {api|server}", "generate text {over http|over the api|with curl}"],
        noun=["the {generate|completion|generation} {endpoint|api|route}", "the endpoint for {plain prompts|completions|generating text|text completion}"],
        ask=["what is /api/generate", "what does /api/generate do", "{which|what} {endpoint|route} {completes|generates|continues} text", "what's the difference between {chat and generate|/api/chat and /api/generate}", "how do I use /api/generate"],
        keys=["api generate", "/api/generate", "generate endpoint", "completion api"]),

    Intent("api_embed", ["POST to `/api/embed` with `model` and `input`; the answer has the vectors in `embeddings`. The model must be an embedding model."],
        do=["{get|compute|create|make|calculate|generate|request} {embeddings|an embedding|vectors|embedding vectors|text embeddings|a vector}{| for a text| of a sentence| over the api| with puna| from a text|}", "turn {text|sentences|documents|a sentence} into {vectors|numbers|embeddings}", "build {semantic search|a vector database|a rag system|a retrieval system|a search engine} with puna", "embed {text|documents|a sentence}"],
        doing=["{computing|getting|making|creating} embeddings", "semantic search", "rag"],
        noun=["the {embedding|embeddings|embed|vector} {endpoint|api|route|url}"],
        ask=["{which|what} {endpoint|route|api} {makes|gives|returns|computes} {embeddings|vectors}", "does puna {support|do|offer|make} {embeddings|vectors|embedding models}", "what is /api/embed", "what does /api/embed do", "how do I use {/api/embed|an embedding model}"],
        keys=["embeddings", "/api/embed", "embedding endpoint", "vectors", "embed api", "semantic search"]),

    Intent("api_openai", ["Yes: puna speaks OpenAI's API too. Use the base URL `http://127.0.0.1:11434/v1`; `/v1/chat/completions` and `/v1/models` are there. Any API key will do."], weight=1.4,
        do=["use {the openai library|the openai client|openai clients|an openai client|the openai api|the openai package|tools made for openai|openai compatible tools|langchain}{| with puna| here|}", "{replace|swap} {openai|gpt-4|the openai api} {by|with} puna", "connect {openai tools|an openai client|langchain|a tool made for openai|open webui}", "point {the openai library|an openai client|my openai code} {at|to} puna", "set the {base url|base_url|api key} {for openai|of the openai client|}"],
        doing=["openai compatibility", "using {the openai client|openai tools}"],
        noun=["the {openai compatible|openai} {endpoint|api|url|base url|route}", "the {base url|base_url|api key} for {openai clients|openai}"],
        ask=["is {puna|the api} {openai compatible|compatible with openai|like openai's}", "does puna {speak|support|have|offer|understand} {the openai api|openai|openai's api|/v1/chat/completions}", "what is /v1/chat/completions", "{which|what} {base url|base_url|api key} do I {use|set|need}{| for openai|}", "do I need an api key", "does {langchain|my openai code|an openai client|the openai library|the openai python library} work {with puna|here|}", "can I use {openai's python library|openai tools|the openai client|langchain}"],
        keys=["openai api", "openai compatible", "/v1/chat/completions", "base_url", "api key", "openai client"]),

    Intent("api_tags", ["GET `/api/tags` lists the models: `curl http://127.0.0.1:11434/api/tags`. OpenAI clients use `/v1/models`."],
        do=["{list|get|see|query|fetch} {the|all|my|installed|available} models {over the api|over http|via the api|with curl|with http|from <lang>|through the api|in <lang>}"],
        doing=["listing models {over the api|over http|with curl}"],
        noun=["the endpoint {for listing models|that lists models|for the model list}", "the model list {over http|over the api|in json}"],
        ask=["what is /api/tags", "what does /api/tags do", "{which|what} {endpoint|route|url|request} {lists|returns|gives|shows} {models|the models|all models|installed models}", "how does {a client|a program|my app} {see|find out|know} which models {exist|are installed}"],
        keys=["/api/tags", "list models api", "/v1/models", "models endpoint", "api model list"]),

    Intent("api_others", ["`/api/ps` lists loaded models, `/api/show` gives details, `/api/create` creates, `/api/copy` copies and `/api/delete` deletes a model."],
        do=["{delete|remove|copy|create|inspect|rename} {a model|models} {over the api|over http|via the api|with curl|through the api|with an http request}", "{manage|administer} models {over the api|over http|remotely}", "see {loaded|running} models {over the api|over http|with curl}"],
        doing=["managing models over {http|the api}"],
        noun=["the endpoint {for deleting|for copying|for creating|for showing|that deletes|that copies} {a model|models}", "{a list of endpoints|all endpoints|the other endpoints|the list of routes|all routes}"],
        ask=["{which|what} {endpoints|routes|api routes|urls} {are there|exist|does puna have|does the server have}", "{which|what} {endpoint|route} {deletes|copies|creates} {a model|models}", "what {is|does} {/api/ps|/api/show|/api/create|/api/copy|/api/delete}{| do|}"],
        keys=["/api/delete", "/api/show", "/api/ps", "/api/copy", "/api/create", "endpoints", "api routes"]),

    Intent("stream", ["Send `\"stream\": false` in the request; then the whole answer comes as one JSON object. By default it streams."], weight=1.2,
        do=["{turn off|disable|switch off|stop|deactivate|avoid} {streaming|the stream|the streaming}", "get {the whole answer|a complete answer|one response|the full response|everything|a single json object|the complete text} {at once|in one piece|in one go|in a single response|without streaming|} {from the api|over the api|}", "{receive|have} {no stream|one json|a single object|the answer in one piece}"],
        doing=["streaming", "turning off streaming", "disabling streaming"],
        ask=["why {does|do} {the api|the server|/api/chat|/api/generate} {send|return|answer with} {many lines|many json objects|pieces|several objects|chunks|fragments}", "the {response|answer} comes in {pieces|chunks|many parts|fragments}", "does the api stream", "how do I stop {the stream|the answer from streaming}", "what does {stream|\"stream\"} do", "I get many {json lines|lines of json|objects} instead of one", "is streaming {on|the default|optional}"],
        keys=["stream false", "disable streaming", "no streaming", "streaming off", "many json objects"]),

    Intent("json", ["On the command line: `puna run NAME --format json`. Over the API: `\"format\": \"json\"`, or a JSON schema in `format`."],
        do=["{get|force|produce|request|receive|have} {json|json output|valid json|an answer in json|structured output|structured answers}", "make {a model|the model|$m} {answer in json|write json|return json|follow a schema|follow a json schema}", "{use|give|pass} a {json schema|schema}", "restrict the output to {json|a schema}"],
        doing=["json {output|mode}", "structured {output|answers}"],
        noun=["json {mode|output}"],
        ask=["does puna {support|have|do|offer} {json|json mode|structured output|json schemas}", "can {a model|the model|$m} {answer|write|reply} in json", "is there a json mode", "what does --format do"],
        keys=["json output", "json mode", "structured output", "--format json", "json schema"]),

    Intent("settings", ["Settings are environment variables. Every `OLLAMA_X` setting is honoured, and `PUNA_X` wins over it. `puna serve --help` lists them."], weight=1.3,
        do=["{configure|customize|set up|adjust} {puna|the server|settings}", "{change|set|see|list|find} {the settings|settings|the configuration|options of the server|environment variables|preferences}", "keep {my|old|the} {ollama settings|ollama variables|ollama configuration}"],
        doing=["{configuring|customizing} puna", "configuration"],
        noun=["the {settings|configuration|environment variables|config file|configuration file|options of the server}", "a list of {settings|environment variables|variables}"],
        ask=["{which|what} {settings|environment variables|variables|options} {are there|exist|does puna have|does puna read|does puna know|can I set}", "is there a {config file|configuration file|settings file}", "where {is|are} the {configuration|settings|config file}", "does puna {read|honour|respect|use|understand|accept} {OLLAMA variables|OLLAMA_MODELS and so on|ollama's settings|OLLAMA_ settings|my old ollama settings}", "which wins, {PUNA_ or OLLAMA_|PUNA_HOST or OLLAMA_HOST|OLLAMA_MODELS or PUNA_MODELS}", "do {my|the} {ollama variables|ollama settings|OLLAMA_ variables} {still work|work here|work with puna}", "what if both {PUNA_HOST and OLLAMA_HOST|variables} are set", "is OLLAMA_{MODELS|KEEP_ALIVE|DEBUG|NUM_PARALLEL} {supported|understood|still valid}"],
        keys=["settings", "environment variables", "configuration", "config", "PUNA_ variables", "OLLAMA_ variables"]),

    Intent("parallel", ["`PUNA_NUM_PARALLEL` sets how many requests one model answers at once; the others wait in a queue."],
        do=["{answer|handle|serve|process} {several|many|multiple|two|parallel|simultaneous} {requests|users|chats|people} {at once|at the same time|in parallel|together|}", "{use|serve} {one model|puna|a model} {for many users|with several users|for a team}", "{set|change|raise|increase} the number of {parallel requests|parallel users|simultaneous requests|users}"],
        doing=["parallel requests", "serving several users", "concurrency"],
        ask=["can {several|two|many} {people|users|programs|clients} {use|ask} {puna|a model|the server} {at once|at the same time|together}", "how many {users|requests|people} can {puna|the server|a model} {handle|serve|answer}{| at once|}", "what does {PUNA_NUM_PARALLEL|OLLAMA_NUM_PARALLEL} do", "are requests {queued|handled in parallel}", "what happens {when|if} two {requests|users} come at {once|the same time}"],
        keys=["parallel requests", "concurrency", "PUNA_NUM_PARALLEL", "multiple users", "simultaneous"]),

    Intent("max_loaded", ["`PUNA_MAX_LOADED_MODELS` limits how many models are in memory at once. If memory is short, idle models are unloaded first."],
        do=["{load|run|keep|use|have} {two|several|many|multiple|more} models {at once|at the same time|together|in parallel|in memory|}", "{limit|set|raise} the number of {loaded models|models in memory}"],
        doing=["running several models"],
        ask=["how many models can {be loaded|run|be in memory}{| at once| at the same time| together|}", "can {two|several} models {run|be loaded|be in memory} {at once|at the same time|together}", "what does {PUNA_MAX_LOADED_MODELS|OLLAMA_MAX_LOADED_MODELS} do", "what happens if {memory is short|there is not enough memory for a second model}"],
        keys=["several models at once", "max loaded models", "two models", "PUNA_MAX_LOADED_MODELS"]),

    Intent("debug", ["Start the server with `PUNA_DEBUG=1 puna serve`; it then logs in detail to the terminal."],
        do=["{see|get|view|read|find|check} {logs|the logs|log files|the log|debug output|debug messages|more output|the server log}", "{turn on|enable|switch on} {debug|debugging|debug mode|debug logs|logging|detailed logs}", "{debug|troubleshoot} {puna|the server|a problem}", "find out {what went wrong|what the server does|why it fails}"],
        doing=["debugging", "logging"],
        noun=["the {logs|log|log file|server log|error log}", "debug {output|mode}"],
        ask=["where {are|is} the {logs|log|log file|log files}", "what does {PUNA_DEBUG|OLLAMA_DEBUG} do", "does puna {write|keep|have} {logs|a log}", "how do I know what {happened|went wrong}"],
        keys=["logs", "debug", "log file", "PUNA_DEBUG", "troubleshooting"]),

    Intent("origins", ["Set `PUNA_ORIGINS` to the web addresses that may call the server from a browser, separated by commas."],
        do=["{allow|enable|permit} {a website|a web page|browsers|cors|another origin|browser access|a browser extension}", "{fix|solve} {cors|a cors error|cors errors|cross origin problems}", "call {puna|the api} from {a browser|a web page|javascript in the browser}"],
        ask=["{I get|why do I get|what does} a cors error{| mean|}", "what does {PUNA_ORIGINS|OLLAMA_ORIGINS} do", "the browser {blocks|refuses} {my request|requests|the api}"],
        keys=["cors", "origins", "PUNA_ORIGINS", "browser blocked"]),

    Intent("kv_cache", ["`PUNA_KV_CACHE_TYPE=q8_0` stores the context at half the memory of the default, f16."],
        do=["{shrink|reduce|quantize|compress} {the kv cache|the cache|the memory of the context|the context memory}", "{save|use less} memory {for|with} {long contexts|a long context|the context}", "change the {kv cache type|cache type}"],
        doing=["kv cache quantization"],
        ask=["what does {PUNA_KV_CACHE_TYPE|OLLAMA_KV_CACHE_TYPE} do", "what is the kv cache", "the context {needs|takes|uses} too much memory", "which kv cache types are there"],
        keys=["kv cache", "KV_CACHE_TYPE", "cache quantization", "context memory"]),

    Intent("not_found", ["The name is not in the store. `puna list` shows the names you have; `puna create NAME -f Modelfile` adds a GGUF file."],
        ask=["{model|my model|$m} not found{| error|, why|, what now|}", "puna {says|prints|tells me} {model not found|that the model does not exist|that it can't find the model|$m not found|that $m is missing}", "why {is|does} {my model|$m|the model} {not found|not exist|missing|not in the list|unknown}", "{error|error message}: model not found", "puna {does not|doesn't|can't|cannot} find {my model|$m|the model}", "my model {disappeared|is gone|is missing|is not there}", "404 {model not found|from the api|error|not found}"],
        keys=["model not found", "404", "unknown model", "missing model"]),
]
