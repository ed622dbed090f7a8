"""The installer, up to where it would download: where it runs and the Python it takes. Programs on PATH are fakes."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "cksum", "dirname", "mkdir", "rm", "grep", "awk", "env", "ln", "touch", "sleep", "readlink")
FAKE_UV = 'echo "uv $*" >>"$CALLS"; [ "$1" = venv ] && mkdir -p "${@: -1}/bin" && ln -s "$GOOD" "${@: -1}/bin/python"'
FAILING_UV = FAKE_UV + '; [ "$1" = pip ] && echo "no such host" >&2 && exit 1; exit 0'


class Machine:
    """A folder of programs that is all of PATH, and a checkout that holds the installer and the locks."""

    def __init__(self, folder: Path) -> None:
        self.root, self.programs, self.calls = folder / "a clone", folder / "bin", folder / "calls"
        self.programs.mkdir()
        self.calls.touch()
        for name in TOOLS:
            (self.programs / name).symlink_to(str(shutil.which(name)))
        for lock in ("flows", "ops", "tests"):
            (self.root / lock).mkdir(parents=True)
            (self.root / lock / "requirements.txt").write_text("package==1.0\n")
        shutil.copy(ROOT / "ops" / "bootstrap", self.root / "ops")
        self.program("uname", "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac")
        self.good = folder / "good-python"
        self.good.write_text("#!/bin/bash\nexit 0\n")
        self.good.chmod(0o755)

    def program(self, name: str, body: str) -> None:
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def python(self, name: str, version: str, venv: str = "exit 1") -> None:
        """A Python of a version: says so where its code asks, and makes no virtual environments."""
        answer = "exit 0" if version in {"3.12", "3.13"} else "exit 1"
        self.program(
            name,
            f'echo "{name} $*" >>"$CALLS"\n'
            f'case "$*" in *version_info*) {answer} ;; *sys.executable*) echo "$0" ;; '
            f'*venv*) {venv} ;; --version) echo "Python {version}" ;; esac',
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": str(self.programs), "HOME": str(self.root), "CALLS": str(self.calls), "GOOD": str(self.good)}
        script = str(self.root / "ops" / "bootstrap")
        return subprocess.run([script, *(arguments or ("ops",))], env=env, capture_output=True, text=True, timeout=30)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("script", ["ops/bootstrap", "ops/lock", ".ci/run"])
def test_the_scripts_are_valid_and_executable(script: str) -> None:
    done = subprocess.run(["bash", "-n", str(ROOT / script)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert (ROOT / script).stat().st_mode & 0o100


@pytest.mark.parametrize(("system", "chip"), [("Linux", "riscv64"), ("Darwin", "x86_64"), ("MINGW64_NT", "x86_64")])
def test_elsewhere_one_sentence_says_where_it_runs(machine: Machine, system: str, chip: str) -> None:
    machine.program("uname", f"case $1 in -s) echo {system} ;; -m) echo {chip} ;; esac")

    done = machine.run()

    sentence = f"runs on Linux (x86-64, arm64) and macOS (arm64); this is {system} on {chip}."
    assert (done.returncode, done.stderr) == (1, f"trainyard: {sentence}\n")
    assert not (machine.root / ".trainyard").exists()


def test_without_a_fitting_python_one_sentence_says_what_to_install(machine: Machine) -> None:
    machine.python("python3", "3.11")
    machine.python("python", "2.7")

    done = machine.run()

    assert done.returncode == 1
    assert done.stderr.startswith("trainyard: needs Python 3.12 or 3.13 on PATH, in pyenv or from uv, and found none.")
    assert done.stderr.count("\n") == 1


def test_a_python_is_asked_for_its_version_whatever_its_name_says(machine: Machine) -> None:
    machine.program("python3.13", 'echo "pyenv: python3.13: command not found" >&2; exit 127')
    machine.python("python3.12", "3.9")
    machine.python("python3", "3.12")
    machine.program("uv", FAKE_UV + "; exit 0")

    done = machine.run()

    assert done.returncode == 0, done.stderr
    assert "Making the environment with Python 3.12" in done.stderr
    assert f"--python {machine.programs}/python3 {machine.root}/.trainyard/venv" in machine.calls.read_text()
    assert "command not found" not in done.stderr


def test_a_python_of_pyenv_is_found_though_it_is_not_on_the_path(machine: Machine) -> None:
    machine.python("python3.13", "3.13")
    versions = machine.root / ".pyenv" / "versions" / "3.13.1" / "bin"
    versions.mkdir(parents=True)
    (machine.programs / "python3.13").rename(versions / "python")
    machine.program("uv", FAKE_UV + "; exit 0")

    done = machine.run()

    assert done.returncode == 0, done.stderr
    assert f"--python {versions}/python " in machine.calls.read_text()


def test_a_python_without_its_venv_module_is_named_with_the_remedy(machine: Machine) -> None:
    machine.python("python3", "3.12", venv="exit 1")

    done = machine.run()

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"trainyard: {machine.programs}/python3 cannot make virtual environments: "
        "install its venv module (Debian: apt install python3-venv)."
    )


def test_an_environment_whose_making_was_interrupted_is_made_anew(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", FAKE_UV + "; exit 0")
    half = machine.root / ".trainyard" / "venv" / "bin" / "python"
    half.parent.mkdir(parents=True)
    half.symlink_to(machine.good)

    done = machine.run()

    assert done.returncode == 0, done.stderr
    assert "uv venv " in machine.calls.read_text()


def test_what_is_installed_is_not_installed_again(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", FAKE_UV + "; exit 0")
    machine.run()
    machine.calls.write_text("")

    done = machine.run()

    assert (done.returncode, done.stderr, machine.calls.read_text()) == (0, "", "")


def test_the_widest_lock_serves_the_demo_too_but_not_the_other_way_round(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", FAKE_UV + "; exit 0")
    machine.run("tests")
    machine.calls.write_text("")

    machine.run("ops")
    after_ops = machine.calls.read_text()
    (machine.root / "tests" / "requirements.txt").write_text("package==2.0\n")
    machine.run("ops")
    machine.run("tests")

    assert after_ops == ""
    synced = [line.split()[-1] for line in machine.calls.read_text().splitlines() if line.startswith("uv pip sync")]
    assert synced == ["ops/requirements.txt", "tests/requirements.txt"]


def test_of_two_at_once_one_installs_and_the_other_waits_for_it(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", f"sleep 3; {FAKE_UV}; exit 0")

    with ThreadPoolExecutor(2) as both:
        ended = list(both.map(lambda _: machine.run(), range(2)))

    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    assert machine.calls.read_text().count("uv pip sync") == 1
    assert sum("Waiting for process" in done.stderr for done in ended) == 1
    assert not (machine.root / ".trainyard" / "installing").is_symlink()


def test_the_turn_of_one_that_was_killed_is_taken_over(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", FAKE_UV + "; exit 0")
    gone = subprocess.Popen(["true"])
    gone.wait()
    turn = machine.root / ".trainyard" / "installing"
    turn.parent.mkdir()
    turn.symlink_to(str(gone.pid))

    assert machine.run().returncode == 0


def test_a_lock_that_changes_while_it_is_installed_is_installed_the_next_time(machine: Machine) -> None:
    machine.python("python3", "3.13")
    change = f'echo "package==2.0" >"{machine.root}/ops/requirements.txt"'
    machine.program("uv", f"{FAKE_UV}; {change}; exit 0")

    machine.run()
    machine.calls.write_text("")
    machine.run()

    assert "uv pip sync" in machine.calls.read_text()


def test_an_install_that_failed_is_told_and_tried_again(machine: Machine) -> None:
    machine.python("python3", "3.13")
    machine.program("uv", FAILING_UV)

    failed = machine.run()
    machine.program("uv", FAKE_UV + "; exit 0")
    done = machine.run()

    assert failed.returncode == 1
    assert "no such host" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith("trainyard: the packages of ops/requirements.txt could not be")
    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [("other",), ("flows",), ("",)])
def test_a_wrong_call_is_answered_with_the_right_one(machine: Machine, arguments: tuple[str, ...]) -> None:
    done = machine.run(*arguments)

    assert (done.returncode, done.stderr) == (2, "usage: ops/bootstrap ops|tests\n")
