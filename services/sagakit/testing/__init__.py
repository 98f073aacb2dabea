"""What a team uses to prove its own saga, shipped with the kit.

Here belong scenarios, the simulated world, and the contract suites that every adapter must pass. Tests of this
repository do not: they live in tests/ and use this room as any other team would.
"""
