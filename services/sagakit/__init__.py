"""The kit: what a team needs to define a saga and to take part in one.

Here belongs what is true of every saga: definitions, participants, the fact log, deadlines, compensation. What
one business means by it does not: no order, no payment, no shop. The kit does not know the word.
"""
