"""The rival of the recorded classifications: a logistic regression on frozen sentence vectors.

    logistic.py MODEL_FOLDER TRAIN.csv TEST.csv PREDICTIONS.jsonl

The strength of the regularisation is chosen by five-fold cross-validation on the training file. Writes predictions in the
form of `finetune --predictions`. Versions: scikit-learn 1.9, sentence-transformers 6.2.
"""

import csv
import json
import sys

import numpy
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegressionCV


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    label = "category" if "category" in rows[0] else "label"
    return [row["text"] for row in rows], [row[label] for row in rows]


folder, train, test, out = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu")
(texts, labels), (asked, truth) = read(train), read(test)
vectors = model.encode(texts, normalize_embeddings=True)
classifier = LogisticRegressionCV(Cs=numpy.logspace(0, 3, 7), cv=5, max_iter=1000, random_state=42)
classifier.fit(vectors, labels)
found = classifier.predict(model.encode(asked, normalize_embeddings=True))
with open(out, "w", encoding="utf-8") as file:
    for label, predicted in zip(truth, found):
        file.write(json.dumps({"label": label, "predicted": predicted}) + "\n")
print("accuracy", float(numpy.mean([a == b for a, b in zip(truth, found)])))
