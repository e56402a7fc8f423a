"""Writes the files of the recorded runs (docs/results.md) from the published data sets.

    prepare.py sms   SMSSpamCollection         OUT   five folds, copies removed, classes in proportion
    prepare.py covid 200423_covidQA.json       OUT   five folds by document, SQuAD form
    prepare.py pairs BEIR_FOLDER               OUT   titles, headings and sentences with the text that they are from

Needs nothing but Python; the same seed writes the same files.
"""

import csv
import json
import pathlib
import random
import re
import sys

SEED = 42
FOLDS = 5


def sms(source, out):
    seen, texts = set(), {}
    for line in pathlib.Path(source).read_text(encoding="utf-8").split("\n"):
        label, _, text = line.partition("\t")
        if label not in ("ham", "spam"):
            continue  # the header, and what follows the last line end
        # Copies but for case and spaces: the doctor takes them for leaks.
        same = " ".join(text.lower().split())
        if same not in seen:
            seen.add(same)
            texts.setdefault(label, []).append(text)
    folds = [[] for _ in range(FOLDS)]
    rng = random.Random(SEED)
    for label in sorted(texts):
        rng.shuffle(texts[label])
        for number, text in enumerate(texts[label]):
            folds[number % FOLDS].append((text, label))
    for number, test in enumerate(folds):
        train = [row for other, fold in enumerate(folds) if other != number for row in fold]
        for name, rows in [("train", train), ("test", test)]:
            with open(out / f"{name}-{number + 1}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("text", "label"), *rows])


def covid(source, out):
    documents = json.loads(pathlib.Path(source).read_text(encoding="utf-8"))["data"]
    random.Random(SEED).shuffle(documents)
    for number in range(FOLDS):
        parts = {
            "train": [d for place, d in enumerate(documents) if place % FOLDS != number],
            "test": [d for place, d in enumerate(documents) if place % FOLDS == number],
        }
        for name, data in parts.items():
            path = out / f"{name}-{number + 1}.json"
            path.write_text(json.dumps({"version": "1.0", "data": data}), encoding="utf-8")


def pairs(folder, out):
    """Pairs from the corpus alone; the questions of the set are not looked at."""
    rng, rows = random.Random(SEED), []
    for line in (pathlib.Path(folder) / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        title, text = document.get("title", ""), document["text"]
        paragraphs = list(dict.fromkeys(part.strip() for part in text.split("\n") if part.strip()))
        body = [part for part in paragraphs if part != title]
        if title and body:
            rows.append((title, "\n".join(body)[:2000]))
        for heading, paragraph in zip(body, body[1:]):
            if len(heading) < 80 and not heading.endswith((".", ":", "!")) and len(paragraph) > 80:
                rows.append((f"{title}: {heading}" if title else heading, paragraph))
        # A sentence and what stands around it (inverse cloze task, Lee et al. 2019).
        for paragraph in body:
            sentences = re.split(r"(?<=[.!?])\s+", paragraph)
            if len(sentences) >= 3:
                taken = rng.randrange(len(sentences))
                rest = " ".join(sentences[:taken] + sentences[taken + 1 :])
                if len(sentences[taken]) > 30:
                    rows.append((sentences[taken], f"{title}\n{rest}"))
    rows = list(dict.fromkeys(rows))
    rng.shuffle(rows)
    with open(out / "pairs.jsonl", "w", encoding="utf-8") as file:
        for question, passage in rows:
            file.write(json.dumps({"query": question, "positive": passage}, ensure_ascii=False) + "\n")
    print(len(rows), "pairs")


if __name__ == "__main__":
    what, source, out = sys.argv[1:]
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    {"sms": sms, "covid": covid, "pairs": pairs}[what](source, pathlib.Path(out))
