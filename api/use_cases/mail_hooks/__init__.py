"""Hooks of mail providers: reports about emails by HTTP, each verified and read as its provider signs and posts it."""
