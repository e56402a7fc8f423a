"""Makes the vectors of the benchmark `graph`: sentences of the shared data by all-MiniLM-L6-v2, the model that is built in.

graph_vectors.py SHARED OUT writes OUT/base.f32 (50,000 vectors) and OUT/queries.f32 (1,000 others): little-endian f32, row
by row, of unit length. Sentences of 25 to 400 characters from Vaswani, docs-rag, Banking77, SMS spam, SciTLDR, COVID-QA and
the Rust book, without duplicates, in a fixed random order: none is made up or varied. Versions used: see benches/record/.
"""

import csv
import glob
import json
import random
import re
import sys

import numpy
import torch
import transformers

BASE, QUERIES = 50_000, 1_000


def sentences(shared):
    found = set()

    def add(text):
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", text):
            sentence = sentence.strip()
            if 25 <= len(sentence) <= 400:
                found.add(sentence)

    for name in ["vaswani", "docs-rag"]:
        for line in open(f"{shared}/data/{name}/corpus.jsonl"):
            document = json.loads(line)
            add(document.get("title", ""))
            add(document["text"])
    for part in ["train", "test"]:
        for row in csv.reader(open(f"{shared}/data/banking77/{part}.csv")):
            add(row[0])
    for line in open(f"{shared}/data/sms-spam/SMSSpamCollection"):
        add(line.split("\t", 1)[1])
    for part in ["train", "dev", "test"]:
        for line in open(f"{shared}/data/scitldr/{part}.jsonl"):
            for sentence in json.loads(line)["source"]:
                add(sentence)
    for article in json.load(open(f"{shared}/data/covid-qa/200423_covidQA.json"))["data"]:
        for paragraph in article["paragraphs"]:
            add(paragraph["context"])
    for path in glob.glob(f"{shared}/data/rust-book/*.md"):
        add(open(path).read())
    ordered = sorted(found)
    random.Random(7).shuffle(ordered)
    return ordered[: BASE + QUERIES]


def main():
    shared, out = sys.argv[1], sys.argv[2]
    texts = sentences(shared)
    folder = f"{shared}/models/all-minilm-l6-v2"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = numpy.zeros((len(texts), model.config.hidden_size), "<f4")
    with torch.inference_mode():
        for start in range(0, len(by_length), 128):
            rows = by_length[start : start + 128]
            tokens = tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            hidden = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].float()
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
    vectors[:BASE].tofile(f"{out}/base.f32")
    vectors[BASE:].tofile(f"{out}/queries.f32")


if __name__ == "__main__":
    main()
