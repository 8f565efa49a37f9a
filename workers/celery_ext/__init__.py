"""Corrections of Celery and kombu, each with its reason."""
