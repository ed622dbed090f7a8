"""What a report of osv-scanner comes to: what can be mended, and what cannot yet."""

from ops import scan


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
        {"package": {"name": "b"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "9"}]}]},
        {"package": {"name": "a"}, "ranges": [{"type": "GIT", "events": [{"fixed": "0123abc"}]}]},
    ]

    assert scan.holes("flows", found)[0].fixed == ()


def test_a_report_without_results_has_no_holes() -> None:
    assert scan.holes("flows", {"results": None}) == []


def test_the_page_lists_what_can_be_mended_and_counts_the_rest() -> None:
    found = scan.holes("flows", report(part("a", "GHSA-1", "2.0"), part("b", "GHSA-2")))

    page = scan.page(found)
    assert "1 with a fix, 1 without." in page
    assert "| flows | a 1.0 | GHSA-1 | 9.8 | 2.0 |" in page
    assert "GHSA-2" not in page
