"""Reports about emails as mail servers send them: read from messages, and from a mailbox."""
