"""The notes that fuzz/corpus/ingest keeps, read and stored once more."""

import sys
import unittest

from support import LIBRARY, MODEL, ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

import ingest as fuzzed  # noqa: E402


class Kept(unittest.TestCase):
    def test_nothing_is_lost_and_nothing_fails(self):
        self.assertGreaterEqual(fuzzed.replay(LIBRARY, ROOT / "fuzz/corpus/ingest", MODEL), 7)


if __name__ == "__main__":
    unittest.main()
