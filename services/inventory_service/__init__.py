"""Holds stock for a saga, gives it back, or lets it go for good.

Here belong stock, reservations and their end. What is paid or shipped does not: a reservation knows its saga
and nothing of the saga's course.
"""
