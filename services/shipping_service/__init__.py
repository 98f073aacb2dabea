"""Schedules shipments: the step after which an order only goes forward.

Here belong carriers, tracking numbers and refusals to ship. Stock and money do not: what this room does not
promise to undo, nobody may ask it to.
"""
