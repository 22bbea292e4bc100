"""Benchmarks of archives: their cost besides encoding, the accuracy of plans, and a simulation of many
machines."""
