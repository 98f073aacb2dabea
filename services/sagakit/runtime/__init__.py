"""The loops that carry decisions to the world and the world's answers back.

Here belong the participant's loop, the orchestrator's, the relay, the deadlines, health and settings. They
wait, retry and count; what to do next is asked of the core, and where to put it is left to the ports.
"""
