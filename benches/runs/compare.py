"""Two systems on the same examples: each score with its interval, and the paired difference.

    compare.py accuracy|f1:CLASS FIRST.jsonl[,MORE] SECOND.jsonl[,MORE]

Files are those of `finetune --predictions`; several files of one system are folds, joined in order. Intervals are 95 %
percentile bootstraps of 10,000 resamples, seed 0.
"""

import json
import sys

import numpy


def read(paths):
    rows = [json.loads(line) for path in paths.split(",") for line in open(path, encoding="utf-8")]
    return numpy.array([row["label"] for row in rows]), numpy.array([row["predicted"] for row in rows])


measure, first, second = sys.argv[1:]
(truth, one), (again, two) = read(first), read(second)
assert (truth == again).all(), "not the same examples"


def score(found, rows):
    if measure == "accuracy":
        return float((found[rows] == truth[rows]).mean())
    wanted = measure.split(":", 1)[1]
    is_true, is_found = truth[rows] == wanted, found[rows] == wanted
    return float(2 * (is_true & is_found).sum() / max((is_true.sum() + is_found.sum()), 1))


rng, all_rows = numpy.random.default_rng(0), numpy.arange(len(truth))
samples = [rng.integers(0, len(truth), len(truth)) for _ in range(10_000)]
for name, of in [
    ("first", lambda rows: score(one, rows)),
    ("second", lambda rows: score(two, rows)),
    ("first - second", lambda rows: score(one, rows) - score(two, rows)),
]:
    low, high = numpy.percentile([of(rows) for rows in samples], [2.5, 97.5])
    print(f"{name:15} {of(all_rows):+.4f}  [{low:+.4f}, {high:+.4f}]")
