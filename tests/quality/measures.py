"""The measures of benches/quality, on lists whose measures were worked out by hand, and the parts that make tasks and reports."""

import math
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benches" / "quality"))

import floors  # noqa: E402
import metrics  # noqa: E402
import numpy  # noqa: E402
import report  # noqa: E402
import searches  # noqa: E402
import tasks  # noqa: E402
import texts  # noqa: E402

TEN = list("abcdefghij")


class Ranks(unittest.TestCase):
    def test_one_expected_row(self):
        for found, expected, first, among, reciprocal, gain in [
            (TEN, "a", 1, 1, 1, 1),
            (TEN, "b", 0, 1, 1 / 2, 1 / math.log2(3)),
            (TEN, "c", 0, 1, 1 / 3, 1 / 2),
            (TEN, "g", 0, 1, 1 / 7, 1 / 3),
            (TEN, "j", 0, 1, 1 / 10, 1 / math.log2(11)),
            (TEN, "z", 0, 0, 0, 0),
            (["x", *TEN], "j", 0, 0, 0, 0),  # the eleventh
            ([], "a", 0, 0, 0, 0),
        ]:
            with self.subTest(found=found, expected=expected):
                seen = [measure(found, {expected}) for measure in metrics.MEASURES.values()]
                numpy.testing.assert_allclose(seen, [first, among, reciprocal, gain, among], rtol=1e-12)

    def test_two_expected_rows(self):
        best = 1 + 1 / math.log2(3)
        for expected, first, reciprocal, gain, both in [
            ({"a", "b"}, 1, 1, best / best, 1),
            ({"b", "a"}, 1, 1, best / best, 1),
            ({"a", "c"}, 1, 1, 1.5 / best, 1),
            ({"c", "g"}, 0, 1 / 3, (1 / 2 + 1 / 3) / best, 1),
            ({"c", "z"}, 0, 1 / 3, (1 / 2) / best, 0),
        ]:
            with self.subTest(expected=expected):
                seen = {name: measure(TEN, expected) for name, measure in metrics.MEASURES.items()}
                self.assertEqual((first, both), (seen["hit@1"], seen["all@10"]))
                self.assertAlmostEqual(reciprocal, seen["MRR@10"])
                self.assertAlmostEqual(gain, seen["nDCG@10"])

    def test_the_best_list_of_more_than_ten_is_ten(self):
        self.assertAlmostEqual(1, metrics.ndcg(TEN, set("abcdefghijklmnop")))


class Bootstrap(unittest.TestCase):
    def test_questions_that_are_all_alike_leave_no_doubt(self):
        self.assertEqual((0.25, 0.25), metrics.interval([0.25] * 40))
        self.assertEqual((0.5, 0.5, 0.5), metrics.difference([1.0, 0.5] * 20, [0.5, 0.0] * 20))

    def test_an_interval_is_as_wide_as_the_normal_distribution_has_it(self):
        """Of 400 throws of a coin: the mean, and 1.96 times 0.5 / sqrt(400) to both sides."""
        low, high = metrics.interval([0.0, 1.0] * 200)
        self.assertAlmostEqual(0.5, (low + high) / 2, delta=0.005)
        self.assertAlmostEqual(2 * 0.049, high - low, delta=0.007)

    def test_a_difference_pairs_question_with_question(self):
        """The same values in another order: each differs by 1, so that the interval is twice as wide as that of either."""
        values, others = [0.0, 1.0] * 200, [1.0, 0.0] * 200
        middle, low, high = metrics.difference(values, others)
        self.assertAlmostEqual(0, middle, delta=0.01)
        self.assertAlmostEqual(4 * 0.049, high - low, delta=0.014)

    def test_it_is_the_same_each_time(self):
        values = numpy.linspace(0, 1, 77)
        self.assertEqual(metrics.interval(values), metrics.interval(values))


class Thresholds(unittest.TestCase):
    def test_scores_that_lie_apart_are_parted_without_an_error(self):
        with_answer, without = [0.9, 0.8, 0.7], [0.1, 0.3]
        at = metrics.separating(with_answer, without)
        self.assertAlmostEqual(0.5, at)
        self.assertEqual(0, metrics.errors(with_answer, without, at))
        self.assertEqual(1, metrics.apart(with_answer, without))

    def test_scores_that_overlap_are_parted_with_the_least_error(self):
        with_answer, without = [0.9, 0.8, 0.4, 0.2], [0.3, 0.1]
        at = metrics.separating(with_answer, without)
        self.assertAlmostEqual(0.35, at)
        self.assertEqual((0.25, 1.0), (metrics.refused(with_answer, at), metrics.refused(without, at)))
        self.assertEqual(0.125, metrics.errors(with_answer, without, at))
        self.assertEqual(7 / 8, metrics.apart(with_answer, without))

    def test_finding_nothing_scores_less_than_anything(self):
        with_answer, without = [0.0, 2.0], [-math.inf, -math.inf]
        self.assertEqual(1, metrics.apart(with_answer, without))
        self.assertEqual(0.5, metrics.apart(without, without))
        self.assertEqual(1, metrics.refused(without, 0.0))

    def test_as_few_as_wanted_are_refused(self):
        scores = list(range(100))
        at = metrics.keeping(scores, 0.05)
        self.assertEqual((5, 0.05), (at, metrics.refused(scores, at)))

    def test_halves_judge_each_other(self):
        self.assertEqual(0, metrics.by_halves([0.9, 0.8, 0.7, 0.8], [0.1, 0.2, 0.3, 0.1]))
        # Each half's threshold parts its own questions and none of the other's: 5 and 25, where answers are 9, 29 and none 1, 21.
        self.assertEqual(0.5, metrics.by_halves([9, 29, 9, 29], [1, 21, 1, 21]))


