"""The check of the docs finds what they name and is not there."""

import subprocess
from pathlib import Path

import pytest

from ops.lint import docs, markdown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for name in ("flows/ml/lake.py", "docs/guide.md", "examples/tlc/green_2023-01.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "docs" / "guide.md").write_text("# The way of the data, in short\n")
    (tmp_path / "Makefile").write_text("PYTHON := x\ndemo: ## Run\n\t@true\ninstall-tests unit: ## Install\n\t@true\n")
    (tmp_path / "prefect.yaml").write_text("deployments: [{name: trips, flow_name: retrain}]\n")
    return tmp_path


def findings(repository: Path, text: str, name: str = "README.md") -> list[str]:
    (repository / name).write_text(text)
    return [str(finding) for finding in docs.check(repository)]


def test_the_repositorys_docs_pass() -> None:
    assert docs.check(ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "See [the guide](docs/guide.md), [its heading](docs/guide.md#the-way-of-the-data-in-short), [all](docs/).",
        "[A site](https://example.org/none.md) and [mail](mailto:a@example.org)",
        "`flows/ml/lake.py`, `flows/ml/`, `flows/ml/lake.py:connect`, `lake.py`, `ml/lake.py`, `./flows/ml/lake.py`",
        "`examples/tlc/green_{month}.parquet` and `examples/tlc/<file>` and `examples/tlc/*.parquet`",
        "`raw/trips/2023-01` is in the lake, `text/html` is a media type, `flows/` a folder",
        "`make demo`, `make -s unit UPGRADE=1`, `make -C elsewhere thing`, and make sure of it",
        "```\nmake demo     # installs what it needs\nCI=1 make unit && make install-tests\n```",
        "`retrain/trips`",
        "http://localhost:4200 and https://example.org/home/page",
    ],
)
def test_what_exists_passes(repository: Path, text: str) -> None:
    assert findings(repository, text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x](docs/gone.md)", "the link leads to docs/gone.md, which does not exist"),
        ("![x](docs/gone.png)", "the link leads to docs/gone.png, which does not exist"),
        ("[x](docs/guide.md#gone)", "the link leads to a heading #gone, which docs/guide.md has not"),
        ("[x][1]\n\n[1]: ../outside.md", "the link leads to ../outside.md, which does not exist"),
        ("`flows/ml/gone`", "`flows/ml/gone` does not exist"),
        ("`flows/ml/gone.py:connect`", "`flows/ml/gone.py` does not exist"),
        ("`flow/ml/lake.py`", "`flow/ml/lake.py`: there is no such file"),
        ("`gone.py`", "`gone.py`: there is no such file"),
        ("`examples/tlc/yellow_{month}.parquet`", "`examples/tlc/yellow_{month}.parquet` does not exist"),
        ("`make demos`", "`make demos`: there is no such verb; did you mean `demo`?"),
        ("`eval $(make -s env)`", "`make env`: there is no such verb"),
        ("`retrain/trip`", "`retrain/trip`: there is no such deployment; did you mean `retrain/trips`?"),
        ("It lies in /home/someone/clone.", "/home/someone/clone. is a path of one machine"),
    ],
)
def test_what_does_not_exist_is_found(repository: Path, text: str, message: str) -> None:
    assert findings(repository, text) == [f"README.md:1: {message}"]


def test_blocks_are_read_line_by_line(repository: Path) -> None:
    found = findings(repository, "# A\n\n```sh\nmake demo\nmake gone\ncat flows/none.py\n```\n")

    assert found == ["README.md:5: `make gone`: there is no such verb", "README.md:6: `flows/none.py` does not exist"]


def test_a_cell_of_a_table_is_read(repository: Path) -> None:
    found = findings(repository, "| a | b |\n| --- | --- |\n| 1 | `make gone` |\n")

    assert found == ["README.md:3: `make gone`: there is no such verb"]


def test_links_of_a_page_in_a_folder_start_there(repository: Path) -> None:
    found = findings(repository, "[up](../Makefile) [beside](guide.md) [wrong](docs/guide.md)", "docs/page.md")

    assert found == ["docs/page.md:1: the link leads to docs/docs/guide.md, which does not exist"]


def test_a_file_that_git_ignores_does_not_exist_for_others(repository: Path) -> None:
    (repository / "docs" / "run.log").write_text("")

    assert findings(repository, "`docs/run.log`") == ["README.md:1: `docs/run.log` does not exist"]


def test_lines_are_counted_within_a_paragraph() -> None:
    page = markdown.read("one\ntwo `a`\nthree `b`\n")

    assert [(span.line, span.text) for span in page.spans] == [(2, "a"), (3, "b")]
