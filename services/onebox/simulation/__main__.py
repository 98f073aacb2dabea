"""Replay one seed: `python -m onebox.simulation --seed 42 --trace`."""

import argparse
import logging
import sys

from onebox.simulation import simulate


def main() -> int:
    """Run the world of one seed, and print what happened."""
    arguments = argparse.ArgumentParser(prog="python -m onebox.simulation", description=__doc__)
    arguments.add_argument("--seed", type=int, required=True, help="which world")
    arguments.add_argument("--trace", action="store_true", help="print every turn in which something happened")
    given = arguments.parse_args()
    logging.getLogger("sagakit").addHandler(logging.NullHandler())
    report = simulate(given.seed)
    if given.trace:
        print("\n".join(report.trace))
    print(f"seed {given.seed}: " + ", ".join(f"{number} {phase}" for phase, number in sorted(report.phases.items())))
    for event, number in sorted(report.seen.items()):
        print(f"  {number:5d}  {event}")
    if report.violation is not None:
        print(f"VIOLATION {report.violation}")
    return 1 if report.violation else 0


if __name__ == "__main__":
    sys.exit(main())