class Parts(unittest.TestCase):
    def test_reciprocal_ranks(self):
        rows = searches.fused([(7, 0.9), (8, 0.8)], [(8, 5.0), (6, 4.0)])
        self.assertEqual([8, 7, 6], [row for row, _ in rows])
        numpy.testing.assert_allclose([score for _, score in rows], [1 / 62 + 1 / 61, 1 / 61, 1 / 62])
        level = searches.fused([(5, 0.9)], [(4, 1.0)])
        self.assertEqual([4, 5], [row for row, _ in level])

    def test_any_text_is_quoted_word_by_word(self):
        self.assertEqual('"a" OR "b*" OR "c"', searches.expression('a\n"b*  c'))
        self.assertEqual('""', searches.expression(' " '))

    def test_an_entry_of_wordnet(self):
        line = "00016855 29 v 02 blow(a) 0 blow_out 2 003 @ 00016702 v 0000 + 03142912 n 0101 ~ 00017031 s 0000 01 + 08 00"
        line += " | force out; \"she blew\"; \"blow out!\""
        entry = texts.synset(line, "v")
        self.assertEqual(("00016855-v", ["blow", "blow out"], "force out"), (entry.id, entry.lemmas, entry.definition))
        self.assertEqual((["she blew", "blow out!"], ["00016702-v", "00017031-a"]), (entry.examples, entry.links))

    def test_a_manual_page(self):
        page = '.TH X 3\n.SH NAME\nx, y \\- do it\n.SH DESCRIPTION\n.\\" no\nThe\n.BR x (),\n.I "a b"\n\\fBend\\fP\\(em\\&.\n.SH BUGS\nnone'
        parts = texts.sections(page)
        self.assertEqual({"NAME": "x, y - do it", "DESCRIPTION": "The x(), a b end.", "BUGS": "none"}, parts)

    def test_titles_are_misspelt_by_two_letters_of_the_longest_word(self):
        chance = tasks.random.Random(2)
        for _ in range(100):
            wrong = tasks.swapped("The Bosphorus", chance)
            self.assertTrue(wrong.startswith("The B") and sorted(wrong) == sorted("The Bosphorus") and wrong != "The Bosphorus", wrong)
        self.assertIsNone(tasks.swapped("On Java", chance))

    def test_what_is_too_low_or_has_no_floor_is_named(self):
        wanted = {"a": {"vectors": 0.5, "hybrid": 0.6}, "left out": {"hybrid": 0.1}}
        faults = list(floors.below(wanted, {"b": {"hybrid": 0.9}, "a": {"vectors": 0.5, "hybrid": 0.59}}))
        self.assertEqual(["a, hybrid", "b, hybrid"], [fault.partition(":")[0] for fault in faults])

    def test_a_record_keeps_its_head_and_other_sections_and_takes_the_newest_first(self):
        record = report.recorded("# quality\n\nhead\n", "one", "first\n")
        record = report.recorded(record, "two", "second\n\n### part\n")
        self.assertEqual("# quality\n\nhead\n\n## two\n\nsecond\n\n### part\n\n## one\n\nfirst\n", record)
        record = report.recorded(record, "one", "again")
        self.assertEqual("# quality\n\nhead\n\n## one\n\nagain\n\n## two\n\nsecond\n\n### part\n", record)


class Groups(unittest.TestCase):
    def test_questions_are_counted_by_kind(self):
        documents = [tasks.Document(row, "", row) for row in "ab"]
        asked = [tasks.Question("name", "1", {"a"}), tasks.Question("name", "2", {"b"})]
        asked += [tasks.Question("none", "3"), tasks.Question("none", "4")]
        answers = {"1": ["a", "b"], "2": ["a", "b"], "3": [], "4": []}

        def ask(question):
            return {way: [(row, 0.5) for row in answers[question.text]] for way in report.WAYS}

        groups = report.groups_of(tasks.Task("t", documents, asked), ask)
        self.assertEqual((2, 2), (len(groups["name"]), len(groups["none"])))
        self.assertEqual((0.75, 0.5), (groups["name"].mean("words", "MRR@10"), groups["name"].mean("words", "hit@1")))
        self.assertEqual(({}, [report.NOTHING] * 2), (groups["none"].values, groups["none"].scores["words"]))
        shares, limits = report.unanswered([("t", groups)])
        self.assertIn("| t | words | 1.000 | separates best |", limits)
        self.assertIn("| t | words | without | 2 | nothing |", shares)


if __name__ == "__main__":
    unittest.main()
