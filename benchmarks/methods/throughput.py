"""Reading molecules and one epoch of training beside chemprop and a plain torch-geometric loop, at equal size, in one run.

    python -m benchmarks.methods.throughput --chemprop PYTHON [--data FOLDER] [--molecules 10000] [--trained-on 2000]
        [--repeats 3]

`--chemprop` is the interpreter of an environment of its own with chemprop in it (``pip install chemprop torch==2.13.0``).
`--data` is the folder of the public data sets with ``moleculenet`` in it (by default NEREUS_DATA). Every arm is a process of
its own with one thread; arms take turns, and the median over the repeats counts. Compared are processor seconds, which other
work on the machine disturbs little; seconds on the wall stand beside them. Networks have three layers and equally many
parameters (within five in a hundred); chemprop is trained by a plain loop, without Lightning, and with its graphs kept in
memory. Timed is the second epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.truth.results import data_folder, store

NAME = "methods/throughput"
ARMS = ("nereus", "torch_geometric", "chemprop")
BATCH, WIDTH, LAYERS, CHEMPROP_WIDTH = 64, 160, 3, 312
ALLOWED_SECONDS = 10
Epoch = Callable[[], None]


def nereus_arm(smiles: list[str], y: Any, told: dict[str, Any], timed: Callable[[str, Epoch], None]) -> None:
    """Packed graphs, the shared graph network, the training loop of the library."""
    import numpy as np
    import torch
    from torch import nn

    from nereus.models.config import TrainingOptions
    from nereus.models.molecules.graphs import featurise
    from nereus.models.molecules.graphs.encoder import GraphEncoder, mean_pool
    from nereus.models.molecules.graphs.features import ATTRIBUTED
    from nereus.models.training import Session, train
    from nereus.models.training.batches import made, shuffled_rows

    found: list[Any] = []
    timed("featurising", lambda: found.append(featurise(smiles, ATTRIBUTED)[0]))
    graphs = found[0]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = GraphEncoder(ATTRIBUTED, WIDTH, LAYERS), nn.Linear(WIDTH, 1)

        def forward(self, graph: Any) -> Any:
            return self.head(mean_pool(self.encoder(graph)[-1], graph)).squeeze(1)

    class Fitting:
        def __init__(self, network: nn.Module) -> None:
            self.network = network

        def batches(self, rng: np.random.Generator) -> Any:
            return made(shuffled_rows(len(y), BATCH, rng), np.asarray)

        def losses(self, rows: Any) -> dict[str, Any]:
            return {"total": ((self.network(graphs.batch(rows)) - y[torch.as_tensor(rows)]) ** 2).mean()}

        def validate(self) -> None:
            return None

    network = Network()
    told["parameters"] = sum(one.numel() for one in network.parameters())
    marks: list[tuple[float, float]] = []
    session = Session(progress=lambda _: marks.append((time.process_time(), time.perf_counter())))
    train(network, Fitting(network), TrainingOptions(epochs=2, batch_size=BATCH), seed=0, session=session)
    told["epoch"] = {"processor": marks[1][0] - marks[0][0], "wall": marks[1][1] - marks[0][1]}


def torch_geometric_arm(
    smiles: list[str], y: Any, told: dict[str, Any], timed: Callable[[str, Epoch], None]
) -> None:
    """`from_smiles`, `DataLoader`, `GINEConv`: what its tutorials do."""
    import torch
    from torch import nn
    from torch_geometric.loader import DataLoader
    from torch_geometric.nn import GINEConv, global_mean_pool
    from torch_geometric.utils import from_smiles
    from torch_geometric.utils.smiles import e_map, x_map

    graphs: list[Any] = []
    timed("featurising", lambda: graphs.extend(map(from_smiles, smiles)))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.atoms = nn.ModuleList(nn.Embedding(len(one), WIDTH) for one in x_map.values())
            self.bonds = nn.ModuleList(nn.Embedding(len(one), WIDTH) for one in e_map.values())
            self.layers = nn.ModuleList(
                GINEConv(nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH)))
                for _ in range(LAYERS)
            )
            self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) for _ in range(LAYERS))
            self.head = nn.Linear(WIDTH, 1)

        def forward(self, data: Any) -> Any:
            h = sum(table(data.x[:, i]) for i, table in enumerate(self.atoms))
            e = sum(table(data.edge_attr[:, i]) for i, table in enumerate(self.bonds))
            for layer, norm in zip(self.layers, self.norms, strict=True):
                h = torch.relu(norm(layer(h, data.edge_index, e)))
            return self.head(global_mean_pool(h, data.batch, data.num_graphs)).squeeze(1)

    for graph, value in zip(graphs, y, strict=False):
        graph.y = value
    network = Network()
    told["parameters"] = sum(one.numel() for one in network.parameters())
    loader = DataLoader(graphs[: len(y)], batch_size=BATCH, shuffle=True)
    _plain_epochs(network, loader, lambda one: (network(one), one.y), timed)


def chemprop_arm(
    smiles: list[str], y: Any, told: dict[str, Any], timed: Callable[[str, Epoch], None]
) -> None:
    """Directed message passing over bonds with its defaults."""
    from chemprop.data import MoleculeDatapoint, MoleculeDataset, build_dataloader
    from chemprop.models import MPNN
    from chemprop.nn import BondMessagePassing, MeanAggregation, RegressionFFN

    found: list[Any] = []

    def read(texts: list[str], values: Any) -> None:
        points = [MoleculeDatapoint.from_smi(text, [float(v)]) for text, v in zip(texts, values, strict=True)]
        dataset = MoleculeDataset(points)
        dataset.cache = True
        found.append(dataset)

    timed("featurising", lambda: read(smiles, [0.0] * len(smiles)))
    read(smiles[: len(y)], y)
    network = MPNN(
        BondMessagePassing(d_h=CHEMPROP_WIDTH), MeanAggregation(), RegressionFFN(input_dim=CHEMPROP_WIDTH)
    )
    told["parameters"] = sum(one.numel() for one in network.parameters())
    loader = build_dataloader(found[-1], batch_size=BATCH, shuffle=True)
    _plain_epochs(network, loader, lambda one: (network(one.bmg)[:, 0], one.Y[:, 0]), timed)


def _plain_epochs(
    network: Any,
    loader: Any,
    answer: Callable[[Any], tuple[Any, Any]],
    timed: Callable[[str, Epoch], None],
) -> None:
    import torch

    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network.train()

    def epoch() -> None:
        for batch in loader:
            found, truth = answer(batch)
            loss = ((found - truth.to(found.dtype)) ** 2).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    epoch()
    timed("epoch", epoch)


def run_arm(arm: str, file: Path, trained_on: int) -> dict[str, Any]:
    """One arm in this process."""
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    smiles = file.read_text(encoding="utf-8").split()
    y = torch.randn(trained_on)
    told: dict[str, Any] = {"arm": arm}

    def timed(name: str, run: Epoch) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        run()
        told[name] = {
            "processor": time.process_time() - processor,
            "wall": time.perf_counter() - wall,
        }

    {"nereus": nereus_arm, "torch_geometric": torch_geometric_arm, "chemprop": chemprop_arm}[arm](
        smiles, y, told, timed
    )
    packages = ("torch", "rdkit", {"nereus": "numpy", "torch_geometric": "torch-geometric"}.get(arm, arm))
    told["versions"] = {package: version(package) for package in packages}
    return told


def readable(folder: Path, n: int) -> list[str]:
    """The first `n` molecules of HIV that RDKit can read and that have a bond."""
    import pandas as pd
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    found = []
    for text in pd.read_csv(folder / "moleculenet" / "HIV.csv.gz")["smiles"]:
        molecule = Chem.MolFromSmiles(text)
        if molecule is not None and molecule.GetNumBonds():
            found.append(text)
        if len(found) == n:
            break
    return found


def two_processes(smiles: list[str]) -> dict[str, float]:
    """Seconds on the wall of featurising with two processes, from a fresh start of both."""
    from nereus.models.molecules.graphs import featurise
    from nereus.models.molecules.graphs.features import ATTRIBUTED

    started = time.perf_counter()
    featurise(smiles, ATTRIBUTED, workers=2)
    return {"wall": time.perf_counter() - started}


def summary(runs: list[dict[str, Any]], molecules: int, trained_on: int) -> dict[str, Any]:
    """Medians by arm, molecules a processor second, and the share of our time in that of the others."""
    found: dict[str, Any] = {}
    for arm in ARMS:
        own = [one for one in runs if one["arm"] == arm]
        if not own:
            continue
        found[arm] = {"parameters": own[0]["parameters"], "versions": own[0]["versions"]}
        for what, n in (("featurising", molecules), ("epoch", trained_on)):
            seconds = {
                clock: statistics.median(one[what][clock] for one in own) for clock in ("processor", "wall")
            }
            rate = n / seconds["processor"]
            found[arm][what] = {**seconds, "molecules_per_processor_second": rate}
    for arm in [one for one in ARMS[1:] if one in found]:
        found[f"times_as_fast_as_{arm}"] = {
            what: found[arm][what]["processor"] / found["nereus"][what]["processor"]
            for what in ("featurising", "epoch")
        }
    return found


def main() -> None:
    """Let the arms take turns and store the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--chemprop", type=Path, help="interpreter with chemprop; without it that arm is left out"
    )
    parser.add_argument("--data")
    parser.add_argument("--molecules", type=int, default=10_000)
    parser.add_argument("--trained-on", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--smiles", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(run_arm(given.arm, given.smiles, given.trained_on)))
        return
    smiles = readable(data_folder(given.data), given.molecules)
    interpreters = {"nereus": sys.executable, "torch_geometric": sys.executable}
    if given.chemprop:
        interpreters["chemprop"] = str(given.chemprop)
    started, runs = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "molecules.smi"
        file.write_text("\n".join(smiles), encoding="utf-8")
        for repeat in range(given.repeats):
            for arm, python in interpreters.items():
                command = [python, "-m", "benchmarks.methods.throughput", "--arm", arm, "--smiles", str(file)]
                done = subprocess.run(
                    [*command, "--trained-on", str(given.trained_on)],
                    env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(f"{arm} failed:\n{done.stderr[-2000:]}")
                runs.append({"repeat": repeat, **json.loads(done.stdout.splitlines()[-1])})
                print(runs[-1], flush=True)
    both = two_processes(smiles)
    found = summary(runs, len(smiles), given.trained_on)
    met = {
        f"featurising_within_{ALLOWED_SECONDS}_processor_seconds": found["nereus"]["featurising"]["processor"]
        <= ALLOWED_SECONDS
    }
    for other in interpreters:
        if other != "nereus":
            ratio = found[f"times_as_fast_as_{other}"]
            met |= {f"{what}_not_slower_than_{other}": ratio[what] >= 1 for what in ratio}
    content = {
        "seeds": [0],
        "load_average": os.getloadavg()[0],
        "data": f"{len(smiles)} molecules of HIV (MoleculeNet); epochs of {given.trained_on}, batches of {BATCH}",
        "figures": {**found, "featurising_by_two_processes": both, "acceptance": met},
        "runs": runs,
    }
    store(
        NAME, content, module="benchmarks.methods.throughput", arguments=sys.argv[1:],
        seconds=time.perf_counter() - started,
    )  # fmt: skip
    print(json.dumps(content["figures"], indent=1))


if __name__ == "__main__":
    main()
