"""The data sets with a checked truth, one entry each, in the order of the table."""

from benchmarks.truth.data_sets import cells, clinical, isobaric, mechanism, spike_ins
from benchmarks.truth.data_sets.row import Row

ROWS: dict[str, Row] = {
    one.name: one for one in (*spike_ins.ROWS, *isobaric.ROWS, *clinical.ROWS, *mechanism.ROWS, *cells.ROWS)
}

__all__ = ["ROWS", "Row"]
