"""What a team uses to prove its own saga, shipped with the kit.

Here belong scenarios (`scenario`, `part_scenario`), a model of one saga with all its participants (`model_world`), the
matrix that every saga has to live through in it (`matrix`), the rehearsal of real participants in memory (`rehearsal`),
the simulated world, and the contract suites that every adapter must pass. Tests of this repository do not: they live
in tests/ and use this room as any other team would. docs/your-own-saga.md shows how.
"""
