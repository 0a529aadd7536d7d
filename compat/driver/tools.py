"""Paths, installing from the package registries, and running programs with their output in the suite's log."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import typing

COMPAT = pathlib.Path(__file__).resolve().parent.parent
ROOT = COMPAT.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
CACHE = TARGET / "compat"
LOGS = CACHE / "logs"
LOGS.mkdir(parents=True, exist_ok=True)

PYTHON_PACKAGES = [
    "confluent-kafka==2.16.1",
    "kafka-python==3.0.12",
    "aiokafka==0.14.0",
    # What kafka-python and aiokafka need for the codecs.
    "cramjam==2.14.0",
    "crc32c",
    "lz4==4.4.5",
    "python-snappy==0.7.3",
    "zstandard==0.25.0",
]


class Failed(Exception):
    """The suite did not pass; the text says why in one line."""


def run(out: typing.TextIO, *command: object, cwd: pathlib.Path | None = None, timeout: float = 600, **env: str) -> None:
    """Runs to the end with the output in `out`; a process group of its own is ended when the time is up."""
    words = [str(word) for word in command]
    print("$", " ".join(words), file=out, flush=True)
    child = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        code = child.wait(timeout)
    except BaseException as end:  # Ctrl-C too: it does not reach a group of its own
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if isinstance(end, subprocess.TimeoutExpired):
            raise Failed(f"{pathlib.Path(words[0]).name} took longer than {timeout:.0f} s") from None
        raise
    if code != 0:
        raise Failed(f"{pathlib.Path(words[0]).name} ended with {code}")


def need_program(out: typing.TextIO, program: str, package: str) -> None:
    """A program from Debian's packages."""
    if shutil.which(program):
        return
    run(out, "apt-get", "update")
    run(out, "apt-get", "install", "-y", "--no-install-recommends", package)


def need_library(out: typing.TextIO, header: str, package: str) -> None:
    """A C library from Debian's packages, known by its header."""
    if (pathlib.Path("/usr/include") / header).exists():
        return
    run(out, "apt-get", "update")
    run(out, "apt-get", "install", "-y", "--no-install-recommends", package)


def python(out: typing.TextIO) -> pathlib.Path:
    """The interpreter of an environment that has the Python clients."""
    venv = CACHE / "venv"
    once(out, venv, "\n".join(PYTHON_PACKAGES), lambda: _make_venv(out, venv))
    return venv / "bin" / "python"


def _make_venv(out: typing.TextIO, venv: pathlib.Path) -> None:
    run(out, sys.executable, "-m", "venv", venv)
    run(out, venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_PACKAGES)


def maven(out: typing.TextIO, project: pathlib.Path, into: pathlib.Path) -> None:
    """The jars that a pom.xml names, in one folder."""
    need_program(out, "mvn", "maven")
    pom = project / "pom.xml"
    goal = "dependency:copy-dependencies"
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    once(out, into, pom.read_text(), lambda: run(out, "mvn", "-q", "-B", "-f", pom, goal, *options))


def npm(out: typing.TextIO, project: pathlib.Path, into: pathlib.Path) -> None:
    """The modules that a package.json names. Their install scripts are not run: what is needed comes ready made."""
    manifest = (project / "package.json").read_text()
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]

    def install() -> None:
        into.mkdir(parents=True)
        (into / "package.json").write_text(manifest)
        run(out, "npm", "install", *options, cwd=into)

    once(out, into, manifest, install)


def once(out: typing.TextIO, folder: pathlib.Path, inputs: str, make: typing.Callable[[], object]) -> None:
    """Makes a folder anew when its inputs changed or the last attempt did not end well."""
    stamp = folder.with_name(folder.name + ".stamp")
    wanted = hashlib.sha256(inputs.encode()).hexdigest()
    if folder.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    print("preparing", folder, file=out, flush=True)
    make()
    stamp.write_text(wanted)


def tail(path: pathlib.Path, lines: int) -> str:
    """The end of a log, indented."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 200 * lines))
        text = file.read().decode(errors="replace")
    return "\n".join("  | " + line for line in text.splitlines()[-lines:])
