"""Tests, and what they share. A regular package, because a library of the tests installs one of this name."""
