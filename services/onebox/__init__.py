"""Everything on one machine with no servers, and sagactl to look at it.

Here belong the wiring of all services into one process, the demonstration, the simulation, the benchmark and
the command line. Rules of the shop or of sagas do not: if one box needs a rule, so does every other deployment.
"""
