"""`make bench`: how fast the whole ledger is compared with bare baselines, in one run on one machine."""
