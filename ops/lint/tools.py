"""The linters made elsewhere: ruff, mypy, bash, hadolint, actionlint, zizmor."""

import re
import subprocess
import sys
from pathlib import Path

from ops import go_programs
from ops.go_programs import ProgramMissing
from ops.lint import repository
from ops.lint.finding import Finding, Skipped

_PLACE = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+)(?::\d+)?: (?P<message>.+)$")
_HADOLINT = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+) (?P<message>.+)$")
_ZIZMOR = re.compile(r"^::(?:error|warning|notice) file=(?P<file>[^,]+),line=(?P<line>\d+),[^:]*::(?P<message>.+)$")
_BASH = re.compile(r"^(?P<file>[^\s:]+): line (?P<line>\d+): (?P<message>.+)$")


def style(root: Path) -> list[Finding]:
    """What ruff's rules find."""
    return _findings(root, program("ruff"), "check", "--quiet", "--output-format=concise", ".")


def formatting(root: Path) -> list[Finding]:
    """The files that ``make format`` would change."""
    return _findings(root, program("ruff"), "format", "--check", "--quiet", "--output-format=concise", ".")


def types(root: Path) -> list[Finding]:
    """What mypy finds."""
    return _findings(root, sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context")


def scripts(root: Path) -> list[Finding]:
    """The shell scripts that bash cannot read."""
    named = sorted(name for name in repository.files(root) if _is_shell(root / name))
    return [finding for name in named for finding in _findings(root, "bash", "-n", name)]


def dockerfiles(root: Path) -> list[Finding]:
    """What hadolint finds in the Dockerfiles, the shell in them included."""
    named = sorted(name for name in repository.files(root) if Path(name).name == "Dockerfile")
    return _findings(root, program("hadolint"), "--no-color", *named) if named else []


def workflows(root: Path) -> list[Finding]:
    """What actionlint finds in the workflows, and zizmor at its strictest. Raises ``Skipped`` without actionlint."""
    named = sorted(name for name in repository.files(root) if name.startswith(".github/workflows/"))
    if not named:
        return []
    try:
        actionlint = go_programs.find(go_programs.ACTIONLINT, go_programs.cache_folder(), lambda line: None)
    except ProgramMissing as error:
        raise Skipped(str(error)) from error
    zizmor = (program("zizmor"), "--offline", "--no-progress", "--quiet", "--persona=pedantic", "--format=github")
    found = _findings(root, str(actionlint), "-oneline", "-shellcheck=", "-pyflakes=", *named)
    return [*found, *_findings(root, *zizmor, *named)]


def _findings(root: Path, *command: str) -> list[Finding]:
    """What a linter printed, one finding a line; its last words where it failed without naming a place."""
    done = run(root, *command)
    if done.returncode == 0:
        return []
    lines = (done.stdout + done.stderr).splitlines()
    forms = (_PLACE, _BASH, _HADOLINT, _ZIZMOR)
    found = [match for line in lines if (match := next(filter(None, (form.match(line) for form in forms)), None))]
    if not found:
        return [Finding(Path(command[0]).name, None, last_words(done.stdout + done.stderr))]
    return [Finding(one["file"], int(one["line"]), one["message"]) for one in found]


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!" and b"sh" in file.readline().split(b"/")[-1]


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a linter in the repository and keep what it prints."""
    return subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)


def program(name: str) -> str:
    """The path of a program installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def last_words(output: str) -> str:
    """The end of what a linter printed, for when it cannot be taken apart."""
    words = [line.strip() for line in output.splitlines() if re.search(r"\w", line)]
    return " ".join(words[-12:]) or "failed without a word"
