"""The experiments of 2022: the effect of coding latents in few bytes on the decoded picture.

::

    photo ─ encoder ─ latents ─ variants ─┬─ decoder ─ picture ─ figures ─┬─ table, CSV, JSON
                                          └─ bytes                        └─ contact sheet

Source: M. Bühlmann, "Stable Diffusion Based Image Compression", 2022.
"""

from __future__ import annotations

from calotype.experiments.palette import Experiment, Settings, run_experiment
from calotype.experiments.results import experiment_table, write_results
from calotype.experiments.variants import ALSO, Variant, coding_variants

__all__ = [
    "ALSO",
    "Experiment",
    "Settings",
    "Variant",
    "coding_variants",
    "experiment_table",
    "run_experiment",
    "write_results",
]
