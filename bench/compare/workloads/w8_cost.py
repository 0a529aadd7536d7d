"""W8: what a GB costs that is produced once and consumed once.

rdkafka_performance produces 1 KiB records to 12 partitions as fast as it may (acks=all, linger 1 ms) while another one consumes
them. The broker's CPU is that of the process from before the first record until 3 s behind the last acknowledgement. The load's
core is full then, so rates are those of the client; only CPU per GB is compared. A subject whose consumer did not get everything has
not done the work, and has no row.
"""

import pathlib
import time

from driver import tools

import clients
import probe
import plots
from bench import MB, TAIL_SECONDS, Bench, Row, Window, costs, of
from goals import Goal, ratio, values
from subjects import D, ONE_AND_ONE, R, Subject

NAME = "W8"
ABOUT = "CPU per GB produced plus consumed once, as fast as rdkafka_performance goes"
MINUTES = 8
COLUMNS = {
    "cpu_s_per_gb": "broker CPU s/GB",
    "machine_s_per_gb": "both CPUs s/GB",
    "mb_per_s_in": "MB/s in",
    "load_busy": "load busy",
    "switches_per_gb": "switches/GB",
    "peak_resident_mib": "peak RSS MiB",
}
PARTITIONS = 12


def measure(bench: Bench) -> None:
    def once(subject: Subject, klass: str, repeat: int) -> None:
        bench.keep(NAME, subject, klass, "1 KiB", repeat, cost(bench, subject, klass))

    bench.rounds(NAME, ("ailurus", "kafka", "null"), ONE_AND_ONE, once)


def cost(bench: Bench, subject: Subject, klass: str) -> Row:
    """One GB through a fresh topic."""
    topic = f"cost-{klass.lower()}"
    records = bench.pick(1_000_000, 200_000)
    bench.create(subject, topic, PARTITIONS, klass)
    window = Window(subject)
    window.begin()
    with bench.clients.consume(subject.address, topic, PARTITIONS, records) as consumer:
        background = clients.Background(consumer, 300)
        with bench.clients.produce(subject.address, topic, records) as producer:
            began = probe.look(subject.pid)
            produced = clients.performance_counts(producer.finish(240))
            ended = probe.look(subject.pid)
        clients.consumed_to_end(consumer, background, 30)
        consumed = clients.performance_counts(background.finish())
    time.sleep(TAIL_SECONDS)
    window.end()
    found = window.numbers()
    # Of the time in which there was something to send only: the load is idle in the tail.
    sending = probe.difference(began, ended, set(subject.setup.load_cpus))
    gigabytes = produced["bytes"] / 1e9
    if consumed["bytes"] < 0.999 * produced["bytes"]:
        raise tools.Failed(f"{consumed['bytes']:,} bytes were consumed of {produced['bytes']:,}")
    return {
        **found,
        **costs(window, produced["bytes"]),
        "load_busy": sending["load_busy"],
        "mb_per_s_in": round(produced["bytes"] / sending["seconds"] / MB, 2),
        "machine_s_per_gb": round(found["machine_cpu_seconds"] / gigabytes, 4),
        "switches_per_gb": round((found["switches_voluntary"] + found["switches_involuntary"]) / gigabytes),
    }


def goals(rows: list[Row]) -> list[Goal]:
    found = []
    for klass in (D, R):
        of_class = f"class {klass}"
        found.append(ratio(rows, f"W8 broker CPU per GB, {of_class}, against Kafka", "cpu_s_per_gb", klass, "kafka", at_most=1 / 4))
        found.append(ratio(rows, f"W8 broker CPU per GB, {of_class}, against the null broker", "cpu_s_per_gb", klass, "null", at_most=1.5))
    return found


def plot(rows: list[Row], folder: pathlib.Path) -> list[tuple[str, str]]:
    classes = (D, R)
    series = {
        name: [plots.whisker(values(of(rows, subject=name, **{"class": klass}), "cpu_s_per_gb")) for klass in classes]
        for name in ("ailurus", "kafka", "null")
    }
    title = "W8: broker CPU per GB, produced and consumed"
    plots.bars(folder / "W8.svg", title, "s/GB", [f"class {klass}" for klass in classes], series)
    return [("W8.svg", title)]
