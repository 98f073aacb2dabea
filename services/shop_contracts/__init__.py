"""The shop's language: its events, commands and topics, and the order saga.

Here belongs what two services must agree on, as data. How any one of them decides does not: that is its own
domain, and nobody else may read it.
"""
