"""The whole shop in one thread and in virtual time, with everything that can go wrong drawn from one seed.

Here belong the shop's wiring in the simulated world, its customers, operators and bank, and what must be true in the
end. The world itself, its clock, scheduler and faults, is `sagakit.testing.simulation`.
"""

from onebox.simulation.shop import Report, simulate

__all__ = ["Report", "simulate"]
