"""The long fuzz: `python -m tests.fuzz [SECONDS] [SEED]`. Prints how many inputs each reader took.

An input that raises what it must not ends it: it is printed, and belongs into the corpus with the mending.
"""

from __future__ import annotations

import random
import sys
import time

from tests.fuzz.readers import TrustFile, changed, readers, seeds


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice, trust, total = random.Random(seed), TrustFile(), 0
    try:
        found = readers(trust)
        for name, reader in found.items():
            corpus, count, refused = seeds(name), 0, 0
            end = time.monotonic() + seconds / len(found)
            while time.monotonic() < end:
                data = changed(dice.choice(corpus), corpus, dice)
                count += 1
                try:
                    reader.read(data)
                except reader.errors:
                    refused += 1
                except Exception:
                    print(f"{name}: {data.hex()}")
                    raise
            total += count
            print(f"{name:10} {count:9,} inputs, {refused:9,} refused")
    finally:
        trust.close()
    print(f"{'all':10} {total:9,} inputs")


main()
