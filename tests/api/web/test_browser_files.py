"""Several files on the page: told apart by their contents, corrected, and given to a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Server
from tests.api.web.conftest import Visit
from tests.api.web.test_browser import wait_for_status
from tests.tools.proteomics.readers.test_file_roles import OTHERS, SAMPLES, sheet, table

pytestmark = pytest.mark.long


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rna = [f"{name}_rna" for name in SAMPLES]
    made = [
        sheet(tmp_path / "clinic.csv", SAMPLES, rna),
        sheet(tmp_path / "more.csv", OTHERS),
        table(tmp_path / "RNAseq_counts.csv", rna, "ENSG0000000", n=90),
        table(tmp_path / "proteins_B.csv", OTHERS),
        table(tmp_path / "proteins_A.csv", SAMPLES, n=60),
    ]
    return {path.name: path for path in made}


def dropped(page: Any, files: dict[str, Path]) -> None:
    """Let files fall where they are asked for."""
    page.evaluate(
        """(files) => {
          const data = new DataTransfer();
          for (const [name, text] of files) data.items.add(new File([text], name, { type: "text/csv" }));
          const place = document.querySelector(".drop");
          place.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
          place.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [[name, path.read_text()] for name, path in files.items()],
    )


def shown(page: Any) -> dict[str, str]:
    """File to what the page says that it is."""
    places = page.get_by_label(re.compile(r"^What .* is$"))
    places.first.wait_for()
    return {
        str(one.get_attribute("aria-label"))[5:-3]: str(
            one.evaluate("select => select.selectedOptions[0].textContent")
        )
        for one in places.all()
    }


def test_files_dropped_together_are_understood_corrected_and_given_to_a_run(
    visit: Visit, server: Server, files: dict[str, Path]
) -> None:
    page = visit.open()
    page.get_by_role("button", name="See what it is").wait_for()
    dropped(page, files)
    assert set(shown(page).values()) == {"find out what it is"}
    page.get_by_role("button", name="See what it is").click()
    page.get_by_text("Samples and groups").wait_for()
    assert shown(page) == {
        "proteins_A.csv": "the data",
        "clinic.csv": "the sample sheet",
        "proteins_B.csv": "a second cohort",
        "more.csv": "the cohort's sample sheet",
        "RNAseq_counts.csv": "another layer of the same samples",
    }
    layer = page.get_by_label("Name of the layer RNAseq_counts.csv")
    assert layer.input_value() == "rna"

    page.get_by_label("What proteins_B.csv is").select_option("layer")
    page.get_by_text("it shares 0 samples with the data").wait_for()
    page.get_by_label("What proteins_B.csv is").select_option("cohort")
    page.get_by_text("it shares 0 samples with the data").wait_for(state="detached")
    layer.fill("My mRNA!")
    layer.press("Enter")
    page.wait_for_url(re.compile("layer%3Amy_mrna"))
    page.get_by_label("What proteins_A.csv is").select_option("samples")  # the two change places
    page.get_by_label("What clinic.csv is").select_option("samples")
    assert shown(page)["proteins_A.csv"] == "the data"
    page.get_by_label("What proteins_A.csv is").select_option("layer")
    page.get_by_text("one of the files must be the data").wait_for()

    page.get_by_role("button", name="Remove more.csv").click()
    page.get_by_label("What more.csv is").wait_for(state="detached")
    page.get_by_label("Add files").set_input_files(str(files["more.csv"]))
    page.get_by_label("What more.csv is").wait_for()
    assert shown(page)["more.csv"] == "the cohort's sample sheet"

    page.get_by_label("What do you want to know?").fill("What differs?")
    page.get_by_label("Ask me before").select_option("always")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    wait_for_status(page, "cancelled")
    with server.client() as client:
        run = client.get(f"/api/runs/{page.url.split('#/runs/')[1].split('/')[0]}").json()
    assert run["inputs"] == {
        "data": "proteins_A.csv",
        "samples": "clinic.csv",
        "cohort": "proteins_B.csv",
        "cohort_samples": "more.csv",
        "layer:my_mrna": "RNAseq_counts.csv",
    }
    assert visit.faults == []


def test_places_that_cannot_be_are_told_before_the_upload(visit: Visit, files: dict[str, Path]) -> None:
    page = visit.open()
    page.get_by_label("Data", exact=True).set_input_files(str(files["proteins_A.csv"]))
    page.get_by_label("More files").set_input_files([str(files["clinic.csv"]), str(files["more.csv"])])
    page.get_by_label("What clinic.csv is").select_option("data")
    page.get_by_text("Two files have the same place.").wait_for()
    assert page.get_by_role("button", name="See what it is").is_disabled()
    page.get_by_role("button", name="Remove proteins_A.csv").click()
    page.get_by_label("What clinic.csv is").select_option("samples")
    page.get_by_label("What more.csv is").select_option("cohort_samples")
    page.get_by_text("No file is the data.").wait_for()
    assert visit.faults == []


def test_what_is_asked_stays_while_files_are_corrected(visit: Visit, files: dict[str, Path]) -> None:
    page = visit.open()
    page.get_by_label("Data", exact=True).set_input_files(str(files["proteins_A.csv"]))
    page.get_by_label("More files").set_input_files(str(files["clinic.csv"]))
    page.get_by_role("button", name="See what it is").click()
    question = page.get_by_label("What do you want to know?")
    question.fill("Which proteins follow the age?")
    page.get_by_label("How far").select_option("deep")
    page.get_by_label("Ask me before").select_option("costly")
    page.get_by_role("button", name="Remove clinic.csv").click()
    page.get_by_label("What clinic.csv is").wait_for(state="detached")
    question.wait_for()
    assert question.input_value() == "Which proteins follow the age?"
    page.get_by_label("Add files").set_input_files(str(files["clinic.csv"]))
    page.get_by_label("What clinic.csv is").wait_for()
    question.wait_for()
    assert question.input_value() == "Which proteins follow the age?"
    assert page.get_by_label("How far").input_value() == "deep"
    assert page.get_by_label("Ask me before").input_value() == "costly"
    assert visit.faults == []
