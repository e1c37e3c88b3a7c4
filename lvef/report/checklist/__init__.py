"""Reporting checklists, answered from what a run's folders hold."""
