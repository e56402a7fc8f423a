"""The other side of the benchmark `encode`: all-MiniLM-L6-v2 in sentence-transformers or ONNX Runtime.

Started by benches/encode.rs as `encode_peer.py torch MODEL_FOLDER THREADS` or `encode_peer.py onnx MODEL_FOLDER THREADS
FILE.onnx` (made by encode_export.py). Reads one JSON object per line: {"texts": [...]} sets the texts, {"what": "forward"
or "whole", "passes": n} runs them, from token ids or from text. Answers a run with one line: seconds, then processor
seconds (user and system, all threads). Its first line names versions. Versions used: see benches/record/.
"""

import importlib.metadata
import json
import os
import sys
import time


def version(*packages):
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


class Torch:
    def __init__(self, folder, threads):
        import sentence_transformers
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.model = sentence_transformers.SentenceTransformer(folder, device="cpu").eval()
        self.version = version("torch", "sentence-transformers", "transformers")

    def set(self, texts):
        self.texts = texts
        # What `encode` does: batches of 32 texts of similar length, each padded to its longest.
        order = sorted(texts, key=len, reverse=True)
        self.batches = [self.model.tokenize(order[at : at + 32]) for at in range(0, len(order), 32)]

    def forward(self):
        with self.torch.inference_mode():
            for batch in self.batches:
                self.model(dict(batch))

    def whole(self):
        self.model.encode(self.texts, batch_size=32, show_progress_bar=False)


class Onnx:
    def __init__(self, folder, threads, file):
        import onnxruntime
        import tokenizers

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
        self.tokenizer.enable_truncation(256)
        self.tokenizer.enable_padding()
        self.version = version("onnxruntime", "tokenizers")

    def tokenize(self):
        import numpy

        order = sorted(self.texts, key=len, reverse=True)
        batches = []
        for at in range(0, len(order), 32):
            encoded = self.tokenizer.encode_batch(order[at : at + 32])
            ids = numpy.array([text.ids for text in encoded], dtype=numpy.int64)
            mask = numpy.array([text.attention_mask for text in encoded], dtype=numpy.int64)
            batches.append({"input_ids": ids, "attention_mask": mask})
        return batches

    def set(self, texts):
        self.texts = texts
        self.batches = self.tokenize()

    def forward(self):
        for batch in self.batches:
            self.session.run(None, batch)

    def whole(self):
        for batch in self.tokenize():
            self.session.run(None, batch)


def main():
    kind, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    peer = Torch(folder, threads) if kind == "torch" else Onnx(folder, threads, sys.argv[4])
    print(peer.version, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "texts" in order:
            peer.set(order["texts"])
            continue
        run = peer.forward if order["what"] == "forward" else peer.whole
        start, before = time.perf_counter(), os.times()
        for _ in range(order["passes"]):
            run()
        after = os.times()
        processor = after.user - before.user + after.system - before.system
        print(time.perf_counter() - start, processor, flush=True)


if __name__ == "__main__":
    main()
