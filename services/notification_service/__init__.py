"""Tells customers what became of their order.

Here belong the words and the channels. Nothing here decides: a saga ends the same way when no notice can be
sent.
"""
