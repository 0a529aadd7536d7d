"""What is written to docs/benchmarks: raw data of each workload that was run, and a page made of all raw data there is.

The page is made anew from `raw/` each time, so a workload that was not run now keeps its rows, with their own commit and date.
"""

import datetime
import json
import os
import pathlib
import subprocess
import typing

from driver import tools

import goals
from bench import CLIENT_BOUND, Row

PAGE = tools.ROOT / "docs" / "benchmarks"
ORDER = {"ailurus": 0, "ailurus-direct": 1, "kafka": 2, "null": 3}

HEAD = """# Beside Apache Kafka and beside the limit

Written by `cargo xtask bench`; what each workload does is in [bench/README.md](../../bench/README.md).
Ailurus, Apache Kafka (KRaft, its published jars, the flags of its own scripts) and a *null broker* (receives, checks the CRC, writes one
preallocated file, serves fetches from memory: the limit on this machine) take turns on one machine under the same clients.
Figures are medians of the repeats, with the smallest and the largest in brackets. Class **D** is flushed before the
acknowledgement, class **R** is acknowledged from memory; no comparison mixes them.
"""


def save(folder: pathlib.Path, workload: typing.Any, rows: list[Row], facts: dict[str, typing.Any]) -> None:
    """The raw data of one workload: one line per row."""
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"workload": workload.NAME, "about": workload.ABOUT, **facts}, indent=1).removesuffix("\n}")
    kept = [{key: value for key, value in row.items() if key != "series" or value} for row in rows]
    lines = ",\n  ".join(json.dumps(row, separators=(",", ":")) for row in kept)
    (raw / f"{workload.NAME}.json").write_text(f'{head},\n "rows": [\n  {lines}\n ]\n}}\n')


def facts(options: typing.Any, versions: dict[str, str]) -> dict[str, typing.Any]:
    """Where, when and of what a measurement is."""
    return {
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%F %H:%M UTC"),
        "machine": machine(),
        "versions": versions,
        "repeats": options.repeats,
        "quick": options.quick,
        "warm_gb": options.warm_gb,
    }


def machine() -> str:
    """Processor, cores, memory, kernel, file system."""
    cpu = next((line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ": unknown processor")
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) >> 20
    file_system = _said("stat", "-f", "-c", "%T", str(tools.TARGET))
    return f"{os.cpu_count()} x {cpu.partition(':')[2].strip()}, {memory} GiB, Linux {os.uname().release}, {file_system}"


def write(folder: pathlib.Path, workloads: list[typing.Any]) -> list[goals.Goal]:
    """The page and its plots, of all raw data in `folder`. Gives the goals."""
    known = {workload.NAME: workload for workload in workloads}
    saved = {}
    for name in known:
        file = folder / "raw" / f"{name}.json"
        if file.exists():
            saved[name] = json.loads(file.read_text())
    text = [HEAD]
    if not saved:
        text.append("Nothing has been measured yet.\n")
    if any(data["quick"] for data in saved.values()):
        text.append("**A quick run: it shows that the bench works, and nothing else.**\n")
    all_goals = [goal for name, data in saved.items() for goal in known[name].goals(data["rows"])]
    if all_goals:
        text += ["## To reach\n", _goal_table(all_goals)]
    for name, data in saved.items():
        text.append(_section(known[name], data, folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text("\n".join(text))
    return all_goals


def _goal_table(found: list[goals.Goal]) -> str:
    verdict = {True: "reached", False: "**not reached**", None: ""}
    lines = [f"| {goal.what} | {goal.bound} | {goal.measured} | {verdict[goal.reached]} |" for goal in found]
    return "\n".join(["| what | goal | measured | |", "|---|---|---|---|", *lines, ""])


def _section(workload: typing.Any, data: dict[str, typing.Any], folder: pathlib.Path) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    text = [
        f"## {workload.NAME}: {workload.ABOUT}\n",
        f"[Raw data](raw/{workload.NAME}.json). {data['machine']}. Commit {data['commit']}, {data['date']}, {data['repeats']} repeats, {versions}.\n",
        _table(workload, data["rows"]),
    ]
    for file, title in getattr(workload, "plot", lambda *_: [])(data["rows"], folder):
        text.append(f"![{title}]({file})\n")
    return "\n".join(text)


def _table(workload: typing.Any, rows: list[Row]) -> str:
    columns = {key: title for key, title in workload.COLUMNS.items() if any(key in row for row in rows)}
    titles = ["class", "set-up", "case", "subject", *columns.values()]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    keys = list(dict.fromkeys((row["class"], row["setup"], row["case"]) for row in rows))
    keys.sort(key=lambda key: (key[0], key[1]))
    bound = False
    for klass, setup, case in keys:
        chosen = [row for row in rows if (row["class"], row["setup"], row["case"]) == (klass, setup, case)]
        for name in sorted({row["subject"] for row in chosen}, key=lambda name: ORDER.get(name, 9)):
            of_subject = [row for row in chosen if row["subject"] == name]
            cells = [goals.spread(goals.values(of_subject, key)) for key in columns]
            mark = ""
            if (goals.median(of_subject, "load_busy") or 0) >= CLIENT_BOUND:
                mark, bound = " \\*", True
            lines.append(f"| {klass} | {setup} | {case} | {name}{mark} | {' | '.join(cells)} |")
    lines.append("")
    if bound:
        lines.append(f"\\* client-bound: the load's core was at least {CLIENT_BOUND:.0%} busy. Only CPU per GB is compared there.\n")
    return "\n".join(lines)


def _commit() -> str:
    """What is checked out, and whether anything but these pages differs from it."""
    commit = _said("git", "describe", "--always", "--exclude", "*")
    changed = _said("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/benchmarks")
    return f"{commit}-dirty" if changed else commit


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=tools.ROOT, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()

