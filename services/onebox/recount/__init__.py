"""Everything that the analytics say, counted once more: in one go, with DuckDB, from the raw events of the log.

The batch layer of a Lambda architecture, kept for judging only. Here belong the rules written down a second time, in
SQL, and the comparison. Nothing that folds, tallies or sums in the analytics service may be used here: a mistake that
both made would not be seen.
"""
