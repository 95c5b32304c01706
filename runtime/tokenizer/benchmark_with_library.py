# SPDX-License-Identifier: Apache-2.0
"""Times the tokenizer and the `tokenizers` Python library on the same text, turn by turn, one thread each.

    benchmark_with_library.py --driver BUILD/runtime/tokenizer/msa_tokenizer_driver --text FILE TOKENIZER_JSON...

Prints megabytes of UTF-8 per second of processor time, the median of the rounds. The library is timed twice: with the text
as one string, and with its lines as documents in encode_batch_fast, which keeps no offsets; the better figure counts.
"""

import argparse
import os
import statistics
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402


def megabytes_per_second(size, function):
    start = time.process_time()
    function()
    return size / (time.process_time() - start) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("tokenizers", nargs="+", metavar="TOKENIZER_JSON")
    arguments = parser.parse_args()
    with open(arguments.text, encoding="utf-8") as file:
        text = file.read()
    size, lines = len(text.encode("utf-8")), text.splitlines(keepends=True)
    for path in arguments.tokenizers:
        library = tokenizers.Tokenizer.from_file(path)
        library.no_truncation()
        library.no_padding()
        ours, whole, batch = [], [], []
        for _ in range(arguments.rounds):
            answer = subprocess.run([arguments.driver, path, "bench", "1"], stdin=open(arguments.text, "rb"),
                                    stdout=subprocess.PIPE, check=True, text=True).stdout.split()
            ours.append(float(answer[0]))
            whole.append(megabytes_per_second(size, lambda: library.encode(text, add_special_tokens=False)))
            batch.append(megabytes_per_second(size, lambda: library.encode_batch_fast(lines, add_special_tokens=False)))
        expected = len(library.encode(text, add_special_tokens=False).ids)
        assert int(answer[2]) == expected, f"{answer[2]} tokens, the library has {expected}"
        ours, whole, batch = map(statistics.median, (ours, whole, batch))
        print(f"{path}: {ours:.2f} MB/s, library {whole:.2f} (one string) {batch:.2f} (lines): "
              f"{ours / max(whole, batch):.2f}x")


if __name__ == "__main__":
    main()
