"""What can be fetched: each file with its address, the hash of its content, its licence and its source.

Knowledge that may be shipped is part of the package (`nereus/tools/enrichment/data`). Files listed here are larger, or their
terms do not allow shipping: they are fetched by the user, or found in the folder of setting `data` (NEREUS_DATA).
"""

from __future__ import annotations

from difflib import get_close_matches

from nereus.errors import InputError
from nereus.tools.knowledge.entry import GITHUB, Entry, Use
from nereus.tools.knowledge.training_sets import TRAINING_SETS

__all__ = ["ENTRIES", "Entry", "entry", "of_use"]

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "omnipath_ptms",
        "kinase-substrate",
        "omnipath_ptms.txt",
        f"{GITHUB}/saezlab/kinact/572d3a8ace91c211ffb83521967010d4654c035a/kinact/data/omnipath_ptms.txt",
        "b7d699abdecfcef521e37e7b58c3655be5a13caf21b5c23c811001c450b9137b",
        882_458,
        "mixed terms of its databases (some for academic use only): not for redistribution",
        "OmniPath: Türei, Korcsmáros & Saez-Rodriguez 2016 Nat Methods 13:966",
        "Enzymes and the sites that they modify in human proteins.",
    ),
    Entry(
        "dorothea",
        "factor-target",
        "dorothea_hs_ABC.csv",
        None,
        "5865a24bdae51fbe55138ab0d9e10b40923620a271972da7a53e70ffae06c31c",
        233_796,
        "GPL-3, with mixed terms of its resources: not for redistribution",
        "DoRothEA: Garcia-Alonso et al. 2019 Genome Res 29:1363",
        "Transcription factors and their targets in human, confidence A to C, exported from the R package dorothea.",
    ),
    Entry(
        "omnipath_signalling",
        "signalling",
        "omnipath_carnival.tsv",
        f"{GITHUB}/saezlab/transcriptutorial/f97a5eac940b735a9ff2afa4686b74ef08ec9e32/support/omnipath_carnival.tsv",
        "d41ec9b8ad208c19ab15d6aa4c73c22673452ac0c57cc32f8428602952e3f7e9",
        323_736,
        "mixed terms of its databases: not for redistribution",
        "OmniPath: Türei, Korcsmáros & Saez-Rodriguez 2016 Nat Methods 13:966",
        "Signed and directed interactions of human signalling proteins.",
    ),
    Entry(
        "panglaodb",
        "cell-markers",
        "PanglaoDB_markers_27_Mar_2020.tsv",
        f"{GITHUB}/Xenon8778/scAutoCT/7c4382c0e2c3cd79da452da4883ec8c86e6c0fcd/data/PanglaoDB_markers_27_Mar_2020.tsv",
        "e2bc769990f66e54246a68ff2eface3cb5cd540b7db68df4b5ea64ad5447049f",
        1_227_629,
        "terms unclear: not for redistribution",
        "PanglaoDB: Franzén, Gan & Björkegren 2019 Database baz046",
        "Marker genes of cell types in human and mouse.",
    ),
    Entry(
        "cellmarker_human",
        "cell-markers",
        "CellMarker2_Human_Aug.csv",
        f"{GITHUB}/Xenon8778/scAutoCT/7c4382c0e2c3cd79da452da4883ec8c86e6c0fcd/data/CellMarker2_Human_Aug.csv",
        "ac22b28d48efe1bcbdc4b32d21fdc4a726d66c943b0ad606a5b3edeb4985e3f3",
        374_147,
        "terms unclear: not for redistribution",
        "CellMarker 2.0: Hu et al. 2023 Nucleic Acids Res 51:D870",
        "Marker genes of human cell types.",
        aliases=("CellMarker2_human.csv",),
    ),
    Entry(
        "hyperlopit_mouse",
        "data set",
        "hyperLOPIT-SIData-ms3-rep12-intersect.csv",
        f"{GITHUB}/lgatto/pRolocdata/2571b3031c11d05c332e8ba0aa812824678baa43/inst/extdata/"
        "hyperLOPIT-SIData-ms3-rep12-intersect.csv.gz",
        "cba43a0510d7ab4a0928f9c32b7d817f915d2dd0e9e1a31d13ea02ce525a490b",
        1_745_561,
        "GPL-2 (R package pRolocdata)",
        "Christoforou et al. 2016 Nat Commun 7:9992",
        "Organelle map of mouse stem cells, twenty fractions, with markers.",
        packed_sha256="2b3ebcbcf7d10e1789d3503ef740f27f8bfae7b2fd6321b2fd24bf5f36194ab4",
    ),
    Entry(
        "tmt_mouse_lens",
        "data set",
        "iovs-58-13-55_s01.csv",
        f"{GITHUB}/pwilmart/IRS_normalization/a0f1040f2d32edc772ef26c1c30869091a0c73dc/iovs-58-13-55_s01.csv",
        "df07cbfa80274c769aa9beedfbee67a0921ac17b4e133cda164ac364d426b811",
        1_026_322,
        "MIT (repository)",
        "Khan et al. 2018 IOVS 59:100; Plubell et al. 2017 Mol Cell Proteomics 16:873",
        "Developing mouse lens, six ages in three TMT sets: internal reference scaling.",
    ),
    Entry(
        "alzheimer_csf",
        "data set",
        "proteome.csv",
        f"{GITHUB}/RasmussenLab/njab/00a48f214489cf61994e514c2f88e47eb99f17ee/docs/tutorial/data/alzheimer/proteome.csv",
        "9fbcdeb0131e1d24ee8ed0212a2ac9b4201ad4b6ac39da3c80c966d2b620cab2",
        3_434_747,
        "MIT (repository)",
        "Bader et al. 2020 Mol Syst Biol 16:e9356",
        "Cerebrospinal fluid of 210 people from three sites, with and without Alzheimer's disease.",
    ),
    Entry(
        "alzheimer_csf_samples",
        "data set",
        "meta.csv",
        f"{GITHUB}/RasmussenLab/njab/00a48f214489cf61994e514c2f88e47eb99f17ee/docs/tutorial/data/alzheimer/meta.csv",
        "bb73c7b8ac3ae12bca6a35eb470d000bbc045497c96beb34efd0fc2ba13c5220",
        16_643,
        "MIT (repository)",
        "Bader et al. 2020 Mol Syst Biol 16:e9356",
        "Sample sheet of alzheimer_csf.",
    ),
    *TRAINING_SETS,
)


def entry(name: str) -> Entry:
    """The entry called `name`.

    Raises
    ------
    InputError
        With the nearest names where there is none.
    """
    found = next((one for one in ENTRIES if one.name == name), None)
    if found is None:
        names = [one.name for one in ENTRIES]
        near = get_close_matches(name, names, n=3) or names
        raise InputError(
            f"there is no data called {name!r}", mend=f"perhaps {', '.join(near)}; see `nereus data list`"
        )
    return found


def of_use(use: Use) -> tuple[Entry, ...]:
    """Entries that are good for something, in the order of preference.

    Examples
    --------
    >>> [one.name for one in of_use("kinase-substrate")]
    ['omnipath_ptms']
    """
    return tuple(one for one in ENTRIES if one.use == use)
