"""Commands about a code: issue, import, change terms, pause, revoke."""
