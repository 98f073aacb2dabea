"""Takes orders, tells the customer where they stand, and closes them when their saga ends.

Here belong the order and the HTTP that takes it. How payment, stock or shipping come to their answers does not:
they are known by their events alone.
"""
