"""A world in which every bound of a size is tiny, so that tests reach it: caches, queues, pages, batches, pools.

Production alone reached the usual sizes, and what happens there was never seen: a cache of 10,000 codes that was full
and then cleared answered 500. `worlds.py` says which files run in this world; `make small` runs all of them.
`bounds.py` lists each bound, and tests/architecture/test_bounds.py fails for one that it lacks.
"""
