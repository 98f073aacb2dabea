"""Charges and refunds, each at most once for one saga.

Here belong the charge, its refund, and the talk with whoever moves the money. Why an order wants paying, and
what happens after, does not.
"""
