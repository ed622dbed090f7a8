"""What a report of osv-scanner comes to: what can be mended, and what cannot yet."""

import json
from pathlib import Path

import pytest

from ops import scan
from tests.unit import stand_ins

ARCHIVED = """
case "$1" in
  save) echo "$4" >"$3" ;;
esac
"""
"""Docker, that has every image and makes an archive of its name."""
SCANNED = """
for archive; do :; done
name=$(sed 's,.*/,,; s,:.*,,' "$archive")
cat "{reports}/$name.json"
exit {status}
"""


def part(name: str, hole: str, *fixed: str) -> dict[str, object]:
    events = [{"introduced": "0"}, *({"fixed": version} for version in fixed)]
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {
        "package": {"name": name, "version": "1.0", "ecosystem": "PyPI"},
        "vulnerabilities": [{"id": hole, "affected": [affected]}],
        "groups": [{"ids": [hole], "aliases": [hole], "max_severity": "9.8"}],
    }


def report(*parts: dict[str, object]) -> dict[str, object]:
    return {"results": [{"source": {"path": "x", "type": "os"}, "packages": list(parts)}]}


def test_a_hole_has_its_package_score_and_the_versions_that_mend_it() -> None:
    assert scan.holes("flows", report(part("httpx", "GHSA-1", "2.0", "1.5"))) == [
        scan.Hole("flows", "httpx", "1.0", "GHSA-1", "9.8", ("2.0", "1.5"))
    ]


def test_parts_of_one_source_package_count_once() -> None:
    assert len(scan.holes("flows", report(part("apt", "CVE-1"), part("apt", "CVE-1")))) == 1


def test_fixes_of_another_package_and_commits_are_no_versions() -> None:
    found = report(part("a", "GHSA-1"))
    hole = found["results"][0]["packages"][0]["vulnerabilities"][0]  # type: ignore[index]
    hole["affected"] += [
        {"package": {"name": "b", "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "9"}]}]},
        {"package": {"name": "a", "ecosystem": "PyPI"}, "ranges": [{"type": "GIT", "events": [{"fixed": "0123abc"}]}]},
    ]

    assert scan.holes("flows", found)[0].fixed == ()


def test_a_fix_in_another_release_of_debian_mends_nothing_in_this_one() -> None:
    found = report(part("git", "DEBIAN-CVE-1"))
    package = found["results"][0]["packages"][0]  # type: ignore[index]
    package["package"]["ecosystem"] = "Debian:13"
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1:2.51"}]}]
    here = {"package": {"name": "git", "ecosystem": "Debian:13"}, "ranges": [{"type": "ECOSYSTEM", "events": []}]}
    newer = {"package": {"name": "git", "ecosystem": "Debian:14"}, "ranges": ranges}
    package["vulnerabilities"][0]["affected"] = [here, newer]

    without = scan.holes("flows", found)[0].fixed
    here["ranges"] = ranges

    assert (without, scan.holes("flows", found)[0].fixed) == ((), ("1:2.51",))


def test_a_report_without_results_has_no_holes() -> None:
    assert scan.holes("flows", {"results": None}) == []


def test_the_page_lists_what_can_be_mended_and_counts_the_rest() -> None:
    found = scan.holes("flows", report(part("a", "GHSA-1", "2.0"), part("b", "GHSA-2")))

    page = scan.page(found)
    assert "1 with a fix, 1 without." in page
    assert "| flows | a 1.0 | GHSA-1 | 9.8 | 2.0 |" in page
    assert "GHSA-2" not in page


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a workflow would have the summary of the job; docker and osv-scanner are stand-ins."""
    stand_ins.put(tmp_path, "docker", ARCHIVED)
    stand_ins.first_on_path(tmp_path, monkeypatch)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


def scanner(folder: Path, status: int, **reports: dict[str, object]) -> None:
    """osv-scanner, that finds what is given for an image, and nothing in the others."""
    for name in ("flows", "server", "mlflow"):
        (folder / f"{name}.json").write_text(json.dumps(reports.get(name, {"results": []})))
    stand_ins.put(folder, "osv-scanner", SCANNED.format(reports=folder, status=status))


def test_a_hole_with_a_fix_in_any_image_fails_the_scan_and_is_in_the_summary(tmp_path: Path, summary: Path) -> None:
    scanner(tmp_path, scan.FOUND_SOME, server=report(part("httpx", "GHSA-1", "2.0")), mlflow=report(part("a", "CVE-1")))

    status = scan.main([])

    assert status == 1
    assert "1 with a fix, 1 without." in summary.read_text()
    assert "| server | httpx 1.0 | GHSA-1 | 9.8 | 2.0 |" in summary.read_text()


def test_holes_that_nobody_can_mend_yet_pass_the_scan_and_are_counted(tmp_path: Path, summary: Path) -> None:
    scanner(tmp_path, scan.FOUND_SOME, flows=report(part("a", "CVE-1")))

    status = scan.main([])

    assert status == 0
    assert "0 with a fix, 1 without." in summary.read_text()


def test_a_scanner_that_did_not_scan_fails_with_its_last_words(
    tmp_path: Path, summary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins.put(tmp_path, "osv-scanner", "echo 'no database' >&2; exit 127")

    status = scan.main([])

    assert status == 1
    assert "osv-scanner says no database. Where it reaches no OSV database, run this later." in capsys.readouterr().err
    assert not summary.exists()
