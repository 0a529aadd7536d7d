"""A few plots, as SVG. Text stays text, and nothing in a file depends on when it was made, so that differences are of data."""

import pathlib
import statistics
import typing

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ailurus", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})

from matplotlib import pyplot  # noqa: E402

COLOURS = {"ailurus": "#c8553d", "ailurus-direct": "#e29578", "kafka": "#33658a", "null": "#8d99ae"}


def bars(file: pathlib.Path, title: str, unit: str, groups: list[str], series: dict[str, list[tuple[float, float, float] | None]]) -> None:
    """For each group one bar per subject: median, with the smallest and the largest as a whisker."""
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2), layout="constrained")
    width = 0.8 / max(1, len(series))
    for at, (name, found) in enumerate(series.items()):
        for group, value in enumerate(found):
            if value is None:
                continue
            middle, low, high = value
            place = group - 0.4 + width * (at + 0.5)
            label = name if group == next(i for i, v in enumerate(found) if v) else None
            axes.bar(place, middle, width * 0.9, color=COLOURS.get(name), label=label, yerr=[[middle - low], [high - middle]], capsize=2)
    axes.set_xticks(range(len(groups)), groups)
    _finish(figure, axes, file, title, unit)


def lines(file: pathlib.Path, title: str, unit: str, across: str, series: dict[str, list[tuple[float, float]]], ticks: list[str] | None = None) -> None:
    """Lines over seconds, or over named steps; times reach over several powers of ten, so the scale is logarithmic."""
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2), layout="constrained")
    for name, points in series.items():
        subject = name.partition(" ")[0]
        style = "--" if " R" in name else "-"
        axes.plot(*zip(*points), style, color=COLOURS.get(subject), label=name, marker="o" if ticks else None, markersize=3, linewidth=1.3)
    axes.set_yscale("log")
    axes.set_xlabel(across)
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks)
    _finish(figure, axes, file, title, unit)


def _finish(figure: typing.Any, axes: typing.Any, file: pathlib.Path, title: str, unit: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_ylabel(unit)
    axes.grid(axis="y", linewidth=0.4)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def whisker(found: list[float]) -> tuple[float, float, float] | None:
    """Median, smallest and largest, for `bars`."""
    return (statistics.median(found), min(found), max(found)) if found else None
