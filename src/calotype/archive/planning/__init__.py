"""Plans: what an archive would take, predicted from a sample of its source."""

from __future__ import annotations

from calotype.archive.planning.plan import Plan, PlanSettings, Prediction, plan

__all__ = ["Plan", "PlanSettings", "Prediction", "plan"]
