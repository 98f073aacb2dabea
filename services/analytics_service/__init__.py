"""Answers what a shop asks while orders flow: how many, how much, how well, since when, which ones.

Here belong projections of the event topics: what is joined, counted, and kept by the window of event time. Nothing here
decides about a saga; a saga ends the same way when nobody counts it.
"""
