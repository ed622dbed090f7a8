"""``make lint`` where Helm is: it takes every values file that is shipped, and finds what is wrong with one."""

import shutil
from pathlib import Path

import pytest

from ops import chart
from ops.lint import chart as check
from tests.platform.chart import ROOT, requires_helm

pytestmark = requires_helm


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The chart and the values files beside it, to be broken."""
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    return tmp_path


def test_helm_has_nothing_to_say_of_the_chart() -> None:
    assert check.templates(ROOT) == []


def test_a_values_file_that_the_schema_refuses_is_named_with_the_key(copy: Path) -> None:
    (copy / chart.CHART / "values-small.yaml").write_text("worker: {concurrency: none}\n")

    (found,) = check.templates(copy)

    assert found.file == str(chart.CHART)
    assert found.message.startswith("small: [ERROR]")
    assert "'/worker/concurrency'" in found.message


def test_a_template_that_cannot_be_rendered_is_found_for_every_values_file(copy: Path) -> None:
    (copy / chart.CHART / "templates" / "broken.yaml").write_text('{{ include "trainyard.nothing" . }}\n')

    found = check.templates(copy)

    assert len(found) == len(chart.values_files(copy))
    assert all("trainyard.nothing" in each.message for each in found)
