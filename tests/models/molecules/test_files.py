"""SD and SMILES files as tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from nereus.errors import InputError
from nereus.models.molecules.files import is_molecule_file, read_molecule_file
from nereus.tool_commands import read_rows, read_table_file


def records(folder: Path, *, placed: bool) -> Path:
    """Ethanol and benzoate with fields, and between them a record that is no molecule."""
    file = folder / "molecules.sdf"
    with Chem.SDWriter(str(file)) as writer:
        for name, smiles, value in (("ethanol", "CCO", "-0.3"), ("benzoate", "O=C([O-])c1ccccc1", "")):
            molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
            if placed:
                AllChem.EmbedMolecule(molecule, randomSeed=1)
            molecule.SetProp("_Name", name)
            molecule.SetProp("logP", value)
            molecule.SetProp("smiles", "as drawn")
            writer.write(molecule)
    ethanol, benzoate = file.read_text(encoding="utf-8").split("$$$$\n")[:2]
    broken = ethanol.replace("ethanol", "broken").replace(" C ", " Qq", 1).replace("-0.3", "7")
    file.write_text("$$$$\n".join([ethanol, broken, benzoate, ""]), encoding="utf-8")
    return file


@pytest.mark.parametrize("placed", [True, False])
def test_records_with_their_fields(tmp_path: Path, placed: bool) -> None:
    table = read_table_file(records(tmp_path, placed=placed))
    assert table["name"].tolist() == ["ethanol", "broken", "benzoate"]
    assert table["smiles"].tolist() == ["CCO", None, "O=C([O-])c1ccccc1"]
    assert table["logP"].tolist() == pytest.approx([-0.3, 7, float("nan")], nan_ok=True)
    assert table["smiles (field)"].tolist() == ["as drawn"] * 3
    assert ("structure" in table) is placed
    if placed:
        block = Chem.MolFromMolBlock(table["structure"][0], removeHs=False)
        assert block.GetNumAtoms() == 9
        assert block.GetConformer().Is3D()
    assert list(read_rows(tmp_path / "molecules.sdf")[1]) == ["name", "smiles", "logP", "smiles (field)"]


def test_a_gzipped_file_with_line_ends_of_windows_reads_alike(tmp_path: Path) -> None:
    file = records(tmp_path, placed=True)
    packed = tmp_path / "packed.SDF.gz"
    packed.write_bytes(gzip.compress(file.read_bytes().replace(b"\n", b"\r\n")))
    assert read_table_file(packed).equals(read_table_file(file))


def test_lines_of_smiles_with_and_without_names_or_header(tmp_path: Path) -> None:
    file = tmp_path / "library.smi"
    file.write_text("CCO ethyl alcohol\n\nC1CC\tbroken\n", encoding="utf-8")
    assert read_table_file(file).to_dict("list") == {
        "smiles": ["CCO", "C1CC"],
        "name": ["ethyl alcohol", "broken"],
    }
    file.write_text("CCO\nCCN\n", encoding="utf-8")
    assert read_table_file(file).to_dict("list") == {"smiles": ["CCO", "CCN"]}
    file.write_text("structure\nCCO\nCCN\n", encoding="utf-8")
    assert read_table_file(file).to_dict("list") == {"structure": ["CCO", "CCN"]}


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    assert not is_molecule_file(Path("table.csv"))
    with pytest.raises(InputError, match="there is no such file"):
        read_molecule_file(tmp_path / "none.sdf")
    (tmp_path / "text.sdf").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="the file has no record"):
        read_molecule_file(tmp_path / "text.sdf")
    (tmp_path / "broken.sdf.gz").write_bytes(b"\x1f\x8b no")
    with pytest.raises(InputError, match="the file cannot be read"):
        read_molecule_file(tmp_path / "broken.sdf.gz")
