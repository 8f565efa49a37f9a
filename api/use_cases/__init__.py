"""What can be done, for routes, pages and the command line alike. No HTTP in here."""
