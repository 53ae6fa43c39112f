"""Consensus motifs of kinase families: which family can have made a phosphorylation site, from its sequence alone.

They need no table of known substrates and hold in every animal, but tell families and not single kinases. Positions count
from the phosphorylated residue; the motifs are the textbook consensus (Pearson & Kemp 1991, Methods Enzymol 200:62; Obata et
al. 2000, J Biol Chem 275:36108; Kim et al. 1999, J Biol Chem 274:37538; Miller & Turk 2018, Trends Biochem Sci 43:380).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Motif:
    """One consensus.

    Attributes
    ----------
    source
        Short name: what the motif is called in tables.
    kinases
        Families that favour it.
    before, residue, after
        Regular expressions of the residues in front, of the phosphorylated residue and behind it.
    """

    source: str
    kinases: str
    before: str
    residue: str
    after: str = ""

    def fits(self, window: str) -> bool:
        """Whether a window of odd length with the site in its middle has the motif.

        Examples
        --------
        >>> MOTIFS[0].fits("GRPRTTSFAES")
        True
        """
        middle = len(window) // 2
        return bool(
            re.search(f"(?:{self.before})\\Z", window[:middle])
            and re.fullmatch(self.residue, window[middle])
            and re.match(self.after, window[middle + 1 :])
        )


MOTIFS: tuple[Motif, ...] = (
    Motif("RxRxx[ST] (AKT, S6K, SGK, RSK)", "AKT1 AKT2 AKT3 RPS6KB1 SGK1 RPS6KA1", "R.R..", "[ST]"),
    Motif("[RK][RK]x[ST] (PKA, PKG)", "PRKACA PRKACB PRKG1", "[RK][RK].", "[ST]"),
    Motif("RxxS (CaMK2)", "CAMK2A CAMK2B CAMK2D", "R..", "S", "[^P]"),
    Motif("LxRxx[ST] (AMPK, CaMK1, PKD)", "PRKAA1 PRKAA2 CAMK1 PRKD1", "[LMIVF].[RKH]..", "[ST]"),
    Motif("[ST]Px[RK] (CDK)", "CDK1 CDK2 CDK5", "", "[ST]", "P.[RK]"),
    Motif("Px[ST]P (MAPK)", "MAPK1 MAPK3 MAPK8 MAPK14", "P.", "[ST]", "P"),
    Motif("SxxxS (GSK3)", "GSK3A GSK3B", "", "[ST]", "...[ST]"),
    Motif("[ST]xx[DE] (CK2)", "CSNK2A1 CSNK2A2", "", "[ST]", "..[DE]"),
    Motif("[ST]Q (ATM, ATR, DNA-PK)", "ATM ATR PRKDC", "", "[ST]", "Q"),
    Motif("[DEN]x[ST] (PLK)", "PLK1 PLK2 PLK3", "[DEN].", "[ST]", "[^P]"),
    Motif("[RK]x[ST][^P] (PKC)", "PRKCA PRKCB PRKCD", "[RK].", "[ST]", "[FLIVM].|.[RK]"),
    Motif("RRxS[ILV] (AURK)", "AURKA AURKB", "[RK]R.", "[ST]", "[ILVM]"),
)
"""Motifs, the most specific of each kind first."""
