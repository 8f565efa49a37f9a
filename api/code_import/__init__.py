"""The pipeline of imports, and what it reads from files: codes, and lists of recipients."""
