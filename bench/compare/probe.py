"""What /proc says of a process and of the CPUs, and the difference between two looks at it."""

import contextlib
import dataclasses
import os
import pathlib
import time
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Thread:
    """One thread of a process, since it began."""

    name: str
    cpu_seconds: float
    voluntary: int
    involuntary: int
    #: None where the kernel does not count them.
    migrations: int | None


@dataclasses.dataclass
class Look:
    """A process and the machine at one moment."""

    at: float
    cpu_seconds: float
    threads: dict[int, Thread]
    #: Seconds that each CPU has worked, by its number.
    busy: dict[int, float]


def look(pid: int) -> Look:
    """Now. Steps of the process's CPU are 10 ms; its threads are counted finer."""
    threads = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while we read
            threads[int(task.name)] = _thread(task)
    return Look(time.monotonic(), cpu_seconds(pid), threads, cpus_busy())


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, of those that have ended too."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Resident memory now (VmRSS) or at its highest (VmHWM)."""
    return int(_status(pathlib.Path(f"/proc/{pid}"))[field].split()[0]) << 10


def read_bytes(pid: int) -> int:
    """What it has read so far, by whatever call, from files and connections; 0 if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("rchar:"):
                return int(line.split()[1])
    return 0


def forget_peak(pid: int) -> None:
    """VmHWM begins anew, where the kernel allows that."""
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpus_busy() -> dict[int, float]:
    """Seconds that each CPU has worked since the machine started: all but idle and waiting for disks."""
    busy = {}
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(value) for value in values[:8]]
            busy[int(name[3:])] = (sum(ticks) - ticks[3] - ticks[4]) / TICK
    return busy


def shard_threads(threads: dict[int, Thread]) -> list[int]:
    """Those that run shards, by their names: Ailurus and the null broker have them, Kafka has none."""
    return [tid for tid, thread in threads.items() if thread.name.startswith("shard-")]


def difference(begin: Look, end: Look, load_cpus: set[int]) -> dict[str, float]:
    """What happened between two looks, as numbers for a row of raw data. What there is not, or is not counted here, is left out."""
    seconds = end.at - begin.at
    pairs = [(begin.threads.get(tid), thread, tid) for tid, thread in end.threads.items()]
    shards = set(shard_threads(end.threads))

    def grown(field: str, tids: set[int] | None = None) -> float:
        chosen = [(old, new) for old, new, tid in pairs if tids is None or tid in tids]
        return sum(getattr(new, field) - (getattr(old, field) if old else 0) for old, new in chosen)

    def of_threads(prefix: str, tids: set[int] | None = None) -> dict[str, float]:
        switches = {f"{prefix}switches_{field}": grown(field, tids) for field in ("voluntary", "involuntary")}
        chosen = [thread for _, thread, tid in pairs if tids is None or tid in tids]
        counted = all(thread.migrations is not None for thread in chosen)
        return {**switches, **({f"{prefix}migrations": grown("migrations", tids)} if counted else {})}

    # A load that is not pinned has what the whole machine has.
    where = load_cpus or set(end.busy)
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(end.cpu_seconds - begin.cpu_seconds, 3),
        **of_threads(""),
        **({"shard_cpu_seconds": round(grown("cpu_seconds", shards), 3), **of_threads("shard_", shards)} if shards else {}),
        "load_busy": round(sum(end.busy[cpu] - begin.busy[cpu] for cpu in where) / seconds / len(where), 3),
        "machine_cpu_seconds": round(sum(end.busy[cpu] - begin.busy[cpu] for cpu in end.busy), 3),
    }


def counters(admin: str) -> dict[str, float]:
    """Counters of /metrics of an Ailurus, each the sum of its samples."""
    sums: dict[str, float] = {}
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            name = line.partition(" ")[0].partition("{")[0]
            if name.endswith("_total"):
                sums[name] = sums.get(name, 0) + float(line.rpartition(" ")[2])
    return sums


def _thread(task: pathlib.Path) -> Thread:
    status = _status(task)
    nanoseconds = int((task / "schedstat").read_text().split()[0])
    migrations = None
    with contextlib.suppress(FileNotFoundError):  # a kernel without CONFIG_SCHED_DEBUG
        for line in (task / "sched").read_text().splitlines():
            if line.startswith("se.nr_migrations"):
                migrations = int(line.rpartition(":")[2])
    switches = (int(status[f"{kind}_ctxt_switches"]) for kind in ("voluntary", "nonvoluntary"))
    return Thread(status["Name"].strip(), nanoseconds / 1e9, *switches, migrations)


def _status(folder: pathlib.Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in (folder / "status").read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}
