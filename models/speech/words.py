"""The words of the utterances: common English words by what they do in a sentence, lower case, a to z alone."""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["WORDS"]

_TEXT = {
    "name": (
        "anna peter maria thomas julia martin sarah david emma robert laura oliver helen george alice victor nora samuel"
        " grace hugo ruth edward clara jonathan beth patrick vera joyce leo margaret"
    ),
    "determiner": "the the the a this that my your his her our their every another each one some any no",
    "plural_determiner": "the the these those many some two three four five six seven eight nine ten twelve few several our their",
    "adjective": (
        "old young small large quiet loud cold warm bright dark heavy light empty full clean dirty narrow wide short"
        " long strong weak fresh dry wet soft hard sharp smooth rough simple strange common careful cheap rich poor"
        " early late quick slow angry happy sad brave calm proud gentle busy lazy clever honest hungry thirsty sleepy"
        " wooden golden silver green yellow purple orange brown white grey black blue red pink deep shallow thick thin"
        " round square famous secret perfect modern ancient broken frozen hidden lucky useful gigantic curious"
        " peaceful dangerous generous northern southern average original temporary"
    ),
    "noun": (
        "dog cat horse bird fish mouse sheep cow garden kitchen window door table chair river mountain valley forest"
        " island ocean village city station market school hospital church bridge road street house farm engine"
        " wheel boat ship train plane bicycle car bus truck doctor teacher farmer painter soldier sailor driver"
        " baker lawyer nurse judge captain king queen child girl boy woman man mother father sister brother uncle"
        " aunt cousin neighbour friend visitor stranger book paper pencil letter picture story song question answer"
        " number word sentence language bottle glass cup plate knife spoon fork basket box bag pocket jacket shirt"
        " shoe hat coat button thread needle rope hammer nail saw ladder bucket shovel candle lamp mirror clock"
        " watch key lock chain coin ring apple orange lemon cherry potato tomato onion carrot cabbage bread butter"
        " cheese milk sugar pepper soup cake cookie breakfast dinner supper winter summer spring autumn morning"
        " evening night thunder cloud rain snow storm wind sun moon star stone rock sand earth fire smoke water ice"
        " iron steel copper cotton wool leather plastic measure treasure pleasure vision decision television garage"
        " machine computer telephone camera radio signal message machinery furniture picture voyage journey bargain"
        " holiday birthday party music piano violin guitar drum trumpet choir theatre museum library office factory"
        " business company government president election newspaper magazine chapter page corner circle square"
        " temperature degree inch mile pound dollar month week hour minute second moment thing thought truth earth"
        " mouth tooth path bath cloth youth south north toy boy noise voice choice point oil coin joy"
        " shoulder finger elbow knee ankle heart stomach head hair eye ear nose chin neck thumb"
    ),
    "plural": (
        "dogs cats horses birds fishes mice sheep cows gardens windows doors tables chairs rivers mountains valleys"
        " islands villages stations markets schools bridges roads streets houses farms engines wheels boats ships"
        " trains doctors teachers farmers painters soldiers sailors drivers bakers nurses judges children girls boys"
        " women men mothers brothers neighbours friends visitors books papers pencils letters pictures stories songs"
        " questions answers numbers words bottles glasses cups plates knives spoons baskets boxes bags pockets shirts"
        " shoes hats coats buttons threads needles ropes hammers nails ladders buckets candles lamps mirrors clocks"
        " keys coins rings apples oranges lemons cherries potatoes tomatoes onions carrots cookies winters clouds"
        " storms stars stones rocks machines computers cameras signals messages journeys holidays pianos drums"
        " offices factories pages corners degrees miles pounds dollars months weeks hours minutes thoughts months"
        " clothes paths noises voices choices points toys measures decisions fingers eyes ears teeth feet"
    ),
    "transitive": (
        "carried found lost bought sold painted cleaned opened closed washed watched heard saw followed visited"
        " remembered forgot answered asked helped pushed pulled lifted dropped threw caught kicked touched held kept"
        " broke fixed built measured counted weighed pressed folded covered filled emptied moved borrowed lent"
        " returned collected gathered examined described discovered imagined enjoyed loved hated needed wanted chose"
        " changed joined judged taught brought drew wrote read sang played studied tasted cooked baked boiled sliced"
        " shared served offered ordered received refused promised prepared protected destroyed improved supplied"
    ),
    "present": (
        "carry find lose buy sell paint clean open close wash watch hear see follow visit remember forget answer ask"
        " help push pull lift drop throw catch kick touch hold keep break fix build measure count weigh press fold"
        " cover fill move borrow lend return collect gather examine describe discover imagine enjoy love hate need"
        " want choose change join judge teach bring draw write read sing play study taste cook bake boil slice share"
        " serve offer order receive refuse promise prepare protect destroy improve supply use"
    ),
    "intransitive": (
        "arrived waited slept laughed smiled cried shouted whispered listened walked jumped climbed swam danced"
        " travelled disappeared vanished returned worked rested stood sat lay fell rose stayed left coughed sneezed"
        " breathed agreed argued complained apologised hesitated trembled stumbled wandered hurried relaxed dreamed"
        " stretched marched knelt leaned grew failed succeeded finished started stopped"
    ),
    "adverb": (
        "slowly quickly quietly loudly carefully gently suddenly finally usually often never always sometimes rarely"
        " almost nearly early late yesterday today tomorrow together alone again twice everywhere outside inside"
        " upstairs perhaps really truly easily happily hardly exactly probably seriously immediately"
    ),
    "opener": "yesterday tomorrow today now then later soon however perhaps finally meanwhile otherwise sometimes again",
    "preposition": (
        "under over behind beside near above below across through around into from with without before after against"
        " between along towards inside beyond about for by on at"
    ),
    "question": "who what when where why how",
    "modal": "will would could should might must can may did",
    "pronoun": "he she they we you i it",
    "object": "him her them us you it me everything nothing something someone anybody",
    "joint": "and but because while although until unless or so",
}  # fmt: skip

WORDS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {kind: tuple(text.split()) for kind, text in _TEXT.items()}
)
"""Words by kind; a word that stands twice is drawn twice as often."""
