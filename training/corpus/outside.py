"""Questions about the rest of the world. There is one answer to them: too small to know."""
import re

from .grammar import group, sample
from .names import invented, person
from .noise import roughen, wrap

ANSWER = "I am too small to know that. I only know how to use puna; for such questions, import a bigger model."

group("country", "{france|germany|italy|spain|poland|japan|china|india|brazil|canada|mexico|peru|chile|kenya|egypt|norway|sweden|finland|turkey|russia|australia|england|ireland|scotland|portugal|greece|austria|switzerland|hungary|iran|iraq|korea|vietnam|thailand|cuba|argentina|morocco|nigeria|ukraine|belgium|denmark|iceland|israel|new zealand|south africa|the usa|america|europe|africa|asia|texas|california}")
group("city", "{paris|london|berlin|rome|madrid|tokyo|new york|moscow|vienna|prague|chicago|boston|sydney|cairo|lisbon|dublin|oslo|munich|hamburg|milan|venice|istanbul|beijing|shanghai|delhi|toronto|seattle|san francisco|los angeles|amsterdam|zurich|athens|warsaw|budapest}")
group("famous", "{napoleon|einstein|newton|mozart|beethoven|shakespeare|goethe|caesar|cleopatra|lincoln|washington|churchill|gandhi|mandela|picasso|van gogh|darwin|marie curie|galileo|columbus|elvis|michael jackson|madonna|the beatles|taylor swift|messi|ronaldo|obama|trump|biden|putin|merkel|elon musk|bill gates|steve jobs|plato|aristotle|socrates|kant|nietzsche|freud|marx|homer|dante|bach|leonardo da vinci|queen victoria|alexander the great|genghis khan|jesus|buddha|luther|tolstoy|hemingway|turing|ada lovelace|linus torvalds|the pope|the king of england|the president|the chancellor|the prime minister|julius caesar|king arthur|robin hood|harry potter|batman|sherlock holmes}")
group("event", "{world war two|the first world war|world war one|the second world war|the french revolution|the american civil war|the cold war|the moon landing|the roman empire|the renaissance|the titanic|the industrial revolution|the middle ages|the stone age|the olympic games|the world cup|chernobyl|the russian revolution|the crusades|the plague|the gold rush|the reformation|the battle of hastings|the fall of rome|the great fire of london|the stock market crash|the black death|pearl harbor|the thirty years war|the discovery of america}")
group("science", "{photosynthesis|gravity|evolution|a black hole|quantum mechanics|relativity|dna|a cell|an atom|electricity|magnetism|the big bang|a virus|bacteria|the greenhouse effect|a volcano|an earthquake|a rainbow|light|sound|the speed of light|a neutron|entropy|inertia|an enzyme|a protein|osmosis|oxygen|carbon|a galaxy|a comet|an eclipse|the ozone layer|nuclear fusion|a laser|radioactivity|the periodic table|a prime number|pi|the pythagorean theorem|a matrix|an integral|a derivative|calculus|probability|a logarithm|infinity|a fraction|a triangle|inflation|a mortgage|capitalism|communism|democracy|philosophy|love|happiness|the meaning of life|a sonnet|jazz|impressionism|a metaphor|an adverb|a verb|blockchain|bitcoin|a transistor|a semiconductor|a compiler|recursion|a hash table|a linked list|a database|sql|html|css|an operating system|the linux kernel|docker|kubernetes|a router|tcp|wifi|bluetooth|a solar panel|a turbine|a diesel engine|yeast|gluten|a vitamin|cholesterol|insulin|cancer|diabetes|the flu|a headache|a migraine|asthma}")
group("thing", "{a car|a house|a dog|a cat|a bicycle|a horse|a phone|a washing machine|a tv|a shirt|shoes|a garden|a tree|an apple|a banana|bread|cheese|milk|coffee|tea|wine|beer|rice|pasta|a pizza|soup|a cake|cookies|an egg|potatoes|tomatoes|a fish|chicken|a steak|honey|chocolate|sugar|salt|a chair|a table|a bed|a lamp|a window|a door|a roof|a wall|a carpet|a knife|a piano|a guitar|a violin|a drum|a book|a newspaper|a letter|a passport|a visa|a ticket|a train|a plane|a boat|a ship|a rocket|a bridge|a tower|a castle|a church|a school|a hospital|gold|silver|iron|diamonds|plastic|paper|wood|glass|a baby|a spider|a snake|mice|ants|bees|roses|a cactus|grass|snow|sand|a toothbrush|perfume|a tent|a camera|a drone|skis|a football|a puppy|a hamster}")
group("food", "{pizza|lasagna|pancakes|bread|soup|a cake|sushi|curry|risotto|an omelette|goulash|cookies|ice cream|a salad|dumplings|fried rice|pasta|tomato sauce|a steak|potato salad|apple pie|cheesecake|hummus|tacos|paella|ramen|porridge|jam|kimchi|tiramisu|mashed potatoes|meatballs|a sandwich|sourdough|lemonade|beer|yoghurt}")
group("animal_o", "{a lion|elephants|whales|a cat|dogs|bees|a shark|birds|penguins|a horse|cows|snakes|frogs|ants|a giraffe|dinosaurs|octopuses|wolves|bears|bats|owls|spiders|a kangaroo|tigers|monkeys|dolphins|snails|butterflies|crocodiles|a mammoth|salmon|turtles}")
group("proglang", "{python|java|c|c++|rust|go|javascript|haskell|perl|ruby|php|lisp|prolog|swift|kotlin|scala|bash|sql|assembler|cobol|fortran|lua|typescript|r|matlab}")
group("program", "{a sort function|bubble sort|a binary search|a web server|a calculator|a snake game|a tetris game|fizzbuzz|hello world|a linked list|a parser|a function that reverses a string|a regex for email addresses|a regular expression|a loop|a class for bank accounts|a script that renames files|a program that counts words|the fibonacci numbers|a prime number test|merge sort|a todo app|a chess program|a website|a query that joins two tables|a unit test|a scraper|a hash function|a factorial function|an api client|code|a program|an app|a game|some code|a login form|a mandelbrot renderer|dijkstra's algorithm|a compiler|a calendar}")
group("writing", "{an essay|a letter to my landlord|an email to my boss|a cover letter|a speech|a novel|a summary of faust|a business plan|a contract|a birthday card|an invitation|a press release|a blog post|my homework|a report|a thesis|an article about bees|a complaint|a love letter|a recipe|a cv|a marketing plan|a product description|a news article|a review|a dialogue in french|an application|a shopping list|a workout plan|a lesson plan|a travel plan|a meal plan|an obituary|a film script}")
group("verb_o", "{repair|buy|sell|clean|paint|build|make|cook|cut|wash|choose|keep|feed|train|grow|plant|fix|ride|drive|play|draw|freeze|peel|store|move|open|carry|measure|ship|find|lose|replace|rent|borrow|hang|install|assemble|insure|restore|fold|catch|import|export|delete|copy|run|load|list|stop|download}")
group("person_o", "{$p|my wife|my husband|my boss|my neighbour|my son|my mother|my cat|my doctor|my teacher|my friend|my dog|my girlfriend|my boyfriend}")
group("bignum", "{23|37|48|64|99|128|250|365|512|1000|1024|12345|144|87|56|72|91|33|45|777|3.14|2.5}")
group("org", "{nasa|google|apple|microsoft|amazon|facebook|tesla|the united nations|nato|the european union|the un|toyota|volkswagen|siemens|disney|netflix|mcdonald's|ikea|lego|nintendo|sony|samsung|the fbi|greenpeace|the red cross|real madrid|manchester united|bayern munich|wikipedia|the vatican}")
group("plant_o", "{berries|plants|flowers|trees|herbs|vegetables|fruits|nuts|weeds|roses|fish|insects|snakes|spiders|birds|medicines|pills|vitamins|foods|cheeses|wines|dogs|cars|phones|laptops|stocks|books|films|songs|games|sports|countries|cities|planets|stars|languages|religions|schools|jobs}")
group("adj_o", "{dangerous|poisonous|healthy|expensive|cheap|good|bad|the best|the fastest|the oldest|the biggest|rare|useful|popular|famous|old|tall|heavy|edible|legal|illegal|toxic|safe|endangered|cruel|sad|funny|beautiful|important}")

