"""Notices: what becomes of jobs is told to people and programs outside. Nothing here is waited for by a job."""
