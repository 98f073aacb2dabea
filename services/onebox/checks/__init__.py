"""What `sagactl doctor` looks at: the services and their clocks, the log, the stores, and a cluster.

Here belongs asking, and saying in one line what is wrong and what to do. Nothing is changed, and no check ends another.
"""
