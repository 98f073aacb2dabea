"""The measurements of `make bench`: what one machine carries, beside the limits of its disk in the same run.

Here belong loads, clocks and figures. Nothing here is needed to run a saga.
"""
