"""Which database servers a process may use, and connections that none of them holds up."""
