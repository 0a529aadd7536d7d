"""What rows are held against, and when rows may take the place of others: `python3 -m unittest discover bench/compare`."""

import math
import pathlib
import sys
import tempfile
import types
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "compat")]

import goals  # noqa: E402
import report  # noqa: E402
from goals import Found  # noqa: E402

BUSY = {"load_busy": 0.9}
IDLE = {"load_busy": 0.3}


def row(subject: str, load: goals.Row, **numbers: float) -> goals.Row:
    return {"subject": subject, "class": "D", "repeat": 0, **load, **numbers}


def ratio(rows: list[goals.Row], key: str, **bound: object) -> goals.Goal:
    return goals.ratio(rows, "what", key, "D", "kafka", **bound)


class Verdicts(unittest.TestCase):
    def test_a_cost_is_what_it_is_whoever_was_busy(self):
        for load in (BUSY, IDLE):
            rows = [row("ailurus", load, cost=1.0), row("kafka", load, cost=4.0)]
            self.assertTrue(ratio(rows, "cost", at_most=0.25).reached)
            self.assertIs(ratio(rows, "cost", at_most=0.24).reached, False)

    def test_the_median_of_the_repeats_counts(self):
        rows = [row("ailurus", IDLE, cost=cost) for cost in (9.0, 1.0, 2.0)] + [row("kafka", IDLE, cost=4.0)]
        self.assertTrue(ratio(rows, "cost", at_most=0.5).reached)
        self.assertIs(ratio(rows, "cost", at_most=0.49).reached, False)

    def test_a_latency_with_a_busy_client_may_reach_a_limit_and_never_miss_it(self):
        for load, missed in ((BUSY, None), (IDLE, False)):
            rows = [row("ailurus", load, p99=10.0)]
            self.assertTrue(goals.bounded("what", goals.latency(rows, "p99"), 10).reached)
            self.assertIs(goals.bounded("what", goals.latency(rows, "p99"), 9.9).reached, missed)

    def test_a_latency_of_another_that_a_busy_client_may_have_made_proves_nothing(self):
        rows = [row("ailurus", IDLE, p99=1.0), row("kafka", BUSY, p99=100.0)]
        self.assertIsNone(ratio(rows, "p99", at_most=0.5, kind=goals.latency).reached)
        # Unless even that one is too small.
        rows = [row("ailurus", IDLE, p99=60.0), row("kafka", BUSY, p99=100.0)]
        self.assertIs(ratio(rows, "p99", at_most=0.5, kind=goals.latency).reached, False)

    def test_a_throughput_with_a_busy_client_reaches_nothing(self):
        theirs = row("kafka", IDLE, rate=10.0)
        for rate in (15.0, 1000.0):
            busy = [row("ailurus", BUSY, rate=rate), theirs]
            self.assertIsNone(ratio(busy, "rate", at_least=2, kind=goals.throughput).reached)
        idle = [row("ailurus", IDLE, rate=15.0), theirs]
        self.assertIs(ratio(idle, "rate", at_least=2, kind=goals.throughput).reached, False)

    def test_a_ramp_that_ended_at_the_client_may_reach_what_it_had_room_for(self):
        ended = {**IDLE, "failed_load_busy": 0.95}
        rows = [row("ailurus", ended, rate=30.0), row("kafka", IDLE, rate=10.0)]
        self.assertTrue(ratio(rows, "rate", at_least=3, kind=goals.throughput).reached)
        self.assertIsNone(ratio(rows, "rate", at_least=3.1, kind=goals.throughput).reached)

    def test_what_is_not_there_is_not_measured(self):
        rows = [row("ailurus", IDLE, cost=1.0)]
        for goal in (ratio(rows, "cost", at_most=1), ratio([], "cost", at_most=1), goals.bounded("what", None, 1)):
            self.assertEqual((goal.measured, goal.reached), ("not measured", None))

    def test_a_sum_and_a_difference_keep_their_ends(self):
        found, less = Found(5, 0, 5, True), Found(3, 3, 3)
        self.assertEqual(found.plus(less), Found(8, 3, 8, True))
        self.assertEqual(found.beyond(less), Found(2, 0, 2, True))
        self.assertEqual(less.beyond(found), Found(0, 0, 3, True))
        self.assertEqual(Found(5, 5, math.inf, True).beyond(less).high, math.inf)

    def test_three_digits_are_said(self):
        said = {0: "0", 0.01234: "0.0123", 5: "5", 99.96: "100", 100.4: "100", 12345: "12,345"}
        self.assertEqual({value: goals.number(value) for value in said}, said)
        self.assertEqual(goals.spread([3, 1, 2]), "2 (1..3)")
        self.assertEqual(goals.spread([3]), "3")


class Keeping(unittest.TestCase):
    WORKLOAD = types.SimpleNamespace(NAME="W", ABOUT="about")

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def rows(self, **repeats: int) -> list[goals.Row]:
        return [{**row(subject, IDLE), "repeat": repeat} for subject, count in repeats.items() for repeat in range(count)]

    def save(self, quick: bool = False, **repeats: int) -> None:
        report.save(self.folder, self.WORKLOAD, self.rows(**repeats), {"quick": quick})

    def test_fewer_repeats_are_refused_before_they_are_made(self):
        self.assertEqual(report.refusal(self.folder, "W", 1, False), "")
        self.save(ailurus=3, kafka=2)
        self.assertEqual(report.refusal(self.folder, "W", 3, False), "")
        self.assertIn("3 repeats", report.refusal(self.folder, "W", 2, False))
        self.assertIn("3 repeats", report.refusal(self.folder, "W", 5, True))

    def test_quick_rows_may_go(self):
        self.save(quick=True, ailurus=3)
        self.assertEqual(report.refusal(self.folder, "W", 1, False), "")
        self.assertEqual(report.loss(self.folder, "W", self.rows(ailurus=1), False), "")

    def test_a_subject_that_failed_is_a_loss(self):
        self.save(ailurus=2, kafka=2)
        self.assertEqual(report.loss(self.folder, "W", self.rows(ailurus=2, kafka=2, null=1), False), "")
        self.assertIn("kafka D: 1 of 2", report.loss(self.folder, "W", self.rows(ailurus=5, kafka=1), False))
        self.assertIn("kafka D: 0 of 2", report.loss(self.folder, "W", self.rows(ailurus=5), False))
        self.assertIn("ailurus D: 0 of 2", report.loss(self.folder, "W", self.rows(ailurus=2, kafka=2), True))


if __name__ == "__main__":
    unittest.main()
