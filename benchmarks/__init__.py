"""`make bench`: how fast the whole ledger is beside bare yardsticks, all in one run on one machine."""
