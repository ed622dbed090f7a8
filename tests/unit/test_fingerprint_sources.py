import ast

import pytest

from flows.ml.fingerprint import FLOWS, JUDGING_SOURCES, TRAINING_SOURCES

TEXT_ONLY = {"ml/errors.py"}


def imported(source: str) -> set[str]:
    """The files of the repository that a file imports, whatever way round, and itself."""
    found, waiting = set(), [source]
    while waiting:
        found.add(name := waiting.pop())
        for node in ast.walk(ast.parse((FLOWS / name).read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("flows"):
                modules = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
                files = {"/".join(module.split(".")[1:]) + ".py" for module in modules}
                waiting += [file for file in files if (FLOWS / file).is_file() and file not in found]
    return found


def test_every_file_that_training_imports_counts_in_its_fingerprint() -> None:
    needed = imported("ml/training.py")

    assert needed - TEXT_ONLY <= set(TRAINING_SOURCES)


@pytest.mark.parametrize("source", ["ml/evaluation.py", "ml/baseline.py"])
def test_every_file_that_a_verdict_rests_on_counts_in_the_fingerprint_of_the_decision(source: str) -> None:
    needed = imported(source)

    assert needed - TEXT_ONLY <= {*TRAINING_SOURCES, *JUDGING_SOURCES}
