"""Runs from file to file: resume, record, journal, plan."""
