"""What is to be reached, held against rows: each a sentence, a bound, what was measured, and whether that is enough."""

import dataclasses
import statistics
import typing

Row = dict[str, typing.Any]


@dataclasses.dataclass
class Goal:
    """One line of the table "To reach". `reached` is None where nothing was measured."""

    what: str
    bound: str
    measured: str
    reached: bool | None


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
    what: str, above: float | None, below: float | None, at_most: float | None = None, at_least: float | None = None, remark: str = ""
) -> Goal:
    """One number against another of the same run."""
    bound = f"at most {number(at_most)} x" if at_most is not None else f"at least {number(at_least)} x"
    if above is None or not below:
        return Goal(what, bound, "not measured", None)
    found = above / below
    reached = found <= at_most if at_most is not None else found >= at_least
    return Goal(what, bound, f"{number(found)} x ({number(above)} : {number(below)}){remark}", reached)


def ratio(rows: list[Row], what: str, key: str, klass: str, against: str, at_most: float | None = None, at_least: float | None = None, **wanted: typing.Any) -> Goal:
    """Ailurus against another subject in the same class: medians of all repeats."""
    ours = median(rows, key, subject="ailurus", **{"class": klass}, **wanted)
    theirs = median(rows, key, subject=against, **{"class": klass}, **wanted)
    return quotient(what, ours, theirs, at_most, at_least)


def bounded(what: str, value: float | None, at_most: float, unit: str = "") -> Goal:
    """A number against a fixed bound."""
    bound = f"at most {number(at_most)}{unit}"
    if value is None:
        return Goal(what, bound, "not measured", None)
    return Goal(what, bound, f"{number(value)}{unit}", value <= at_most)
