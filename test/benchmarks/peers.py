# SPDX-License-Identifier: Apache-2.0
"""The other side of cpu_slice.py, a process of its own: times ONNX files in onnxruntime, or faiss, as `msa-run bench` does.

Standard input: one JSON object
    {"files": [...], "dims": {"NAME": N}, "first_position": N, "threads": N, "warmup": N, "min_runs": N, "seconds": S}
    or {"faiss": {"rows": N, "width": D, "k": K}, "threads": ..., ...}.
Standard output: a list, for each file {"median_ms", "min_ms", "runs", "load_ms", "above_inputs", "peak"}. All files get
the same inputs. `above_inputs` is the process's peak less what was resident when the first file and the inputs were there.
"""
import json
import sys
import time

import numpy as np

from machine import high_water


def timed(call, options):
    for _ in range(options["warmup"]):
        call()
    times, begin = [], time.perf_counter()
    while len(times) < options["min_runs"] or time.perf_counter() - begin < options["seconds"]:
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return {"median_ms": float(np.median(times)), "min_ms": min(times), "runs": len(times)}


def contents(port, dims, first_position, rng):
    """An input like the one that `msa-run bench` makes with the fills that cpu_slice.py gives."""
    shape = [d if isinstance(d, int) else dims[d] for d in port.shape]
    if port.type == "tensor(float)":
        array = rng.random(shape, np.float32)
        array *= 2
        array -= 1
        return array
    if port.type == "tensor(bool)":
        return np.ones(shape, bool)
    if port.name == "chunk_doc":
        return np.arange(shape[0], dtype=np.int64) // 16
    if port.name == "position_ids":
        return np.broadcast_to(np.arange(first_position, first_position + shape[-1], dtype=np.int64), shape).copy()
    return np.ones(shape, np.int64)


def run_onnxruntime(options):
    import onnxruntime

    rng, feeds, results, before = np.random.default_rng(1), None, [], None
    for path in options["files"]:
        choice = onnxruntime.SessionOptions()
        choice.intra_op_num_threads = options["threads"]
        choice.inter_op_num_threads = 1
        start = time.perf_counter()
        session = onnxruntime.InferenceSession(path, choice, providers=["CPUExecutionProvider"])
        load = 1e3 * (time.perf_counter() - start)
        if feeds is None:
            feeds = {p.name: contents(p, options["dims"], options["first_position"], rng) for p in session.get_inputs()}
            before = high_water(field="VmRSS")
        row = timed(lambda: session.run(None, feeds), options)
        row |= {"load_ms": load, "above_inputs": high_water() - before, "peak": high_water()}
        results.append(row)
        del session
    return results


def run_faiss(options):
    import faiss

    faiss.omp_set_num_threads(options["threads"])
    what, rng = options["faiss"], np.random.default_rng(1)
    rows = rng.random((what["rows"], what["width"]), np.float32)
    rows -= 0.5
    index = faiss.IndexFlatIP(what["width"])
    index.add(rows)
    query = rng.random((1, what["width"]), np.float32) - np.float32(0.5)
    return [timed(lambda: index.search(query, what["k"]), options)]


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(run_faiss(given) if "faiss" in given else run_onnxruntime(given)))
