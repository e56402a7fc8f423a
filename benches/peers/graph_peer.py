"""The other side of the benchmarks `graph` and `graph_scaling`: hnswlib, FAISS or usearch over the same vectors.

Started by them as `graph_peer.py LIBRARY FOLDER DIM M EF_CONSTRUCTION`, FOLDER with base.f32 and queries.f32.
Reads one JSON object per line and answers with one line of numbers:
{"what": "build", "threads": n}: seconds, processor seconds, bytes of memory that the index takes beyond the process.
{"what": "search", "ef": n, "k": n, "percent": p}: processor seconds for all queries on one thread, then the labels found, k a query;
    with percent only among labels whose filter value is below it, by the library's own filter.
{"what": "load", "path": p}: seconds to save, seconds to load.
Install with pip into an environment of its own: hnswlib, faiss-cpu, usearch, numpy. Its first line names versions.
"""

import gc
import importlib.metadata
import json
import os
import sys
import time

import numpy


def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def filter_value(count):
    """As benches/graph.rs: a percentage for each label."""
    labels = numpy.arange(count, dtype=numpy.uint64)
    return ((labels * 2654435761) % 2**32 >> 7) % 65536 * 100 // 65536


class Hnswlib:
    def build(self, base, m, ef, threads):
        import hnswlib

        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), ef_construction=ef, M=m)
        self.index.add_items(base, num_threads=threads)

    def search(self, queries, k, ef, allowed):
        self.index.set_ef(ef)
        # A filter in Python is called for every vector; it is the only one that the package has.
        chosen = None if allowed is None else (lambda label: bool(allowed[label]))
        start = time.process_time()
        labels, _ = self.index.knn_query(queries, k, num_threads=1, filter=chosen)
        return time.process_time() - start, labels

    def save(self, path):
        self.index.save_index(path)

    def load(self, path, dim):
        import hnswlib

        hnswlib.Index("ip", dim).load_index(path)


class Faiss:
    def build(self, base, m, ef, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexHNSWFlat(base.shape[1], m, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = ef
        self.index.add(base)
        faiss.omp_set_num_threads(1)

    def search(self, queries, k, ef, allowed):
        import faiss

        parameters = {"efSearch": ef}
        if allowed is not None:
            parameters["sel"] = faiss.IDSelectorBitmap(numpy.packbits(allowed, bitorder="little"))
        parameters = faiss.SearchParametersHNSW(**parameters)
        start = time.process_time()
        _, labels = self.index.search(queries, k, params=parameters)
        return time.process_time() - start, labels

    def save(self, path):
        import faiss

        faiss.write_index(self.index, path)

    def load(self, path, dim):
        import faiss

        faiss.read_index(path)


class FaissSq8(Faiss):
    """Vectors in 8 bits, each component scaled by its least and greatest."""

    def build(self, base, m, ef, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        kind = faiss.ScalarQuantizer.QT_8bit
        self.index = faiss.IndexHNSWSQ(base.shape[1], kind, m, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = ef
        self.index.train(base)
        self.index.add(base)
        faiss.omp_set_num_threads(1)


class Usearch:
    dtype = "f32"

    def build(self, base, m, ef, threads):
        from usearch.index import Index

        self.index = Index(
            ndim=base.shape[1], metric="ip", dtype=self.dtype, connectivity=m, expansion_add=ef, expansion_search=64
        )
        self.index.add(numpy.arange(len(base)), base, threads=threads)

    def search(self, queries, k, ef, allowed):
        if allowed is not None:
            # The package has none (2.26.6), only the library in C++.
            raise NotImplementedError
        self.index.expansion_search = ef
        start = time.process_time()
        matches = self.index.search(queries, k, threads=1)
        return time.process_time() - start, matches.keys

    def save(self, path):
        self.index.save(path)

    def load(self, path, dim):
        from usearch.index import Index

        Index.restore(path)


class UsearchI8(Usearch):
    """Vectors in 8 bits."""

    dtype = "i8"


PEERS = {
    "hnswlib": (Hnswlib, "hnswlib"),
    "faiss": (Faiss, "faiss-cpu"),
    "faiss-sq8": (FaissSq8, "faiss-cpu"),
    "usearch": (Usearch, "usearch"),
    "usearch-i8": (UsearchI8, "usearch"),
}


def main():
    library, folder, dim, m, ef_construction = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    kind, package = PEERS[library]
    peer = kind()
    base = numpy.fromfile(f"{folder}/base.f32", "<f4").reshape(-1, dim)
    queries = numpy.fromfile(f"{folder}/queries.f32", "<f4").reshape(-1, dim)
    values = filter_value(len(base))
    print(f"{package} {importlib.metadata.version(package)}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["what"] == "build":
            gc.collect()
            memory = anonymous()
            start, before = time.perf_counter(), os.times()
            peer.build(base, m, ef_construction, order["threads"])
            wall, after = time.perf_counter() - start, os.times()
            processor = after.user - before.user + after.system - before.system
            print(wall, processor, anonymous() - memory, flush=True)
        elif order["what"] == "search":
            percent = order.get("percent")
            allowed = None if percent is None else values < percent
            try:
                wall, labels = peer.search(queries, order["k"], order["ef"], allowed)
                print(wall, *numpy.asarray(labels).ravel().tolist(), flush=True)
            except (NotImplementedError, RuntimeError):
                print(0, flush=True)
        else:
            start = time.perf_counter()
            peer.save(order["path"])
            saved = time.perf_counter()
            peer.load(order["path"], dim)
            print(saved - start, time.perf_counter() - saved, flush=True)


if __name__ == "__main__":
    main()
