"""The embedded stack behind `ledger up`: private servers and the ledger's processes, on one folder.

`up.run_up` puts it together. Everything else here is one concern per module and knows no Celery, FastAPI or driver.
"""
