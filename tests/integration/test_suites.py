"""`make test`: when it passes, and what it prints."""

from pathlib import Path

import pytest

from tests import suites

PASSES = "def test_it(): pass\n"
FAILS = "def test_it(): assert False\n"
SKIPS = "import pytest\ndef test_it(): pytest.skip('there is no docker')\n"
BROKEN = "import nothing_of_this_name\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(suites, "ROOT", tmp_path)
    monkeypatch.setattr(suites, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(suites, "SUITES", {"one": "the first", "two": "the second"})
    for suite in suites.SUITES:
        (tmp_path / "tests" / suite).mkdir(parents=True)
    return tmp_path


def run(root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, **files: str) -> int:
    for suite, text in files.items():
        (root / "tests" / suite / "test_it.py").write_text(text)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr("sys.argv", ["suites", *arguments, "-pno:cacheprovider"])
    return suites.main()


def test_it_passes_where_every_suite_does_and_prints_their_counts(root, monkeypatch, capsys) -> None:
    status = run(root, monkeypatch, one=PASSES + SKIPS.replace("test_it", "test_other"), two=PASSES)

    lines = capsys.readouterr().out.splitlines()[-3:]
    assert status == 0
    assert lines[0].split() == ["suite", "tests", "passed", "failed", "skipped", "seconds"]
    assert [line.split()[:5] for line in lines[1:]] == [["one", "2", "1", "0", "1"], ["two", "1", "1", "0", "0"]]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (FAILS, ["1", "0", "1", "0"]),
        (PASSES + FAILS.replace("test_it", "test_other"), ["2", "1", "1", "0"]),
        (BROKEN, ["1", "0", "1", "0"]),
        ("", ["0", "0", "0", "0"]),
    ],
    ids=["failing", "partly failing", "not importable", "empty"],
)
def test_a_suite_that_does_not_pass_is_marked_and_counted(root, monkeypatch, capsys, text, counts) -> None:
    status = run(root, monkeypatch, "one", one=text)

    line = capsys.readouterr().out.splitlines()[-1].split()
    assert status == 1
    assert line[1:5] == counts
    assert line[-1] == "FAILED"


def test_what_failed_stands_with_what_it_said_before_the_counts(root, monkeypatch, capsys) -> None:
    run(root, monkeypatch, one=FAILS.replace("False", "False, 'no server\\nand more'"), two=BROKEN)

    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED ")]
    assert len(said) == 2
    assert said[0].startswith("FAILED tests/one/test_it.py::test_it  AssertionError: no server")
    assert "and more" not in said[0]
    assert said[1].startswith("FAILED tests.two.test_it  ")


def test_a_suite_that_cannot_run_at_all_is_named_with_its_reason_and_fails_only_a_strict_run(
    root, monkeypatch, capfd
) -> None:
    lenient = run(root, monkeypatch, "one", one=SKIPS)
    told = capfd.readouterr().out

    strict = run(root, monkeypatch, "one", "--strict", one=SKIPS)

    assert (lenient, strict) == (0, 1)
    assert "there is no docker" in told
    assert told.splitlines()[-1].endswith("not run: see above")


def test_an_optional_suite_that_cannot_run_at_all_passes_and_its_reason_is_printed(root, monkeypatch, capfd) -> None:
    monkeypatch.setattr(suites, "OPTIONAL", {"one"})

    status = run(root, monkeypatch, "one", "--strict", one=SKIPS)

    assert status == 0
    assert "there is no docker" in capfd.readouterr().out


@pytest.mark.parametrize("text", [FAILS, PASSES + SKIPS.replace("test_it", "test_other")], ids=["failing", "half"])
def test_an_optional_suite_that_runs_has_to_pass_whole(root, monkeypatch, text) -> None:
    monkeypatch.setattr(suites, "OPTIONAL", {"one"})

    assert run(root, monkeypatch, "one", "--strict", one=text) == 1


def test_one_suite_that_does_not_pass_fails_the_whole(root, monkeypatch, capsys) -> None:
    status = run(root, monkeypatch, one=FAILS, two=PASSES)

    assert status == 1
    assert [line.split()[-1] == "FAILED" for line in capsys.readouterr().out.splitlines()[-2:]] == [True, False]


def test_a_suite_whose_run_dies_before_its_report_fails(root, monkeypatch, capsys) -> None:
    status = run(root, monkeypatch, "one", one="import os; os._exit(0)\n")

    assert status == 1


def test_a_report_of_an_earlier_run_is_not_taken_for_this_ones(root, monkeypatch, capsys) -> None:
    run(root, monkeypatch, "one", one=PASSES)

    status = run(root, monkeypatch, "one", one="import os; os._exit(0)\n")

    assert status == 1


@pytest.mark.parametrize(("named", "left"), [((), False), (("one",), True)], ids=["all suites", "one suite"])
def test_what_was_kept_of_failures_is_cleared_at_the_beginning_of_a_whole_run_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...], left: bool
) -> None:
    earlier, own = (root / "reports" / "cluster" / name for name in ("test_earlier", "test_it"))
    earlier.mkdir(parents=True)
    keeps = f"from pathlib import Path\ndef test_it(): Path({str(own)!r}).mkdir(parents=True)\n"

    run(root, monkeypatch, *named, one=keeps, two=PASSES)

    assert (earlier.exists(), own.exists()) == (left, True)


def test_only_the_suites_named_are_run(root, monkeypatch, capfd) -> None:
    status = run(root, monkeypatch, "two", one=FAILS, two=PASSES)

    assert status == 0
    assert "== one" not in capfd.readouterr().out


def test_an_unknown_suite_is_named_with_those_there_are(root, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        run(root, monkeypatch, "three")

    assert "no suite three; there are one, two" in capsys.readouterr().err


def test_every_suite_there_is_has_its_folder_and_every_folder_is_a_suite() -> None:
    folders = {path.parent.name for path in suites.ROOT.glob("tests/*/test_*.py")}

    assert folders == set(suites.SUITES) - set(suites.APART)
    assert all(list(suites.ROOT.glob(modules)) for modules in suites.APART.values())


def test_modules_that_are_a_suite_of_their_own_are_no_part_of_their_folders(root, monkeypatch, capsys) -> None:
    monkeypatch.setattr(suites, "SUITES", {**suites.SUITES, "apart": "what takes long"})
    monkeypatch.setattr(suites, "APART", {"apart": "tests/one/test_long_*.py"})
    for name in ("test_long_it.py", "test_long_other.py"):
        (root / "tests" / "one" / name).write_text(PASSES)

    status = run(root, monkeypatch, "one", "apart", one=PASSES)

    assert status == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-2:]] == [["one", "1"], ["apart", "2"]]


def test_a_suite_that_is_left_out_is_named_and_the_others_run(root, monkeypatch, capsys) -> None:
    status = run(root, monkeypatch, "--leave-out=two", one=PASSES, two=FAILS)

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[-2].split()[:3] == ["one", "1", "1"]
    assert lines[-1].startswith("two          not run: left out, as asked; `make two` runs it (the second)")