QUESTIONS = """
what is the capital of <country>
the capital of <country>
{who|which person} {was|is} <famous>
when was <famous> born
when did <famous> {die|live|marry|win|write his first book|become famous}
where {was|is} <famous> {born|buried|from}
how old is <famous>
what did <famous> {do|write|invent|say|discover|think about god|eat}
tell me {about|something about|everything about} {<famous>|<event>|<country>|<city>|<animal_o>|<org>}
{when|why|how|where} did <event> {begin|start|end|happen|take place}
when {was|were} <event>
who {won|started|caused|survived} <event>
what {happened in|caused|was} <event>
in {what|which} year {was|were|did} {<famous> born|<event>|<event> end|<org> founded|<country> become independent|the first car built|television invented}
{what|how} {is|does} <science>{| work}
explain <science>{| to me}
what {is|are} {<science>|<animal_o>|<plant_o>}
define <science>
how does {<science>|a fridge|an engine|a plane|a clock|the heart|the brain|a microwave|a battery|a telescope|the stock market|an election|the eye|a lock|a toilet} work
how {big|tall|old|heavy|deep|far away|long|hot|wide|fast} {is|are} {the sun|the moon|the earth|mount everest|the nile|the pacific ocean|mars|jupiter|a blue whale|the great wall|an elephant|the statue of liberty|the amazon|<city>|<country>|the empire state building|a marathon|a cheetah|light|the tower of pisa|the golden gate bridge|lake geneva|the sahara}
how {many people live|many inhabitants are|cold is it|expensive is life|do I get} {in|to} {<country>|<city>}
what is the {population|currency|language|flag|president|largest city|highest mountain|history|time zone|king|food|best hotel|weather|religion|anthem|biggest river|area} {of|in} <country>
who {invented|discovered|built|designed|wrote|painted|composed} {the telephone|the light bulb|penicillin|the pyramids|hamlet|the mona lisa|the radio|america|the wheel|faust|the internet|the steam engine|the bible|don quixote|paper|the airplane|the lord of the rings|the computer|gunpowder|linux|the taj mahal}
how {do I|can I|does one|should I|to} {cook|make|bake|prepare} <food>
{a recipe|the recipe|a good recipe} for <food>
what {goes well with|is in|should I eat with|wine goes with} <food>
how long {do I cook|does it take to make|must I bake|do I boil} {<food>|eggs|potatoes|rice}
how {do I|can I|to|does one|should I} <verb_o> <thing>{| at home| quickly| without tools| by myself| cheaply}
where can I <verb_o> <thing>
can I <verb_o> <thing>{| at home| in <country>| without a licence}
I want to <verb_o> <thing>
help me <verb_o> <thing>
is it {hard|legal|expensive|possible} to <verb_o> <thing>
how much {is|costs|does|should I pay for} <thing>{| cost}
what is {the price of|the best way to clean|the difference between a donkey and|the weight of|the colour of|the smell of|inside} <thing>
why {is|are} {the sky blue|the sea salty|grass green|bananas bent|ice slippery|we alive|there war|cats afraid of water|the night dark|leaves red in autumn|there seasons|people sad|some people rich|zebras striped|flamingos pink|snow white|blood red|gold expensive}
why do {<animal_o>|people|birds|children|dogs} {sing|sleep|fly|cry|yawn|dream|bark|lie|migrate|fight|laugh|hibernate}
{what|how|where|when} do {<animal_o>} {eat|sleep|live|breathe|hunt|lay eggs|hibernate|mate}
how long do <animal_o> live
are {<animal_o>|<plant_o>} <adj_o>
which <plant_o> {are|is} <adj_o>{| to eat| for children| in <country>| this year}
which {animal|country|city|planet|river|mountain|car|bird|film|team|element|king|horse|food|tree} is {<adj_o>|the largest|the smallest|the longest|the best|the richest|the poorest}
what {are|is} the {best|most famous|most expensive|biggest|oldest|most dangerous} {<plant_o>|restaurant in <city>|film|book|car|phone|song}
{write|make|program|code|give me|show me|create|implement|develop|produce} <program> in <proglang>
{write|implement|program} <program>
{fix|repair|debug|correct|find the error in|review|refactor|optimize|speed up|translate|document|comment} {my|this|the} <proglang> {code|program|error|loop|function|class|compiler error|script|bug|test|exception|build}
my <proglang> {code|program|loop|function|test|script|build|compiler} {crashes|does not compile|is wrong|has a bug|fails|gives an error|hangs|leaks memory}{, why|, help|}
{why|what} {does|is} {a segmentation fault|a null pointer|a syntax error|a stack trace|an undefined reference|a memory leak|a race condition|a type error|a merge conflict}{| mean| in <proglang>}
{a|the|give me a} {regex|sql query|unit test|dockerfile|css rule|git command|html page|shell alias|spreadsheet formula} {for|that finds|to sort|with|that matches} {emails|dates|names|the largest value|two columns|a login|phone numbers|a table}
how do I {write|make|program|implement} {<program>|a loop|a class|a function} in <proglang>
how do I {sort|reverse|filter|print|iterate over|copy} {a list|an array|a string|a dictionary|a table} in <proglang>
what is {a pointer|a monad|a class|a lambda|an interface|a generator|a variable|a trait} in <proglang>
{debug|fix|review|explain|optimize} {my code|my program|my <proglang> code|this function|this code}
learn <proglang>
which programming language {should I learn|is the best|is the fastest}
{write|draft|compose|make|give me} <writing>{| for me| about <city>| about <science>}
can you write <writing>{| for me}
{help me with|do|check} {my homework|my math homework|my essay|my tax return|my taxes|my thesis|an equation|my exam|physics|chemistry|my grammar}
{solve|compute|calculate|what is} {<bignum> {times|*|plus|+|divided by|/|minus|-} <bignum>|the square root of <bignum>|x^2 = 16|2x + 5 = 17|the integral of x|the derivative of sin x|<bignum> percent of <bignum>|<bignum> * <bignum>|the cube root of <bignum>|the factorial of <bignum>}
<bignum> {*|x|/|+|-|times} <bignum>
how many {seconds are in a day|days are in a year|metres are in a mile|bones do we have|countries are there|stars are there|teeth has a shark|legs has a spider|cups are in a litre|feet are in a metre|grams are in an ounce|planets are there|people are on earth|calories are in <food>|players are in a team|keys has a piano}
convert {<bignum>|10} {miles to kilometres|dollars to euros|pounds to kilos|inches to centimetres|fahrenheit to celsius|feet to metres|euros to yen|gallons to litres}
what is the {stock|share} price of <org>
who {leads|founded|owns|is the head of|is the ceo of} <org>
what does <org> {do|make|stand for|sell}
when was <org> founded
should I {buy|sell} {stocks|bitcoin|a house|shares of <org>|a car|an apartment|silver|bonds|a new phone}
should I {marry <person_o>|quit my job|move to <country>|get a dog|see a doctor|learn the piano|become a teacher|trust <person_o>|lend money to <person_o>|eat less meat|vote|go to university}
what should I {cook|eat|wear|read|watch|buy|do|say} {today|tonight|tomorrow|for <person_o>|on sunday|to <person_o>|at a wedding}
{recommend|suggest|name} {a book|a film|a restaurant in <city>|a hotel|music|a wine|a series|a name for my cat|a gift for <person_o>|a place for holidays|a good doctor|games|a podcast|three countries}
what {gift|present|name|book} {for|should I give to} <person_o>
I have {a headache|a fever|a cough|pain in my back|a broken leg|a cold|a toothache|a stomach ache|an itch}{, what can I do|, what should I take|. What is it}
is {coffee|sugar|wine|milk|running|aspirin|chocolate|meat|smoking|fasting} {healthy|dangerous|good for me|bad for you|good for children}
{what are the symptoms of|how do I treat|what helps against|is there a cure for} {<science>|a cold|the flu|a burn|a bee sting|malaria|measles|insomnia|stress}
what are my rights {as a tenant|at work|as a consumer|in <country>}
{is it legal|do I need a permit|do I need a visa} to {drive without a licence|go to <country>|fish|build a house|work in <country>|own a gun|travel to <country>}
how do I {get from <city> to <city>|find a job|get rich|lose weight|learn english|sleep better|stop smoking|make friends|get a passport|meet a girl|become famous|survive in the desert|win the lottery|learn to swim|tie a tie|meditate|raise a child|open a bank account|pay less tax|cheat in an exam|hack a website|pick a lock|make a bomb|find water|stay healthy|do a backflip|fly a kite}
how far is {<city>|<country>|the moon} from {<city>|here|<country>}
when {does|is} {easter|christmas|ramadan|the next train to <city>|the next election|summer|the next full moon|the museum open|the super bowl|spring|thanksgiving|the next bus}
{flights|trains|a flight|a train|a bus|the way|a hotel} {to|in} <city>
who {is|was} {<person_o>|$p|the first man on the moon|the richest man|the president of <country>|the king of <country>|the inventor of <thing>|god|the author of faust|the queen of <country>|the mayor of <city>|the tallest man|the father of physics|the first emperor}
who {will win|won} {the election|the world cup|the game yesterday|the oscar|the nobel prize|the championship|the super bowl}
what {is|was} {the meaning of life|the name of the rose|the first computer|the longest word|the secret of happiness|my horoscope|the best football team|art|time|a good name for <thing>|the opposite of love|behind the universe|the plural of mouse|the synonym of big|the smallest country|the largest animal|the fastest car|the chemical formula of water|the boiling point of <thing>|the moral of the story|karma|yoga|feng shui|a haiku}
what do you think {about|of} {<famous>|politics|<country>|war|religion|god|<org>|abortion|the economy|love|climate change|football|art|modern music|my boss}
is {god real|there life on mars|there a god|the earth flat|<country> bigger than <country>|<famous> dead|<city> nice|santa real|climate change real|<org> a good company|<famous> still alive|pluto a planet|a tomato a fruit}
does {<country> have a king|<famous> have children|god exist|the moon have water|<person_o> love me|<city> have an airport|money make happy|milk help|<country> have snow}
do {aliens exist|fish sleep|ghosts exist|plants feel pain|cats dream|you know <famous>|you know $p|you know <city>|penguins have knees|you know the answer to everything}
can {dogs eat chocolate|pigs fly|people live on mars|birds smell|I eat raw eggs|<animal_o> swim|cats see in the dark|you drive a car|you cook|you order a pizza|you call <person_o>|you play chess|you book a flight|you draw|you open a website|you search the web|you send an email|you read my mail|you play music|you set a timer|you paint a picture}
{order|book|buy|call|open|play|send|draw|paint|search|set|switch on|google|look up} {a pizza|a flight|a taxi|my mother|a website|music|an email|a picture|the web for cats|an alarm|the light|a song|a ticket|<famous>|<city>|a hotel in <city>|a reminder|the tv}
summarize {the bible|hamlet|this article|the news|war and peace|the last meeting|<event>|my book}
give me {a list of <plant_o>|ten facts about <country>|tips for <city>|advice about love|the news|the lyrics of a song|an idea for dinner|a fact|a quote by <famous>|a random fact|three reasons to live in <country>|the history of <thing>|a definition of art}
list {all|the} {presidents|planets|countries of europe|kings of <country>|elements|states|rivers in <country>|oceans|continents|prime numbers|songs of <famous>|books by <famous>|provinces of <country>}
compare {<country> and <country>|cats and dogs|<famous> and <famous>|coffee and tea|windows and linux|<proglang> and <proglang>|<org> and <org>}
what is the difference between {cats and dogs|<country> and <country>|a lake and a sea|<science> and <science>|a crocodile and an alligator|<proglang> and <proglang>|love and friendship|jam and marmalade}
{spell|conjugate|what is the past tense of|what rhymes with} {elephant|banana|to go|orange|rhythm|necessary|to be|blue}
what does {$w|$w mean|serendipity mean|irony mean|lol mean|carpe diem mean|it mean to be human|a lawyer do|a plumber earn|nato mean|a red traffic light mean}
what is {a|the} $w
who is $w
where is {$w|<city>|<country>|mount $w|the $w river|the bermuda triangle|the louvre|my phone|my wife|atlantis}
tell me about $w
how do I $w{| a $w}
{explain|define} $w
do you know $w
{football results|the weather in <city> on monday|exchange rates|horoscope|recipes|vacation ideas|diet plan|math problems|world history|geography quiz|astronomy|chemistry|biology|gardening tips|car repair|knitting patterns|wedding speech|chess opening|guitar chords|tax law}
how do I {install|update|uninstall|open|use|configure|start|remove|download|buy|run} {docker|python|windows|chrome|git|ubuntu|a printer driver|photoshop|excel|word|a game|whatsapp|minecraft|firefox|a vpn|mysql|postgres|nginx|wordpress|android|an app on my phone|steam|zoom|java|node|a virus scanner|microsoft office|vim|emacs}
what is {a jpeg|a pdf|a zip file|an mp3|a csv file|json|xml|yaml|a png|a dll|a cookie|a browser|a url|an ip address|a firewall|an operating system|a gpu made of|a megabyte|a cpu|unicode|git|github|docker|linux|windows|python|bash|vim|a kernel|a thread|a stack overflow|a blockchain|a domain|a password manager}
how do I {open|convert|edit|compress|unzip|print|sign|merge|play|burn|scan} {a jpeg|a pdf|a zip file|an mp3|a csv file|a video|a photo|a spreadsheet|a word document|a dvd}
my {wifi|internet|mouse|keyboard|screen|email|battery|browser|phone} {is slow|does not work|is broken|is full|crashes|is too loud}
where {are|is|do I find} {my photos|my emails|my keys|the toilet|the nearest supermarket|the library in <city>|the best beach|my car|the control panel|the treasure|my passport stored|the train station|the moon landing filmed|heaven|the gold|my downloads|the bookmarks of firefox}
how many {people|animals|cars|words|books|stars|friends|trees|rooms|eggs} {are in <city>|live in <country>|should I have|can fit in <thing>|does <famous> have|exist}
who {stores|keeps|runs|serves|stops|lists|deletes} {the gold of <country>|<org>|<country>|the traffic in <city>|the weather}
how {long|many minutes} {does <thing> last|is the film titanic|does a flight to <city> take|should I sleep|do <animal_o> sleep|does it take to learn the piano|is a football match|do I boil an egg}
my {car|fridge|dog|printer|tv|phone|washing machine|bike|plant|wife|son|heating|neighbour|windows laptop} {is broken|does not work|is sick|makes a strange noise|is angry|won't start|hates me|is dying}
I {hate|love|miss} {<person_o>|my job|<city>|mondays|maths|winter}
{play a game|let's play chess|play chess with me|let's play a game|play hangman|ask me a riddle|give me a riddle|a riddle|guess a number|truth or dare|quiz me}
what {colour|color|shape|size|sound} {is|has|are} {a lemon|the sun|<thing>|<animal_o>|love|the french flag|a stop sign}
which {team|party|king|pope|actor|band|author|general|company} {won in <bignum>|made <thing>|played in titanic|ruled <country>|sang yesterday|wrote hamlet}
"""
PATTERNS = [line for line in QUESTIONS.strip().split("\n")]


def draw(rng):
    """(question, answer, words to keep)."""
    text = sample(rng.choice(PATTERNS), rng)
    text = re.sub(r"\$w", lambda _: invented(rng), text)
    text = re.sub(r"\$p", lambda _: person(rng), text)
    if rng.random() < 0.4:
        text += "?"
    return roughen(wrap(text, rng), set(), rng), ANSWER
