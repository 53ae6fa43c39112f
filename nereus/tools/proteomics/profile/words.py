"""The words by which people name the columns and levels of a sample sheet.

Names are evidence, not proof: a role is given only when the structure of the column allows it (`columns`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IDENTIFIER = _words(
    """
    id ids no nr num number code name identifier external internal barcode key accession label
    """
)
SUBJECT = _words(
    """
    subject subjects patient patients donor donors individual individuals participant person proband
    volunteer mouse mice animal animals rat rats case host pig monkey dog fish
    """
)
SPECIMEN = _words(
    """
    sample samples specimen specimens biosample aliquot biological source material extract tube
    """
)
PAIR = _words(
    """
    pair pairs paired pairing match matched matching twin twins litter sibling siblings couple block
    """
)
REPLICATE = _words(
    """
    replicate replicates replica rep reps repl biorep bioreplicate techrep techreplicate bior techr
    """
)
TECHNICAL = _words("tech technical techrep techreplicate techr injection measurement")
BATCH = _words(
    """
    batch batches site sites center centre centers plate plates plex lab labs laboratory instrument
    machine operator lot lots hospital clinic chip lane tmt set run mixture kit box rack institute
    facility technician experimenter date digestion processing preparation prep shipment cohort
    """
)
ANATOMY = _words(
    """
    tumor tumour tissue anatomic anatomical biopsy metastatic metastasis primary disease binding
    lesion
    """
)
FACTOR = _words(
    """
    condition conditions group groups grouping treatment treatments treated disease diagnosis class
    classes genotype phenotype status stage subtype case control arm response responder mutation
    mutant strain tissue cell cells line drug compound dose stimulation stimulus bait factor
    category classification behavior behaviour type severity outcome exposure diet knockout
    knockdown sirna inhibitor concentration state cluster subphenotype organ region
    """
)
COVARIATE = _words(
    """
    age sex gender bmi ethnicity race smoking smoker weight height male female education
    """
)
FIXED_TRAIT = _words(
    """
    disease diagnosis genotype sex gender case control strain phenotype class status race ethnicity
    """
)
ORDER = _words("order injection acquisition queue sequence runorder")
MOMENT = _words(
    """
    time timepoint timepoints visit day days week weeks month months hour hours hr hrs minutes
    generation
    """
)
RANKED = _words("dose grade stage score level severity concentration conc amount passage titer") | MOMENT
EVENT = _words(
    """
    event events status vital death dead deceased died censor censored censoring relapse recurrence
    """
)
EVENT_NAME = _words("event events censor censored censoring")
"""Last words of names that promise 0 or 1; ``status`` and ``death`` may be coded in other ways."""
TECHNICAL_NAME = _words(
    """
    file filename path raw channel fraction url checksum md5 comment comments note notes
    """
)
SPLIT = _words("split fold train test validation")

BAIT = _words("bait baits pulldown pulldowns ip apms coip immunoprecipitation bioid turboid apex")
BAIT_CONTROL = _words(
    """
    ctrl control controls ctr igg beads bead empty mock gfp untagged parental ha flag strep wt wildtype
    nobait background blank turboidcontrol neg negative
    """
)
PLEX = _words("plex tmt itraq set mixture mix kit run batch")
DOSE = _words("dose doses concentration conc amount dosage")
ORGANELLE_COLUMN = _words(
    """
    marker markers organelle organelles localisation localization location compartment compartments
    subcellular
    """
)
_NO_SAMPLE = _words("carrier unused blank empty boost booster")
REFERENCE_CHANNEL = _words("pool pooled reference bridge bridging norm irs masterpool mastermix")

SURVIVAL = re.compile(
    r"surviv|follow ?up|time to|days to|months to|years to|free days|free months|free survival|disease free|"
    r"progression free|\b(os|pfs|dfs|rfs|efs)\b|(time|days|months|years) (until|since)"
)
EVENT_LEVELS = _words(
    """
    alive dead deceased died death living censored event relapse relapsed recurred progressed 0 1
    yes no true false
    """
)
_LIFE = _words("alive dead deceased died death living censored")

REFERENCE = _words(
    """
    control controls ctrl ctl ctr con wt wildtype healthy normal vehicle untreated dmso sham
    baseline negative neg mock saline pbs placebo naive unstimulated unstim scramble scrambled scr
    empty parental benign hc hv false no n none 0 t0 pre before low mild sensitive absent unaffected
    nontreated basal igg beads reference ref standard alive undetected uninfected nontargeting
    noninfected day0 d0
    """
)
STRONG_REFERENCE = _words(
    """
    control controls ctrl ctl wt wildtype healthy vehicle untreated dmso sham mock placebo
    """
)
CASE = _words(
    """
    case cases disease diseased patient patients tumor tumour cancer treated treatment ko knockout
    kd knockdown mutant mut positive pos yes y true high late severe resistant refractory post after
    infected stimulated stim present affected malignant oe overexpression dead deceased
    """
)
_NEGATION = re.compile(r"^(non|not|no|un|without)[\s_\-]+(.+)$")
_SDRF = re.compile(r"^(characteristics|factor value|comment)\s*\[(.+)\]$", re.IGNORECASE)
_BATCH_LEVEL = re.compile(
    r"^(batch|plate|set|plex|tmt|run|lot|site|cent(er|re)|lab|mixture|cohort|instrument)[\s_.\-]*[a-z0-9]{1,3}$",
    re.IGNORECASE,
)
_DATE_LEVEL = re.compile(
    r"^((19|20)\d{2}[-./]?(0[1-9]|1[0-2])[-./]?([0-2]\d|3[01])|\d{1,2}[./]\d{1,2}[./](19|20)?\d{2})$"
)
_INSTRUMENT_LEVEL = re.compile(
    r"orbitrap|q[\s_\-]?exactive|exploris|fusion|lumos|astral|eclipse|timstof|triple[\s_\-]?tof|sciex|velos|synapt|maldi",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![a-z0-9])[+-]?\d+(?:[.,]\d+)?|(?<=[a-z_\-\s.])\d+(?:[.,]\d+)?", re.IGNORECASE)
_CHANNEL = re.compile(r"reporter\W*(ion\W*)?intensity", re.IGNORECASE)
_DOSE = re.compile(r"^(?P<number>\d+(?:[.,]\d+)?(?:e[+-]?\d+)?)\s*(?P<unit>[a-zµμ%°/]*)\.?$", re.IGNORECASE)
_INTERVAL = re.compile(r"^[\[(<>≥≤]?=?\s*(-?\d+(?:\.\d+)?)\s*(?:[-–,;]|to)\s*-?\d+(?:\.\d+)?\s*[\])]?$")
_DEVELOPMENT = re.compile(r"^(?P<stage>[EP])[\s_.\-]?(?P<number>\d+(?:\.\d+)?)$", re.IGNORECASE)
BIRTH = 19.0
"""Embryonic day that a postnatal day zero is put at: the length of a mouse's gestation, between 18.5 and 20 days."""
_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_SECONDS = {
    "s": 1.0, "sec": 1.0, "min": 60.0, "mins": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0, "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
_BASES = ("mol", "m", "g", "l", "ml", "gy", "v")


def plural(word: str) -> str:
    """Plural of what is counted.

    Examples
    --------
    >>> [plural(one) for one in ("sample", "mouse", "biopsy", "mice")]
    ['samples', 'mice', 'biopsies', 'mice']
    """
    irregular = {"mouse": "mice", "person": "people", "child": "children", "man": "men", "woman": "women"}
    if word in irregular or word in irregular.values():
        return irregular.get(word, word)
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return f"{word[:-1]}ies"
    return word if word.endswith("s") else f"{word}s"


def tokens(name: str) -> tuple[str, ...]:
    """Lower-case words of a column name or level: ``Bio.Rep`` -> bio, rep; ``MouseID`` -> mouse, id.

    Examples
    --------
    >>> tokens("_collection site"), tokens("MouseID"), tokens("characteristics[cell type]")
    (('collection', 'site'), ('mouse', 'id'), ('cell', 'type'))
    """
    found = _SDRF.match(name.strip())
    text = found[2] if found else name
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    text = re.sub(r"([A-Za-z])(\d)", r"\1 \2", re.sub(r"[^0-9A-Za-z]+", " ", text))
    return tuple(text.lower().split())


def is_sdrf_factor(name: str) -> bool:
    """Whether the name follows the SDRF convention for what an experiment varies: ``factor value[...]``."""
    found = _SDRF.match(name.strip())
    return found is not None and found[1].lower() == "factor value"


def is_sdrf_comment(name: str) -> bool:
    """Whether the name follows the SDRF convention for technical remarks: ``comment[...]``."""
    found = _SDRF.match(name.strip())
    return found is not None and found[1].lower() == "comment"


def names_subject(words: Sequence[str], kinds: frozenset[str] = SUBJECT) -> bool:
    """Whether a name says nothing but *which subject*: ``Patient_id``, ``MouseID``; not ``patient age``."""
    rest = kinds | IDENTIFIER | (SPECIMEN if kinds is SPECIMEN else frozenset())
    return bool(set(words) & kinds) and all(word in rest or word.isdigit() for word in words)


def names_batch(words: Sequence[str]) -> bool:
    """Whether a name speaks of how samples were handled: site, plate, run day; not a tumour's site."""
    if set(words) & ANATOMY:
        return False
    hit = set(words) & BATCH
    if hit == {"set"} or hit == {"run"}:
        return len(words) <= 2
    return bool(hit)


def looks_like_batches(levels: Iterable[str]) -> bool:
    """Whether all levels read like batches: ``plate 3``, ``Set1``, a date, the model of an instrument."""
    found = list(levels)
    for pattern in (_BATCH_LEVEL, _DATE_LEVEL):
        if len(found) > 1 and all(pattern.match(level.strip()) for level in found):
            return True
    return len(found) > 1 and all(_INSTRUMENT_LEVEL.search(level) for level in found)


def looks_like_events(levels: Iterable[str], words: Sequence[str]) -> bool:
    """Whether two levels say if something happened: alive/deceased, or 0/1 under an event's name."""
    found = {level.lower() for level in levels}
    if len(found) != 2 or not found <= EVENT_LEVELS:
        return False
    return bool(found & _LIFE) or bool(set(words) & EVENT)


def follows_up(name: str) -> bool:
    """Whether a column's name is that of a follow-up time: ``time``, ``os_months``, ``days to death``."""
    said = tokens(name)
    return said in (("time",), ("survival",)) or SURVIVAL.search(" ".join(said)) is not None


def amounts(levels: Sequence[str]) -> tuple[dict[str, float], bool] | None:
    """Number that each level stands for, and whether a unit backs it; None when they are no amounts.

    ``10fmol`` and ``5 fmol``, ``100 nM`` and ``1 uM``, ``0h`` and ``24h``, ``day 0`` and ``day 7``,
    ``(40,60]``, and embryonic beside postnatal days (``E15``, ``P3``), counted from conception.

    Examples
    --------
    >>> amounts(["1 uM", "100 nM"])
    ({'1 uM': 1e-06, '100 nM': 1e-07}, True)
    >>> amounts(["control", "treated"]) is None
    True
    >>> amounts(["E15", "P0", "P9"])
    ({'E15': 15.0, 'P0': 19.0, 'P9': 28.0}, True)
    """
    interval = {level: _INTERVAL.match(level.strip()) for level in levels}
    if all(interval.values()):
        return {level: float(match[1]) for level, match in interval.items() if match}, True
    born = _development(levels)
    if born is not None:
        return born, True
    scaled: dict[str, float] = {}
    kinds = set()
    for level in levels:
        match = _DOSE.match(level.strip())
        if not match:
            break
        number, unit = float(match["number"].replace(",", ".")), match["unit"]
        factor, kind = _unit(unit)
        scaled[level] = float(f"{number * factor:.12g}")
        if number:
            kinds.add(kind)
    else:
        if len(kinds) <= 1:
            return scaled, True
    skeletons = {_NUMBER.sub("#", level.strip().lower()) for level in levels}
    found = {level: _NUMBER.findall(level.strip()) for level in levels}
    if len(skeletons) == 1 and all(len(numbers) == 1 for numbers in found.values()):
        values = {level: float(numbers[0].replace(",", ".")) for level, numbers in found.items()}
        words = set(tokens(next(iter(skeletons)).replace("#", " ")))
        return values, bool(words & (RANKED | {"d", "h", "t", "v", "um", "nm", "fmol", "ng", "ug"}))
    return None


def _development(levels: Sequence[str]) -> dict[str, float] | None:
    """Days since conception of embryonic and postnatal days; None unless both kinds are there."""
    found = {level: _DEVELOPMENT.match(level.strip()) for level in levels}
    if not all(found.values()):
        return None
    if {match["stage"].upper() for match in found.values() if match} != {"E", "P"}:
        return None
    return {
        level: float(match["number"]) + (BIRTH if match["stage"].upper() == "P" else 0.0)
        for level, match in found.items()
        if match
    }


def are_ages(levels: Sequence[str]) -> bool:
    """Whether all levels are embryonic and postnatal days, which count as days since conception."""
    return _development(levels) is not None


def is_moment(name: str, levels: Sequence[str]) -> bool:
    """Whether a column holds moments: by its name, or by levels such as ``24h`` and ``E15``.

    Examples
    --------
    >>> is_moment("visit_day", []), is_moment("group", ["E15", "P0"]), is_moment("dose", ["1 uM", "2 uM"])
    (True, True, False)
    """
    if set(tokens(name)) & MOMENT:
        return True
    if len(levels) < 2:
        return False
    if _development(levels) is not None:
        return True
    matches = [_DOSE.match(level.strip()) for level in levels]
    return all(
        match and (match["unit"].lower() in _SECONDS or not float(match["number"].replace(",", ".")))
        for match in matches
    ) and any(match and match["unit"] for match in matches)


def is_dose(name: str, levels: Sequence[str]) -> bool:
    """Whether a column holds doses: by its name, or by levels with a unit of substance or mass.

    Examples
    --------
    >>> is_dose("conc_um", []), is_dose("drug", ["0", "10 nM", "1 uM"]), is_dose("time", ["0h", "1h"])
    (True, True, False)
    """
    if set(tokens(name)) & DOSE:
        return True
    matches = [_DOSE.match(level.strip()) for level in levels]
    units = {_unit(match["unit"])[1] for match in matches if match and match["unit"]}
    return bool(levels) and all(matches) and bool(units) and units <= set(_BASES)


def channels_without_sample(levels: Iterable[str]) -> frozenset[str]:
    """Levels that are channels of a labelling rather than groups of samples: carriers, blanks, unused and reference channels.

    One such word alone may be a group (carriers of a mutation, an empty vector); two of them describe a plex.

    Examples
    --------
    >>> sorted(channels_without_sample(["Monocyte", "Carrier", "Unused", "Reference"]))
    ['Carrier', 'Reference', 'Unused']
    >>> channels_without_sample(["carrier", "wildtype"])
    frozenset()
    """
    levels = list(levels)
    channels = [level for level in levels if _CHANNEL.match(level.strip())]
    plain = [level for level in levels if _joined(level) in _NO_SAMPLE]
    if len(plain) < 2:
        return frozenset(channels)
    known = REFERENCE_CHANNEL | {"references", "norms"}
    return frozenset([*channels, *plain, *(level for level in levels if _joined(level) in known)])


def is_bait_control(level: str) -> bool:
    """Whether a level reads like the control of a pulldown: ``Ctrl``, ``IgG``, ``empty vector``."""
    return _joined(level) in BAIT_CONTROL or bool(set(tokens(level)) & BAIT_CONTROL)


def bait_gene(level: str) -> str:
    """The gene that a bait's level may name: its first word, upper case (``Cbp1-TAP`` -> CBP1)."""
    found = re.match(r"[A-Za-z][A-Za-z0-9]+", level.strip())
    return found.group(0).upper() if found else ""


def is_reference_channel(name: str) -> bool:
    """Whether a sample's name or level says that it is the reference of a labelled set."""
    return bool(set(tokens(name)) & REFERENCE_CHANNEL)


def _unit(unit: str) -> tuple[float, str]:
    """Factor to a base unit, and the base unit's name."""
    if unit.lower() in _SECONDS:
        return _SECONDS[unit.lower()], "time"
    for base in _BASES:
        if unit.lower().endswith(base) and unit[: len(unit) - len(base)] in _PREFIX:
            return _PREFIX[unit[: len(unit) - len(base)]], base
    return 1.0, unit.lower()


def reference_level(levels: Sequence[str]) -> tuple[str, bool, str]:
    """The level that others are compared with: (level, whether it is known, why).

    Amounts: the lowest. Else the level whose words say control (wild type, healthy, vehicle ...), or the one
    of two levels that negates the other (``non-AD``), or the one of two whose partner reads like a case. Else
    the first in alphabetical order, which is a convention and no knowledge.

    Examples
    --------
    >>> reference_level(["biochemical AD", "biochemical control"])
    ('biochemical control', True, "'control' names a control")
    >>> reference_level(["25fmol", "10fmol"])[:2], reference_level(["AD", "non-AD"])[:2]
    (('10fmol', True), ('non-AD', True))
    """
    ordered = sorted(levels)
    bare = _without_shared_start(ordered)
    if {level.lower() for level in ordered} == {"0", "1"}:
        return "0", True, "0 against 1"
    found = amounts(ordered)
    if found is not None and (found[1] or not any(_score(level, REFERENCE) for level in ordered)):
        values, known = found
        lowest = min(ordered, key=lambda level: (values[level], level))
        pure = all(level.replace(".", "", 1).isdigit() for level in ordered)
        return (
            lowest,
            (known and not pure) or values[lowest] == 0,
            "the lowest amount" if known else "the lowest number",
        )
    for level in ordered:
        negated = _NEGATION.match(level.lower())
        if negated and any(negated[2] == other.lower() for other in ordered):
            return level, True, "negates another level"
    score = {level: max(_score(level, REFERENCE), _score(bare[level], REFERENCE)) for level in ordered}
    best = max(ordered, key=lambda level: score[level])
    tie = len(ordered) == 2 and len(set(score.values())) == 1
    if score[best] > 0 and not tie:
        spoken = (_joined(best), _joined(bare[best]), *tokens(best))
        return best, True, f"{next((word for word in spoken if word in REFERENCE), best)!r} names a control"
    if len(ordered) == 2:
        cases = [max(_score(level, CASE), _score(bare[level], CASE)) for level in ordered]
        if cases[0] != cases[1]:
            case = ordered[0] if cases[0] > cases[1] else ordered[1]
            return ordered[1] if case == ordered[0] else ordered[0], True, f"{case!r} reads like the case"
    return ordered[0], False, "first in alphabetical order"


def _without_shared_start(levels: Sequence[str]) -> dict[str, str]:
    """Levels without what all of them start with: ``IDHwt`` and ``IDHmut`` become ``wt`` and ``mut``."""
    shared = 0
    while (
        all(len(level) > shared + 1 for level in levels)
        and len({level[: shared + 1] for level in levels}) == 1
    ):
        shared += 1
    return {level: level[shared:] for level in levels}


def _joined(level: str) -> str:
    return re.sub(r"[^0-9a-z]+", "", level.lower())


def _score(level: str, words: frozenset[str]) -> float:
    """How clearly a level belongs to the words: most when it is one, less when it holds one."""
    if _joined(level) in words or level.strip().lower() in words:
        return 4.0 if _joined(level) in STRONG_REFERENCE else 3.0
    parts = [part for part in tokens(level) if part in words and not part.isdigit() and len(part) > 1]
    share = len(parts) / max(1, len(tokens(level)))
    return (1.0 + share + (0.5 if set(parts) & STRONG_REFERENCE else 0.0)) if parts else 0.0
