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
from subjects import TWO_SHARED
from bench import Row

PAGE = tools.ROOT / "docs" / "benchmarks"
ORDER = {"ailurus": 0, "ailurus-direct": 1, "kafka": 2, "null": 3}

HEAD = """# Beside Apache Kafka and beside the limit

Written by `cargo xtask bench`; what each workload does is in [bench/README.md](../../bench/README.md).
Ailurus, Apache Kafka (KRaft, its published jars, the flags of its own scripts) and a *null broker* (receives, checks the CRC, writes one
preallocated file, serves fetches from memory: the limit on this machine) take turns on one machine under the same clients.
Figures are medians of the repeats, with the smallest and the largest in brackets. Class **D** is flushed before the
acknowledgement, class **R** is acknowledged from memory; no comparison mixes them.
"""


def refusal(folder: pathlib.Path, name: str, repeats: int, quick: bool) -> str:
    """Why so many repeats may not take the place of the rows that are there; empty if they may."""
    most = max(_repeats(_saved(folder, name)).values(), default=0)
    asked = 0 if quick else repeats
    return f"{name}: {folder} has {most} repeats of it, these are {asked}" if asked < most else ""


def loss(folder: pathlib.Path, name: str, rows: list[Row], quick: bool) -> str:
    """What of the rows that are there would have fewer repeats if these took their place; empty if nothing."""
    new = _repeats({"quick": quick, "rows": rows})
    had = _repeats(_saved(folder, name))
    lost = [f"{subject} {klass}: {new.get((subject, klass), 0)} of {old}" for (subject, klass), old in had.items() if new.get((subject, klass), 0) < old]
    return f"fewer repeats than {folder} has ({', '.join(lost)})" if lost else ""


def _saved(folder: pathlib.Path, name: str) -> dict[str, typing.Any]:
    file = folder / "raw" / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {"quick": True, "rows": []}


def _repeats(data: dict[str, typing.Any]) -> dict[tuple[str, str], int]:
    """How many repeats there are, by subject and class. Quick ones count for nothing."""
    found: dict[tuple[str, str], set[int]] = {}
    for row in data["rows"]:
        found.setdefault((row["subject"], row["class"]), set()).add(row["repeat"])
    return {key: 0 if data["quick"] else len(repeats) for key, repeats in found.items()}


def save(folder: pathlib.Path, workload: typing.Any, rows: list[Row], facts: dict[str, typing.Any]) -> None:
    """The raw data of one workload: one line per row, in one step. `repeats` is what there is, not what was asked for."""
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    repeats = len({row["repeat"] for row in rows})
    head = json.dumps({"workload": workload.NAME, "about": workload.ABOUT, **facts, "repeats": repeats}, indent=1).removesuffix("\n}")
    kept = [{key: value for key, value in row.items() if key != "series" or value} for row in rows]
    lines = ",\n  ".join(json.dumps(row, separators=(",", ":")) for row in kept)
    made = raw / f"{workload.NAME}.json.new"
    made.write_text(f'{head},\n "rows": [\n  {lines}\n ]\n}}\n')
    made.replace(raw / f"{workload.NAME}.json")


def facts(options: typing.Any, versions: dict[str, str]) -> dict[str, typing.Any]:
    """Where, when and of what a measurement is."""
    return {
        # A binary that was brought along is not this tree's, and does not say whose it is.
        "commit": "unknown (--bin)" if options.bin else _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%F %H:%M UTC"),
        "machine": machine(),
        "versions": versions,
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
    """The page and its plots, of all raw data in `folder`, by name. Gives the goals."""
    by_name = sorted(workloads, key=lambda workload: (not workload.NAME.startswith("W"), workload.NAME))
    known = {workload.NAME: workload for workload in by_name}
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
    verdicts = (f"**{goal.verdict()}**" if goal.reached is False else goal.verdict() for goal in found)
    lines = [f"| {goal.what} | {goal.bound} | {goal.measured} | {verdict} |" for goal, verdict in zip(found, verdicts)]
    return "\n".join(["| what | goal | measured | |", "|---|---|---|---|", *lines, ""])


def _section(workload: typing.Any, data: dict[str, typing.Any], folder: pathlib.Path) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    repeats = f"{data['repeats']} repeat{'s' if data['repeats'] != 1 else ''}"
    text = [
        f"## {workload.NAME}: {workload.ABOUT}\n",
        f"[Raw data](raw/{workload.NAME}.json). {data['machine']}. Commit {data['commit']}, {data['date']}, {repeats}, {versions}.\n",
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
            if goals.client_bound(of_subject):
                mark, bound = " \\*", True
            lines.append(f"| {klass} | {setup} | {case} | {name}{mark} | {' | '.join(cells)} |")
    lines.append("")
    if bound:
        failed = ", there or at the step that failed" if any("failed_load_busy" in row for row in rows) else ""
        unpinned = ", or both cores where it is not pinned," if any(row["setup"] == TWO_SHARED.name for row in rows) else ""
        when = f"the load's core{unpinned} was at least {goals.CLIENT_BOUND:.0%} busy{failed}"
        lines.append(f"\\* {goals.CLIENT_BOUND_WORD}: {when}. Only CPU per GB is compared there; a goal takes of the rest what holds all the same.\n")
    return "\n".join(lines)


def _commit() -> str:
    """What is checked out, and whether anything but these pages differs from it."""
    commit = _said("git", "describe", "--always", "--exclude", "*")
    changed = _said("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/benchmarks")
    return f"{commit}-dirty" if changed else commit


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=tools.ROOT, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()

