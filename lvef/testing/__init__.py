"""For whoever writes a task of their own: a conformance suite, and planted data to run it on."""

from lvef.testing.check_task import CHECKS, TaskCheckError, check_task

__all__ = ["CHECKS", "TaskCheckError", "check_task"]
