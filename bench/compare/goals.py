"""What is to be reached, held against rows: each a sentence, a bound, what was measured, and whether that is enough.

Where the load's own core was busy (`client_bound`), a number is not the broker's alone, and what it says of the broker has only
one side. A *latency* holds what the client added: the broker's own is at most that. A *throughput* ended at the client: the
broker's own is at least that. A verdict is given only where it holds for every value that is possible; else it is
"client-bound". So a limit that Ailurus keeps in spite of a busy client is reached, one that it misses is open; a ratio to
a latency of Kafka that a busy client may have made is open, unless even that one is too small. A throughput that was measured
while the client was busy reaches nothing at all; one that was measured with room, below a step at which the client had none, may
reach what is asked of it.
"""

import dataclasses
import math
import statistics
import typing

Row = dict[str, typing.Any]
#: Above this share of its core the load is what is slow, not the broker.
CLIENT_BOUND = 0.85
CLIENT_BOUND_WORD = "client-bound"


@dataclasses.dataclass
class Goal:
    """One line of the table "To reach". `reached` is None where there is no verdict; `why` may say why not."""

    what: str
    bound: str
    measured: str
    reached: bool | None
    why: str = ""

    def verdict(self) -> str:
        """One or two words."""
        return {True: "reached", False: "not reached", None: self.why}[self.reached]


@dataclasses.dataclass(frozen=True)
class Found:
    """A median of the repeats, and the ends between which the broker's own number lies."""

    value: float
    low: float
    high: float
    client_bound: bool = False
    #: Whether the client had room where the value itself was measured.
    counts: bool = True

    def __str__(self) -> str:
        return number(self.value) + (f" {CLIENT_BOUND_WORD}" if self.client_bound else "")

    def plus(self, other: "Found") -> "Found":
        return Found(self.value + other.value, self.low + other.low, self.high + other.high, self.client_bound or other.client_bound)

    def beyond(self, other: "Found") -> "Found":
        """By how much it is more; 0 if it is not."""
        ends = (self.value - other.value, self.low - other.high, self.high - other.low)
        return Found(*(max(0.0, end) for end in ends), self.client_bound or other.client_bound)


def client_bound(rows: list[Row]) -> bool:
    """Whether the load's core was busy in these rows, by their median. A ramp ends at a step that fails: that one counts too."""
    busy = [max(row.get("load_busy", 0), row.get("failed_load_busy", 0)) for row in rows]
    return bool(busy) and statistics.median(busy) >= CLIENT_BOUND


def exact(value: float | None) -> Found | None:
    """A number that a busy client does not change: CPU per GB, counts, bytes."""
    return None if value is None else Found(value, value, value)


def latency(rows: list[Row], key: str, **wanted: typing.Any) -> Found | None:
    """The median of a latency: with a busy client, an upper end."""
    value, bound = _median(rows, key, wanted)
    return None if value is None else Found(value, 0 if bound else value, value, bound)


def throughput(rows: list[Row], key: str, **wanted: typing.Any) -> Found | None:
    """The median of a rate: with a busy client, a lower end."""
    value, bound = _median(rows, key, wanted)
    counts = (median(rows, "load_busy", **wanted) or 0) < CLIENT_BOUND
    return None if value is None else Found(value, value, math.inf if bound else value, bound, counts)


def _median(rows: list[Row], key: str, wanted: dict[str, typing.Any]) -> tuple[float | None, bool]:
    chosen = [row for row in rows if key in row and all(row.get(name) == value for name, value in wanted.items())]
    return median(chosen, key), client_bound(chosen)


def values(rows: list[Row], key: str, **wanted: typing.Any) -> list[float]:
    """The numbers of that name in the rows that have all of `wanted`."""
    return [row[key] for row in rows if key in row and all(row.get(name) == value for name, value in wanted.items())]


def median(rows: list[Row], key: str, **wanted: typing.Any) -> float | None:
    found = values(rows, key, **wanted)
    return statistics.median(found) if found else None


def number(value: float) -> str:
    """With three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(found: list[typing.Any]) -> str:
    """The median, and in brackets the smallest and the largest; of texts, the last."""
    if not found:
        return ""
    if isinstance(found[-1], str):
        return found[-1]
    middle = number(statistics.median(found))
    return middle if len(found) == 1 else f"{middle} ({number(min(found))}..{number(max(found))})"


def quotient(
    what: str, above: Found | None, below: Found | None, at_most: float | None = None, at_least: float | None = None, remark: str = ""
) -> Goal:
    """One number against another of the same run. `at_most` is for costs and latencies, `at_least` for throughputs."""
    bound = f"at most {number(at_most)} x" if at_most is not None else f"at least {number(at_least)} x"
    if above is None or below is None or not below.value:
        return Goal(what, bound, "not measured", None)
    if at_most is not None:
        reached = above.high <= at_most * below.low
        missed = above.low > at_most * below.high
    else:
        reached = above.low >= at_least * below.high and above.counts
        missed = above.high < at_least * below.low
    measured = f"{number(above.value / below.value)} x ({above} : {below}){remark}"
    return _judged(what, bound, measured, reached, missed)


def ratio(
    rows: list[Row],
    what: str,
    key: str,
    klass: str,
    against: str,
    at_most: float | None = None,
    at_least: float | None = None,
    kind: typing.Callable[..., Found | None] = lambda *rows, **wanted: exact(median(*rows, **wanted)),
    **wanted: typing.Any,
) -> Goal:
    """Ailurus against another subject in the same class: medians of all repeats. `kind` is `latency` or `throughput`, if it is one."""
    ours = kind(rows, key, subject="ailurus", **{"class": klass}, **wanted)
    theirs = kind(rows, key, subject=against, **{"class": klass}, **wanted)
    return quotient(what, ours, theirs, at_most, at_least)


def bounded(what: str, found: Found | None, at_most: float, unit: str = "") -> Goal:
    """A number against a fixed bound."""
    bound = f"at most {number(at_most)}{unit}"
    if found is None:
        return Goal(what, bound, "not measured", None)
    measured = f"{number(found.value)}{unit}{f', {CLIENT_BOUND_WORD}' if found.client_bound else ''}"
    return _judged(what, bound, measured, found.high <= at_most, found.low > at_most)


def _judged(what: str, bound: str, measured: str, reached: bool, missed: bool) -> Goal:
    if reached or missed:
        return Goal(what, bound, measured, reached)
    return Goal(what, bound, measured, None, CLIENT_BOUND_WORD)
