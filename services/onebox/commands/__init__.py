"""The commands of sagactl: what each takes, in which order it asks the services, and what it prints.

A module here imports little, since `sagactl --help` reads them all. What a command computes stands beside this room.
"""
