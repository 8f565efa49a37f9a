"""What an action leaves to the garbage collector: objects in reference cycles."""

import gc
from collections.abc import Callable


def collect_garbage_of(action: Callable[[], object]) -> set[str]:
    """Return the names of the types of which an action leaves objects that only the garbage collector frees."""
    gc.collect()
    gc.disable()
    try:
        action()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return {type(each).__name__ for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
