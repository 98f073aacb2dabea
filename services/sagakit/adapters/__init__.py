"""Each module keeps the promises of the ports in one technology, and knows no other adapter.

Here belong the memory, the files, the brokers and the exporters, and the translation of their exceptions into
ours. Decisions do not: an adapter that needs to know what a saga means has taken somebody else's work.
"""
