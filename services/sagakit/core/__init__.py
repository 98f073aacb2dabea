"""What a saga is and what it owes next, decided from values alone.

Here belong definitions, reactions, the folding of facts, deadlines as arithmetic, and diagrams drawn from
definitions. Nothing that waits, reads a clock, draws a random number or touches a disk or a network does: time
and ids come in as values.
"""
