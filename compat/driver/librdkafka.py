"""librdkafka's own test-runner, built from the sources inside a published package, against the broker.

One process per test file and never `-Q`: that switch leaves subtests out and reports a pass all the same. A test passes
if it says so; what does not run says why in librdkafka/skip.txt, what runs and fails says why in librdkafka/known.txt.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import typing

from . import tools

PACKAGE = "@confluentinc/kafka-javascript@1.10.1"
FOLDER = tools.CACHE / "librdkafka"
#: Most tests wait much and compute little.
AT_ONCE = 7
TEST_SECONDS = 200
#: Those that take longest go first, so that nothing is left to wait for alone at the end.
SLOW = ["0077", "0045", "0089", "0076", "0091", "0026", "0094", "0102", "0122", "0113", "0033", "0093", "0018"]
#: What the tests believe they speak to; they choose features by it. Above 4.2 they would ask for share groups.
KAFKA_VERSION = "4.1.0"
PASSED_MIN = 60


@dataclasses.dataclass
class Result:
    """One test, by the name that librdkafka gives it."""

    name: str
    state: str
    seconds: float
    reason: str = ""


def build(out: typing.TextIO) -> None:
    """Unpacks and compiles the test-runner and the library it tests."""
    tools.need_program(out, "npm", "npm")
    tools.need_program(out, "make", "make")
    tools.need_program(out, "g++", "g++")
    for header, package in (("zlib.h", "zlib1g-dev"), ("zstd.h", "libzstd-dev"), ("rapidjson/rapidjson.h", "rapidjson-dev"), ("openssl/ssl.h", "libssl-dev")):
        tools.need_library(out, header, package)
    tools.once(out, FOLDER, PACKAGE, lambda: _build(out))


def _build(out: typing.TextIO) -> None:
    unpacked = FOLDER.with_name("librdkafka.package")
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir()
    tools.run(out, "npm", "pack", "--silent", "--pack-destination", unpacked, PACKAGE, cwd=unpacked)
    tools.run(out, "tar", "xzf", next(unpacked.glob("*.tgz")), "package/deps/librdkafka", cwd=unpacked)
    shutil.move(unpacked / "package" / "deps" / "librdkafka", FOLDER)
    shutil.rmtree(unpacked)
    (FOLDER / "configure").chmod(0o755)
    tools.run(out, "./configure", "--disable-gssapi", "--disable-curl", cwd=FOLDER)
    tools.run(out, "make", "-j2", "libs", cwd=FOLDER)
    tools.run(out, "make", "-j2", "-C", "tests", "test-runner", cwd=FOLDER)


def kafka_scripts(jars: pathlib.Path) -> pathlib.Path:
    """A few tests call Kafka's own scripts; these start the same classes from the published jars."""
    folder = tools.CACHE / "librdkafka.scripts"
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    commands = {
        "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
        "kafka-configs.sh": "org.apache.kafka.tools.ConfigCommand",
        "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    }
    for name, main in commands.items():
        script = folder / "bin" / name
        script.write_text(f"#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '{jars}/*' {main} \"$@\"\n")
        script.chmod(0o755)
    return folder


def reasons(file: str) -> dict[str, str]:
    """Test and reason from a list beside the suite."""
    lines = (tools.COMPAT / "librdkafka" / file).read_text().splitlines()
    rows = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    return {name: reason for name, reason in rows}


def numbers() -> list[str]:
    """The tests that need a broker, by number, as the runner's own table has them."""
    table = (FOLDER / "tests" / "test.c").read_text()
    rows = re.findall(r"^ +_TEST\((\d{4})_\w+,\s*([^,)]+)", table, re.MULTILINE)
    return sorted({number for number, flags in rows if not re.search("LOCAL|MANUAL", flags)})


def run(address: str, scripts: pathlib.Path, only: list[str], out: typing.TextIO) -> collections.Counter:
    """Runs all that is not in skip.txt, writes the table, and fails below the number that must pass."""
    skip, known = reasons("skip.txt"), reasons("known.txt")
    chosen = [number for number in (only or numbers()) if number not in skip]
    chosen += [part for part in parts() if not only or part.partition("/")[0] in only]
    chosen.sort(key=lambda number: SLOW.index(number[:4]) if number[:4] in SLOW else len(SLOW))
    results = run_all(address, scripts, chosen, AT_ONCE)
    # Many measure time, and on two cores with neighbours time is not what it should be: those get one more try alone.
    again = {unit_of(result) for result in results if result.state == "failed" and result.name not in known}
    if again:
        results = [result for result in results if unit_of(result) not in again]
        alone = run_all(address, scripts, sorted(again), 1)
        results += [dataclasses.replace(result, reason=f"second try, alone. {result.reason}") for result in alone]
    count = collections.Counter(result.state for result in results if "/" not in result.name)
    write_table(results, skip, known, out)
    surprises = [result.name for result in results if result.state == "failed" and result.name not in known]
    if surprises:
        raise tools.Failed(f"{count['passed']} passed; failed and not in known.txt: {', '.join(surprises)}")
    if not only and count["passed"] < PASSED_MIN:
        raise tools.Failed(f"only {count['passed']} passed; {PASSED_MIN} must")
    return count


def run_all(address: str, scripts: pathlib.Path, chosen: list[str], at_once: int) -> list[Result]:
    """Each in its own process, so many at once."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        by_number = pool.map(lambda number: run_one(address, scripts, number), chosen)
        return [result for results in by_number for result in results]


def unit_of(result: Result) -> str:
    """What to run to get this result again: a number, or a number and one of its parts."""
    number, slash, part = result.name.partition("/")
    return number[:4] + slash + part


def parts() -> list[str]:
    """`number/part` for each line of subtests.txt."""
    lines = (tools.COMPAT / "librdkafka" / "subtests.txt").read_text().splitlines()
    return ["/".join(line.split(None, 1)) for line in lines if line and not line.startswith("#")]


def run_one(address: str, scripts: pathlib.Path, unit: str) -> list[Result]:
    """One file of tests, or one part of it, in a process of its own, in a folder of its own."""
    number, _, part = unit.partition("/")
    folder = tools.LOGS / "librdkafka" / re.sub(r"\W+", "-", unit).strip("-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.suppress(FileExistsError):
        (folder.parent / "src").symlink_to(FOLDER / "src")  # 0053 looks for a schema there
    conf = {"metadata.broker.list": address, "test.topic.random": "true", "test.timeout.multiplier": "3"}
    (folder / "test.conf").write_text("".join(f"{name}={value}\n" for name, value in conf.items()))
    report = folder / "report.json"
    env = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{FOLDER}/src:{FOLDER}/src-cpp",
        "TESTS": number,
        "TEST_KAFKA_VERSION": KAFKA_VERSION,
        "TEST_REPORT": str(report),
        "KAFKA_PATH": str(scripts),
        "BROKERS": address,
    }
    if part:
        env["SUBTESTS"] = part
    # It makes the tests expect that connections break now and then.
    env.pop("CI", None)
    started = time.monotonic()
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            [FOLDER / "tests" / "test-runner", "-L", "-p1"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(TEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return [Result(unit, "failed", TEST_SECONDS, f"not done after {TEST_SECONDS} s")]
    seconds = time.monotonic() - started
    if not report.exists():
        return [Result(unit, "failed", seconds, f"ended with {code}: {last_words(folder / 'log')}")]
    results = list(read_report(report, number, folder / "log"))
    if not part:
        return results
    # A part that no subtest bears the name of would pass without a word.
    if not re.search(rf"\[ .*{re.escape(part)}", (folder / "log").read_text(errors="replace")):
        return [Result(unit, "failed", seconds, "there is no such part")]
    return [dataclasses.replace(result, name=f"{result.name}/{part}") for result in results]


def read_report(report: pathlib.Path, number: str, log: pathlib.Path) -> typing.Iterator[Result]:
    """The runner's own verdicts."""
    for name, row in json.loads(report.read_text())["tests"].items():
        if not name.startswith(number) or row["state"] == "DISABLED":
            continue
        state = {"PASSED": "passed", "SKIPPED": "skipped"}.get(row["state"], "failed")
        if state == "skipped" and not said_skip(log, name):
            continue
        yield Result(name, state, float(row.get("duration", 0)), "" if state == "passed" else last_words(log))


def said_skip(log: pathlib.Path, name: str) -> bool:
    """Tests outside the chosen kind count as skipped too, but only those that ran say so."""
    return f"Running test {name} " in log.read_text(errors="replace")


def last_words(log: pathlib.Path) -> str:
    """The line in which a test says why it stopped."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    for pattern in (r"Test failed at .*\n?.*", r"### Test .* failed.*\n?.*", r"SKIPPING TEST: (.*)", r"Assert.*|.*\bassert\b.*"):
        found = re.findall(pattern, text)
        if found:
            return " ".join(found[0].split())[:300]
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "said nothing"


def write_table(results: list[Result], skip: dict[str, str], known: dict[str, str], out: typing.TextIO) -> None:
    """Into the log, and as a page of its own."""
    rows = [(r.name, r.state, f"{r.seconds:.1f}", known.get(r.name, r.reason)) for r in results]
    rows += [(number, "not run", "", reason) for number, reason in skip.items()]
    text = "| test | state | seconds | reason |\n| --- | --- | --- | --- |\n"
    text += "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in sorted(rows))
    (tools.CACHE / "librdkafka.md").write_text(text)
    out.write(text)
