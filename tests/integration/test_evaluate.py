"""`make evaluate`: a change of the model against what it would replace, each trained by its own code."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from flows import models
from flows.ml.definition import Verdict
from ops import evaluate
from ops.evaluate import NotEvaluated

ROOT = Path(__file__).resolve().parents[2]
MODEL = models.load("trip-duration")
FILE = Path("flows", "models", "trip_duration.py")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fifth of two months: enough rows for the gate, and trained on in a second."""
    folder = tmp_path_factory.mktemp("months")
    found = {month: path for month, path in evaluate.months(ROOT).items() if month < "2023-03"}
    for month, path in found.items():
        pl.read_parquet(path).gather_every(5).write_parquet(folder / path.name)
        found[month] = folder / path.name
    return found


def changed(folder: Path, before: str, after: str) -> Path:
    """A checkout with a change of its model."""
    shutil.copytree(ROOT / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / FILE).read_text()
    assert before in text
    (folder / FILE).write_text(text.replace(before, after))
    return folder


def run(base: Path, files: dict[str, Path]) -> Verdict:
    return evaluate.evaluate(ROOT, MODEL, base, files)[0]


def test_a_better_model_is_seen_to_be_better_than_its_base(tmp_path: Path, files: dict[str, Path]) -> None:
    verdict = run(changed(tmp_path, "rounds=100", "rounds=5"), files)

    assert verdict.decision == "promote"
    assert verdict.difference is not None
    assert verdict.difference.high < 0
    assert {part.slice for part in verdict.slices} == {"zone group", "hour band", "day", "distance band"}


def test_the_same_model_gives_the_same_predictions(files: dict[str, Path]) -> None:
    verdict = run(ROOT, files)

    assert verdict.difference is not None
    assert (verdict.difference.value, verdict.difference.low, verdict.difference.high) == (0, 0, 0)


def test_a_model_that_its_base_has_not_is_judged_against_the_naive_baseline(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    base = changed(tmp_path, "rounds=100", "rounds=5")
    (base / FILE).unlink()

    verdict = run(base, files)

    assert verdict.decision == "promote"
    assert verdict.reason.endswith("and no model is in service.")


def test_a_base_that_cannot_be_trained_is_told_with_its_last_words(tmp_path: Path, files: dict[str, Path]) -> None:
    verdict = run(changed(tmp_path, "MODEL = Model(", "MODEL = NoSuchThing("), files)

    assert verdict.decision == "refuse"
    assert "NoSuchThing" in verdict.reason
    assert verdict.champion_rmse is None


def test_a_model_of_ones_own_that_cannot_be_trained_is_an_error(tmp_path: Path, files: dict[str, Path]) -> None:
    broken = changed(tmp_path, "MODEL = Model(", "MODEL = NoSuchThing(")

    with pytest.raises(NotEvaluated, match="NoSuchThing"):
        evaluate.evaluate(broken, MODEL, ROOT, files)


@pytest.mark.parametrize(
    ("until", "errors", "rows"), [("2023-02", (4.216, 4.237), 62_574), ("2023-03", (4.199, 4.239), 69_392)]
)
def test_the_errors_of_the_readme_are_said_without_quarantine_and_with_it(
    tmp_path: Path, until: str, errors: tuple[float, float], rows: int
) -> None:
    whole_months = {month: path for month, path in evaluate.months(ROOT).items() if month <= until}

    verdict, whole = evaluate.evaluate(ROOT, MODEL, tmp_path, whole_months)

    assert (round(verdict.rmse, 3), round(whole.rmse, 3)) == errors
    assert whole.rows == rows > verdict.rows


def test_the_verb_reads_the_public_months_in_order() -> None:
    assert list(evaluate.months(ROOT)) == ["2023-01", "2023-02", "2023-03"]


def test_the_verb_puts_a_page_for_every_model_into_the_jobs_summary(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setattr(evaluate, "months", lambda root: files)
    monkeypatch.setattr("sys.argv", ["evaluate", "--base", "HEAD"])

    status = evaluate.main()

    page = (tmp_path / "summary.md").read_text()
    assert status == 0
    assert page.strip() == capsys.readouterr().out.strip()
    assert all(f"## {name}: this change against" in page for name in models.ModelName)
    assert "| all |" in page


def test_an_earlier_month_judges_where_that_is_asked_for(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "months", lambda root: {**files, "2023-03": Path("not read")})
    monkeypatch.setattr("sys.argv", ["evaluate", "--base", "HEAD", "--until", "2023-02"])

    assert evaluate.main() == 0
    assert "Trained on 2023-01 and judged on" in capsys.readouterr().out


@pytest.mark.parametrize("until", ["2023-01", "2024-01", "february"])
def test_a_month_that_cannot_judge_is_a_sentence(
    until: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["evaluate", "--base", "HEAD", "--until", until])

    assert evaluate.main() == 1
    assert f"no month {until} with one before it to train on is in examples/tlc: there are 2023-02, 2023-03." in (
        capsys.readouterr().err
    )


def test_a_base_that_git_does_not_know_is_a_sentence_and_no_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setattr("sys.argv", ["evaluate", "--base", "no-such-branch"])

    assert evaluate.main() == 1
    assert "git knows no revision no-such-branch" in capsys.readouterr().err
    assert not (tmp_path / "summary.md").exists()
